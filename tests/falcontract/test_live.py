"""Live runs, tested without fal: an emulator answers for fal's host names, over TLS."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import json
import ssl
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from falcontract.live import planning, scrubbing, transcripts
from falcontract.live.budget import Budget
from falcontract.live.execution import Live
from falcontract.live.guard import LiveDisabled, LiveGuard, WrongHost, settings
from falcontract.live.planning import NotPlanned, PlannedProgram
from falcontract.steps import VALID_INPUT, Program, call, cancel, result, status, submit, until
from falmock.app import create_app, open_emulator
from falmock.http.server import Server, listen
from falmock.media import Renderer, find_ffmpeg
from falmock.settings import Settings, Span

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from falmock.engine.emulator import Emulator

pytestmark = pytest.mark.anyio

KEY = "6c1f0a52-93d4-4e1b-a8f7-5d20c3b49e16:9f3b5c7d1e2a4b6c8d0e1f2a3b4c5d6e"
OPEN = {"FAL_KEY": KEY, "FAL_LIVE": "1", "FAL_LIVE_BUDGET_USD": "2.50"}
TODAY = "2026-11-22"
FAST = 200.0  # emulated seconds per real one


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a self-signed certificate for fal's names."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "falcontract tests")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName(host) for host in ("queue.fal.run", "rest.fal.ai")]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([*names, x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    cert, private = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return cert, private


class Resolver(httpx.AsyncBaseTransport):
    """Sends calls for fal's hosts to the stand-in, and refuses others."""

    def __init__(self, port: int, trusted: Path) -> None:
        self._port = port
        self._inner = httpx.AsyncHTTPTransport(verify=ssl.create_default_context(cafile=str(trusted)))
        self.seen: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        assert host in {"queue.fal.run", "rest.fal.ai"}
        self.seen.append(f"{request.method} {request.url.path}")
        redirected = httpx.Request(
            request.method,
            request.url.copy_with(host="127.0.0.1", port=self._port),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": host},
        )
        return await self._inner.handle_async_request(redirected)

    async def aclose(self) -> None:
        await self._inner.aclose()


class StandIn:
    """An emulator that answers for fal."""

    def __init__(self, emulator: Emulator, resolver: Resolver) -> None:
        self.emulator, self.resolver = emulator, resolver

    def running(self) -> int:
        return len(self.emulator._transitions.queue._jobs)

    def live(self, *entries: PlannedProgram, transport: Any = None, **environ: str) -> Live:
        plan = {entry.program.name: entry for entry in entries} or None
        return Live(
            OPEN | environ,
            today=TODAY,
            transport=transport or self.resolver,
            sleep=lambda seconds: asyncio.sleep(seconds / FAST),
            plan=plan,
        )


@pytest.fixture
async def stand_in(tmp_path: Path, renders: Path) -> Callable[..., Any]:
    cert, private = certificate(tmp_path)

    @asynccontextmanager
    async def opened(**options: Any) -> AsyncIterator[StandIn]:
        defaults: dict[str, Any] = {
            "time_scale": FAST,
            "seed": 1,
            "media": "plain",
            "cancel": "honoured",
            "queue_seconds": Span(20, 20),
            "run_seconds": Span(20, 20),
        }
        renderer = Renderer(ffmpeg=find_ffmpeg(None), cache=renders, at_once=2, timeout=60)
        async with open_emulator(Settings(keys=(KEY,), **(defaults | options)), None, renderer) as emulator:
            server = Server(create_app(emulator))
            server.config.ssl_certfile, server.config.ssl_keyfile = str(cert), str(private)
            with listen("127.0.0.1", 0) as listener:
                task = asyncio.create_task(server.serve(sockets=[listener]))
                resolver = Resolver(listener.getsockname()[1], cert)
                try:
                    yield StandIn(emulator, resolver)
                finally:
                    await resolver.aclose()
                    server.stop()
                    await task
        await renderer.close()

    return opened


def entry(name: str, *steps: Any, usd: float = 2.5, tier: int = 2, requests: int = 400) -> PlannedProgram:
    return PlannedProgram(Program(name=name, steps=steps, tier=tier), usd, requests, "a test")


REJECTED = entry("broken-input", submit(given={}), status(), until("COMPLETED", seconds=300), result())
GOES_ON = entry("lifecycle", submit(), status(), tier=4)


@pytest.mark.parametrize("missing", OPEN)
def test_each_environment_variable_is_required(missing: str) -> None:
    with pytest.raises(LiveDisabled):
        settings({name: value for name, value in OPEN.items() if name != missing})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FAL_LIVE", "yes"),
        ("FAL_LIVE_BUDGET_USD", "a lot"),
        ("FAL_LIVE_BUDGET_USD", "-1"),
        ("FAL_LIVE_BUDGET_USD", "inf"),
    ],
)
def test_a_wrong_value_of_an_environment_variable_is_refused(name: str, value: str) -> None:
    with pytest.raises(LiveDisabled):
        settings(OPEN | {name: value})


