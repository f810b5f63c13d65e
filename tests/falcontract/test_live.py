"""The live path, proved without fal: an emulator stands in for fal's host names, over TLS."""

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

from falcontract import planning, scrubbing, transcripts
from falcontract.budget import Budget
from falcontract.live import GateClosed, Live, Misled, Turnstile, gates
from falcontract.planning import Entry, NotPlanned
from falcontract.steps import GOOD, Program, call, cancel, result, status, submit, until
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
FAST = 200.0  # emulated seconds in a real one


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for fal's names, signed by nobody but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a stand-in for fal")])
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
    """Leads fal's names to the stand-in, and nobody anywhere else."""

    def __init__(self, port: int, trusted: Path) -> None:
        self._port = port
        self._inner = httpx.AsyncHTTPTransport(verify=ssl.create_default_context(cafile=str(trusted)))
        self.seen: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        assert host in {"queue.fal.run", "rest.fal.ai"}
        self.seen.append(f"{request.method} {request.url.path}")
        led = httpx.Request(
            request.method,
            request.url.copy_with(host="127.0.0.1", port=self._port),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": host},
        )
        return await self._inner.handle_async_request(led)

    async def aclose(self) -> None:
        await self._inner.aclose()


class StandIn:
    """The emulator, and what a test does to the answers on their way."""

    def __init__(self, emulator: Emulator, resolver: Resolver) -> None:
        self.emulator, self.resolver = emulator, resolver

    def running(self) -> int:
        return len(self.emulator._queue._jobs)

    def live(self, *entries: Entry, transport: Any = None, **environ: str) -> Live:
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
    async def opened(**settings: Any) -> AsyncIterator[StandIn]:
        told: dict[str, Any] = {
            "time_scale": FAST,
            "seed": 1,
            "media": "plain",
            "queue_seconds": Span(20, 20),
            "run_seconds": Span(20, 20),
        }
        renderer = Renderer(ffmpeg=find_ffmpeg(None), cache=renders, at_once=2, timeout=60)
        async with open_emulator(Settings(keys=(KEY,), **(told | settings)), None, renderer) as emulator:
            server = Server(create_app(emulator))
            server.config.ssl_certfile, server.config.ssl_keyfile = str(cert), str(private)
            with listen("127.0.0.1", 0) as listener:
                task = asyncio.create_task(server.serve(sockets=[listener]))
                resolver = Resolver(listener.getsockname()[1], cert)
                try:
                    yield StandIn(emulator, resolver)
                finally:
                    await resolver.aclose()
                    server.should_exit = True
                    await task
        await renderer.close()

    return opened


def entry(name: str, *steps: Any, usd: float = 2.5, tier: int = 2, requests: int = 400) -> Entry:
    return Entry(Program(name=name, steps=steps, tier=tier), usd, requests, "a test")


REJECTED = entry("broken-input", submit(given={}), status(), until("COMPLETED", seconds=300), result())
GOES_ON = entry("life", submit(), status(), tier=4)


@pytest.mark.parametrize("gate", OPEN)
def test_each_gate_has_to_be_open(gate: str) -> None:
    with pytest.raises(GateClosed):
        gates({name: value for name, value in OPEN.items() if name != gate})


@pytest.mark.parametrize(
    ("gate", "value"),
    [
        ("FAL_LIVE", "yes"),
        ("FAL_LIVE_BUDGET_USD", "a lot"),
        ("FAL_LIVE_BUDGET_USD", "-1"),
        ("FAL_LIVE_BUDGET_USD", "inf"),
    ],
)
def test_a_gate_opens_to_its_own_word_only(gate: str, value: str) -> None:
    with pytest.raises(GateClosed):
        gates(OPEN | {gate: value})


async def test_the_free_tiers_of_the_plan_are_sent_and_judged(stand_in: Any, tmp_path: Path) -> None:
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