async def test_the_free_tiers_of_the_plan_are_sent_and_recorded(stand_in: Any, tmp_path: Path) -> None:
    async with stand_in() as there:
        live = there.live()
        outcome = await live.execute(live.planned(2))
    assert outcome.could_not_look == {}
    assert outcome.findings == []
    assert outcome.running == []
    assert outcome.spent == 0.0
    assert there.running() == 0
    assert {t.name for t in outcome.transcripts} == {e.program.name for e in live.planned(2)}
    transcripts.write(outcome.transcripts, tmp_path / "live")
    assert all(t.date == TODAY for t in transcripts.read_all(tmp_path / "live"))


async def test_no_recorded_file_contains_the_key_in_any_encoding(stand_in: Any, tmp_path: Path) -> None:
    folder = tmp_path / "recorded"
    async with stand_in() as there:
        live = there.live()
        outcome = await live.execute(live.planned(2))
    transcripts.write(outcome.transcripts, folder)
    written = [path.read_text() for path in folder.rglob("*") if path.is_file()]
    assert len(written) == len(outcome.transcripts) > 5
    for text in written:
        assert not [form for form in scrubbing.encodings(KEY) if form in text]
        assert not scrubbing.KEY_FORM.search(text)


async def test_no_submit_is_sent_without_a_budget(stand_in: Any) -> None:
    async with stand_in() as there:
        outcome = await there.live(REJECTED, FAL_LIVE_BUDGET_USD="0.00").execute([REJECTED])
        assert [line for line in there.resolver.seen if line.startswith("POST")] == []
    assert "at worst" in outcome.could_not_look["broken-input"]
    assert outcome.spent == 0.0


async def test_the_budget_is_shared_by_all_programs(stand_in: Any) -> None:
    first, second = (replace(GOES_ON, program=replace(GOES_ON.program, name=name)) for name in ("one", "two"))
    async with stand_in() as there:
        outcome = await there.live(first, second).execute([first, second])
        submits = [line for line in there.resolver.seen if line.startswith("POST")]
        assert there.running() == 0
    assert len(submits) == 1
    assert outcome.spent == 2.5
    assert "two" in outcome.could_not_look


async def test_the_reservation_of_a_free_job_is_released(stand_in: Any) -> None:
    again = replace(REJECTED, program=replace(REJECTED.program, name="again"))
    async with stand_in() as there:
        outcome = await there.live(REJECTED, again).execute([REJECTED, again])
    assert outcome.could_not_look == {}
    assert outcome.spent == 0.0


async def test_a_program_outside_the_plan_is_not_sent(stand_in: Any) -> None:
    changed = replace(REJECTED, program=replace(REJECTED.program, steps=(submit(given=VALID_INPUT),)))
    async with stand_in() as there:
        with pytest.raises(NotPlanned):
            await there.live(REJECTED).execute([changed])
        assert there.resolver.seen == []


async def test_no_more_calls_are_sent_than_planned(stand_in: Any) -> None:
    chatty = entry("chatty", *[call("GET", "/fal-ai/veo2", key="none")] * 5, requests=3)
    async with stand_in() as there:
        outcome = await there.live(chatty).execute([chatty])
        assert len(there.resolver.seen) == 3
    assert "chatty" in outcome.could_not_look


async def test_a_job_that_a_program_leaves_running_is_cancelled(stand_in: Any) -> None:
    async with stand_in() as there:
        outcome = await there.live(GOES_ON).execute([GOES_ON])
        assert there.running() == 0
    assert outcome.running == []


@pytest.mark.parametrize("moment", range(8))
async def test_an_interrupted_run_leaves_no_job_running(stand_in: Any, moment: int) -> None:
    """The run is cancelled during the n-th call."""
    steps = entry(
        "lifecycle",
        submit("A"),
        status("A"),
        submit("B"),
        status("B"),
        status("A"),
        status("B"),
        cancel("B"),
        status("B"),
        tier=4,
        usd=1.0,
    )
    async with stand_in() as there:
        task: asyncio.Task[Any]
        count = 0

        class Interrupting(httpx.AsyncBaseTransport):
            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                nonlocal count
                if count == moment:
                    asyncio.get_running_loop().call_soon(task.cancel)
                count += 1
                answer: httpx.Response = await there.resolver.handle_async_request(request)
                return answer

        task = asyncio.create_task(there.live(steps, transport=Interrupting()).execute([steps]))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert there.running() == 0


async def test_a_locked_account_ends_the_run_without_transcripts(stand_in: Any) -> None:
    async with stand_in(locked=(KEY.partition(":")[0],)) as there:
        outcome = await there.live(REJECTED, GOES_ON).execute([REJECTED, GOES_ON])
    assert outcome.could_not_look == {
        "broken-input": "the account is locked",
        "lifecycle": "the account is locked",
    }
    assert outcome.transcripts == []
    assert outcome.spent == 0.0