async def test_the_key_is_in_no_file_in_any_encoding(stand_in: Any, tmp_path: Path) -> None:
    folder = tmp_path / "recorded"
    async with stand_in() as there:
        live = there.live()
        outcome = await live.execute(live.planned(2))
    transcripts.write(outcome.transcripts, folder)
    written = [path.read_text() for path in folder.rglob("*") if path.is_file()]
    assert len(written) == len(outcome.transcripts) > 5
    for text in written:
        assert not [form for form in scrubbing.encodings(KEY) if form in text]
        assert not scrubbing.SHAPE.search(text)


async def test_without_a_budget_nothing_that_may_cost_is_sent(stand_in: Any) -> None:
    async with stand_in() as there:
        outcome = await there.live(REJECTED, FAL_LIVE_BUDGET_USD="0.00").execute([REJECTED])
        assert [line for line in there.resolver.seen if line.startswith("POST")] == []
    assert "at worst" in outcome.could_not_look["broken-input"]
    assert outcome.spent == 0.0


async def test_the_budget_holds_over_all_programs(stand_in: Any) -> None:
    first, second = (replace(GOES_ON, program=replace(GOES_ON.program, name=name)) for name in ("one", "two"))
    async with stand_in() as there:
        outcome = await there.live(first, second).execute([first, second])
        submits = [line for line in there.resolver.seen if line.startswith("POST")]
        assert there.running() == 0
    assert len(submits) == 1
    assert outcome.spent == 2.5
    assert "two" in outcome.could_not_look


async def test_what_is_shown_to_be_free_is_given_back(stand_in: Any) -> None:
    again = replace(REJECTED, program=replace(REJECTED.program, name="again"))
    async with stand_in() as there:
        outcome = await there.live(REJECTED, again).execute([REJECTED, again])
    assert outcome.could_not_look == {}
    assert outcome.spent == 0.0


async def test_a_program_that_is_not_in_the_plan_is_not_sent(stand_in: Any) -> None:
    changed = replace(REJECTED, program=replace(REJECTED.program, steps=(submit(given=GOOD),)))
    async with stand_in() as there:
        with pytest.raises(NotPlanned):
            await there.live(REJECTED).execute([changed])
        assert there.resolver.seen == []


async def test_no_more_requests_are_sent_than_planned(stand_in: Any) -> None:
    chatty = entry("chatty", *[call("GET", "/fal-ai/veo2", key="none")] * 5, requests=3)
    async with stand_in() as there:
        outcome = await there.live(chatty).execute([chatty])
        assert len(there.resolver.seen) == 3
    assert "chatty" in outcome.could_not_look


async def test_a_job_that_a_program_leaves_is_cancelled(stand_in: Any) -> None:
    async with stand_in() as there:
        outcome = await there.live(GOES_ON).execute([GOES_ON])
        assert there.running() == 0
    assert outcome.running == []