class Answering(httpx.AsyncBaseTransport):
    """Answers the n-th call itself."""

    def __init__(
        self, inner: httpx.AsyncBaseTransport, number: int, answer: Callable[[], httpx.Response]
    ) -> None:
        self._inner, self._number, self._answer = inner, number, answer
        self._count = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._count += 1
        if self._count == self._number:
            return self._answer()
        return await self._inner.handle_async_request(request)


def dropped() -> httpx.Response:
    raise httpx.ReadError("the connection broke")


@pytest.mark.parametrize("code", [429, 500, 502, 503])
async def test_limits_and_server_errors_end_the_run_without_transcripts(stand_in: Any, code: int) -> None:
    async with stand_in() as there:
        trouble = Answering(
            there.resolver, 2, lambda: httpx.Response(code, stream=httpx.ByteStream(b'{"detail": "no"}'))
        )
        outcome = await there.live(GOES_ON, REJECTED, transport=trouble).execute([GOES_ON, REJECTED])
        assert there.running() == 0
    assert set(outcome.could_not_look) == {"lifecycle", "broken-input"}
    assert outcome.transcripts == []
    assert outcome.spent == 2.5  # the job exists, and no answer shows that it was free


async def test_a_broken_connection_is_not_recorded_and_its_job_is_cancelled(stand_in: Any) -> None:
    async with stand_in() as there:
        broken = Answering(there.resolver, 2, dropped)
        outcome = await there.live(GOES_ON, transport=broken).execute([GOES_ON])
        assert there.running() == 0
    assert outcome.could_not_look == {"lifecycle": "the connection broke: ReadError"}
    assert outcome.running == []


async def test_a_submit_without_an_answer_is_a_finding_and_counts_as_spent(stand_in: Any) -> None:
    async with stand_in() as there:
        outcome = await there.live(GOES_ON, transport=Answering(there.resolver, 1, dropped)).execute(
            [GOES_ON]
        )
    assert "an unknown job may be running" in outcome.findings[0]
    assert outcome.spent == 2.5


async def test_an_accepted_invalid_input_ends_the_run(stand_in: Any) -> None:
    taken = entry("broken-input", submit(given=VALID_INPUT), until("COMPLETED", seconds=300), result())
    after = entry("after", call("GET", "/fal-ai/veo2", key="none"))
    async with stand_in() as there:
        outcome = await there.live(taken, after).execute([taken, after])
    assert "accepted an invalid input" in outcome.findings[0]
    assert outcome.spent == 2.5
    assert {t.name for t in outcome.transcripts} == {"broken-input"}


async def test_the_key_is_sent_to_hosts_of_fals_queue_only() -> None:
    async def elsewhere(request: httpx.Request) -> httpx.Response:
        pytest.fail(f"sent to {request.url.host}")

    guard = LiveGuard(httpx.MockTransport(elsewhere), Budget(9.0))
    guard.admit(REJECTED)
    async with httpx.AsyncClient(transport=guard) as http:
        for url in ("https://queue.fal.run.example.com/x", "http://queue.fal.run/x", "https://fal.run/x"):
            with pytest.raises(WrongHost):
                await http.get(url)


async def test_at_most_two_calls_a_second_and_two_at_the_same_time_are_sent() -> None:
    now, sent, together, most = 0.0, [], 0, 0

    async def slowly(request: httpx.Request) -> httpx.Response:
        nonlocal together, most
        sent.append(now)
        together += 1
        most = max(most, together)
        for _ in range(50):  # long enough for all others to arrive, if they were allowed to
            await asyncio.sleep(0)
        together -= 1
        return httpx.Response(200, request=request)

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        await asyncio.sleep(0)

    guard = LiveGuard(httpx.MockTransport(slowly), Budget(), sleep=sleep, clock=lambda: now)
    guard.admit(REJECTED)
    async with httpx.AsyncClient(transport=guard) as http:
        await asyncio.gather(*(http.get("https://queue.fal.run/x") for _ in range(6)))
    assert all(b - a >= 0.49 for a, b in pairwise(sent))
    assert most == 2


def test_the_reviewed_plan_is_the_proposed_one() -> None:
    assert [e.as_json() for e in planning.read().values()] == json.loads(planning.text())


def test_the_plan_submits_only_empty_inputs_to_the_expensive_model() -> None:
    for planned in planning.read().values():
        for step in planned.program.steps:
            if step.do == "submit" and step.endpoint.startswith("fal-ai/veo"):
                assert step.input == {}
                assert planned.program.tier <= 2


def test_planned_submits_are_not_retried_and_do_not_start_late() -> None:
    for planned in planning.read().values():
        for step in planned.program.steps:
            if step.do == "submit" and step.key == "a":
                assert step.header("x-fal-request-timeout") is not None
                if step.header("x-fal-request-timeout") != "soon":  # which fal refuses
                    assert step.header("x-fal-no-retry") == "1"