@pytest.mark.parametrize("moment", range(8))
async def test_an_interrupted_run_leaves_nothing_running(stand_in: Any, moment: int) -> None:
    """The run is interrupted while the n-th request is on its way."""
    steps = entry(
        "life",
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


async def test_a_locked_account_is_no_match(stand_in: Any) -> None:
    async with stand_in(locked=(KEY.partition(":")[0],)) as there:
        outcome = await there.live(REJECTED, GOES_ON).execute([REJECTED, GOES_ON])
    assert outcome.could_not_look == {
        "broken-input": "the account is locked",
        "life": "the account is locked",
    }
    assert outcome.transcripts == []
    assert outcome.spent == 0.0


class Answering(httpx.AsyncBaseTransport):
    """Answers the n-th request by itself."""

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
    raise httpx.ReadError("the line was dropped")


@pytest.mark.parametrize("code", [429, 500, 502, 503])
async def test_trouble_is_no_match_and_ends_the_run(stand_in: Any, code: int) -> None:
    async with stand_in() as there:
        trouble = Answering(
            there.resolver, 2, lambda: httpx.Response(code, stream=httpx.ByteStream(b'{"detail": "no"}'))
        )
        outcome = await there.live(GOES_ON, REJECTED, transport=trouble).execute([GOES_ON, REJECTED])
        assert there.running() == 0
    assert set(outcome.could_not_look) == {"life", "broken-input"}
    assert outcome.transcripts == []
    assert outcome.spent == 2.5  # the job was made, and nobody has shown that it cost nothing


async def test_a_dropped_line_is_no_match_and_its_job_is_cancelled(stand_in: Any) -> None:
    async with stand_in() as there:
        broken = Answering(there.resolver, 2, dropped)
        outcome = await there.live(GOES_ON, transport=broken).execute([GOES_ON])
        assert there.running() == 0
    assert outcome.could_not_look == {"life": "the line broke: ReadError"}
    assert outcome.running == []


async def test_a_submit_without_an_answer_is_a_finding_and_counts_as_spent(stand_in: Any) -> None:
    async with stand_in() as there:
        outcome = await there.live(GOES_ON, transport=Answering(there.resolver, 1, dropped)).execute(
            [GOES_ON]
        )
    assert "a job may run unseen" in outcome.findings[0]
    assert outcome.spent == 2.5


async def test_an_input_that_should_not_have_been_taken_stops_the_tier(stand_in: Any) -> None:
    taken = entry("broken-input", submit(given=GOOD), until("COMPLETED", seconds=300), result())
    after = entry("after", call("GET", "/fal-ai/veo2", key="none"))
    async with stand_in() as there:
        outcome = await there.live(taken, after).execute([taken, after])
    assert "took an input that cannot be run" in outcome.findings[0]
    assert outcome.spent == 2.5
    assert {t.name for t in outcome.transcripts} == {"broken-input"}


async def test_the_key_goes_to_fals_queue_and_nobody_else() -> None:
    async def elsewhere(request: httpx.Request) -> httpx.Response:
        pytest.fail(f"sent to {request.url.host}")

    turnstile = Turnstile(httpx.MockTransport(elsewhere), Budget(9.0))
    turnstile.admit(REJECTED)
    async with httpx.AsyncClient(transport=turnstile) as http:
        for url in ("https://queue.fal.run.example.com/x", "http://queue.fal.run/x", "https://fal.run/x"):
            with pytest.raises(Misled):
                await http.get(url)


async def test_two_requests_a_second_and_two_at_once() -> None:
    now, sent, together, most = 0.0, [], 0, 0

    async def slowly(request: httpx.Request) -> httpx.Response:
        nonlocal together, most
        sent.append(now)
        together += 1
        most = max(most, together)
        await asyncio.sleep(0)
        together -= 1
        return httpx.Response(200, request=request)

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        await asyncio.sleep(0)

    turnstile = Turnstile(httpx.MockTransport(slowly), Budget(), sleep=sleep, clock=lambda: now)
    turnstile.admit(REJECTED)
    async with httpx.AsyncClient(transport=turnstile) as http:
        await asyncio.gather(*(http.get("https://queue.fal.run/x") for _ in range(6)))
    assert all(b - a >= 0.49 for a, b in pairwise(sent))
    assert most <= 2


def test_the_plan_is_the_one_that_was_reviewed() -> None:
    assert [e.as_json() for e in planning.read().values()] == json.loads(planning.text())


def test_the_only_broken_input_for_a_dear_model_is_an_empty_one() -> None:
    for planned in planning.read().values():
        for step in planned.program.steps:
            if step.do == "submit" and step.endpoint.startswith("fal-ai/veo"):
                assert step.input == {}
                assert planned.program.tier <= 2


def test_whatever_is_submitted_is_not_run_twice_nor_late() -> None:
    for planned in planning.read().values():
        for step in planned.program.steps:
            if step.do == "submit" and step.key == "a":
                assert {"X-Fal-No-Retry", "X-Fal-Request-Timeout"} <= step.headers.keys() or "Timeout" in str(
                    step.headers
                )
