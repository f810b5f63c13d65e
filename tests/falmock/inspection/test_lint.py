from __future__ import annotations

import contextlib
import gc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fal_client
import httpx
import pytest
import respx
from emulated import BASE, ENDPOINT, GOOD, Mock, png
from naive import HOOK, Naive, receiver

import falqueue
from falmock.app import create_app
from falmock.inspection import journal
from falmock.inspection.lint import RULES, Finding, check
from falmock.settings import Settings, Span
from falmock.testing.transport import offline

if TYPE_CHECKING:
    from collections.abc import Iterator

ELEVEN = [
    "completed-as-success",
    "polls-too-fast",
    "status-under-subpath",
    "resubmits-after-timeout",
    "never-cancels",
    "ignores-signature",
    "refuses-duplicate",
    "bearer-key",
    "key-to-media-host",
    "waits-after-completed",
    "retries-422",
]


def found(mock: Mock) -> list[Finding]:
    return check(mock.journal.entries(), now=mock.clock.now())


def rules(mock: Mock) -> list[str]:
    return [finding.rule for finding in found(mock)]


@pytest.fixture
def hook() -> Iterator[None]:
    transport = httpx.ASGITransport(receiver())
    with respx.mock(assert_all_called=False) as router:
        router.post(HOOK).mock(side_effect=transport.handle_async_request)
        yield


def test_there_are_eleven_rules() -> None:
    assert list(RULES) == ELEVEN


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_every_rule_has_a_reason_and_a_source(rule: Any) -> None:
    assert (rule.why.endswith("."), "PROTOCOL.md" in rule.source or "https://" in rule.source) == (True, True)
    assert rule.look.__doc__.startswith("Found where ")


# The naive client


@pytest.mark.parametrize("rule", ELEVEN)
async def test_each_mistake_is_found_and_no_other(mock: Mock, hook: None, rule: str) -> None:
    await getattr(Naive(mock, rule), rule.replace("-", "_"))()

    assert rules(mock) == [rule]


async def test_all_eleven_are_found_in_one_client_and_told_apart(mock: Mock, hook: None) -> None:
    for rule in ELEVEN:
        await getattr(Naive(mock, rule), rule.replace("-", "_"))()

    assert {finding.rule: finding.test for finding in found(mock)} == {rule: rule for rule in ELEVEN}
    assert len(found(mock)) == len(ELEVEN)


@pytest.mark.parametrize("rule", ELEVEN)
async def test_a_finding_has_evidence_and_no_secret(mock: Mock, hook: None, rule: str) -> None:
    await getattr(Naive(mock, rule), rule.replace("-", "_"))()

    (finding,) = found(mock)
    told = {str(entry) for entry in mock.journal.entries()}
    assert set(finding.evidence) - {line for line in finding.evidence if line.startswith("...")} <= told
    assert str(finding).startswith(f"{rule}: ")
    assert "secret" not in str(finding)


@pytest.mark.parametrize("rule", ELEVEN)
async def test_it_is_found_in_a_journal_on_disk_too(mock: Mock, hook: None, rule: str) -> None:
    await getattr(Naive(mock, rule), rule.replace("-", "_"))()
    entries = mock.journal.entries()

    read = journal.read("".join(journal.lines(entries, 0)))
    assert check(read, now=mock.clock.now()) == check(entries, now=mock.clock.now())


# falqueue


@pytest.fixture
def client(mock: Mock) -> falqueue.AsyncClient:
    """Talks to the emulator, whose time passes while it sleeps."""
    return falqueue.AsyncClient(
        "me:secret",
        base_url=BASE,
        transport=httpx.ASGITransport(create_app(mock.emulator)),
        sleep=mock.pass_time,
        clock=mock.clock.now,
        wall_clock=mock.clock.now,
    )


async def test_a_success_is_without_fault(mock: Mock, client: falqueue.AsyncClient, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(png() + bytes(2 << 20))
    request = falqueue.Veo2ImageToVideo(prompt="It waves", image_url=picture)
    output = await client.subscribe(request)
    await client.download(output.video, tmp_path / "out.mp4")
    handle = await client.submit(ENDPOINT, GOOD)
    await mock.pass_time(60)
    assert [status async for status in client.stream(handle)]
    await client.result(handle)
    await mock.pass_time(3600)

    assert found(mock) == []


@pytest.mark.parametrize("fault", ["content_policy_violation", "request_timeout", "result_504"])
async def test_a_failure_is_without_fault(mock: Mock, client: falqueue.AsyncClient, fault: str) -> None:
    with pytest.raises(falqueue.FalqueueError):
        await client.subscribe(ENDPOINT, GOOD | {"prompt": f"[[fal: {fault}]]"})
    await mock.pass_time(3600)

    assert found(mock) == []


async def test_a_cancel_is_without_fault(mock: Mock, client: falqueue.AsyncClient) -> None:
    with pytest.raises(falqueue.TookTooLong):
        await client.subscribe(ENDPOINT, GOOD, timeout=2)
    await mock.pass_time(3600)

    assert found(mock) == []


@pytest.mark.parametrize(
    "fault", ["webhook_twice", "webhook_bad_signature", "webhook_old_timestamp", "webhook_late"]
)
async def test_a_receiver_is_without_fault(mock: Mock, client: falqueue.AsyncClient, fault: str) -> None:
    async def take(request: httpx.Request) -> httpx.Response:
        try:
            await client.verify_webhook(request.content, request.headers)
        except falqueue.FalqueueError:
            return httpx.Response(401)
        return httpx.Response(200)

    with respx.mock(assert_all_called=False) as router:
        router.post(HOOK).mock(side_effect=take)
        await client.submit(ENDPOINT, GOOD | {"prompt": f"[[fal: {fault}]]"}, webhook_url=HOOK)
        await mock.pass_time(3600)

    assert found(mock) == []
    assert [entry for entry in mock.journal.entries() if entry.kind == "attempt"]


# fal's own client


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # it leaves connections to the collector
@pytest.mark.parametrize("duration", ["5s", "9s"])
def test_fals_own_client_is_without_fault(duration: str) -> None:
    waits = Settings(media="plain", queue_seconds=Span(0.1, 0.1), run_seconds=Span(0.8, 0.8))
    with offline(waits) as emulator:
        client = fal_client.SyncClient(key="me:secret")
        with contextlib.suppress(fal_client.FalClientHTTPError):
            client.subscribe(ENDPOINT, GOOD | {"duration": duration}, with_logs=True)
        entries = journal.journal_of(emulator).entries()
    gc.collect()

    assert check(entries) == []
    assert len(entries) > 5


# Where the line is drawn


async def test_several_equal_jobs_that_are_followed_are_a_choice(mock: Mock) -> None:
    naive = Naive(mock, "a")
    for submitted in [await naive.submit() for _ in range(3)]:
        await naive.poll(submitted)
        await naive.get(submitted["response_url"])

    assert found(mock) == []


async def test_fals_own_pace_is_not_too_fast(mock: Mock) -> None:
    naive = Naive(mock, "a")
    submitted = await naive.submit()
    await naive.poll(submitted, every=0.1, times=100)
    await naive.get(submitted["response_url"])

    assert found(mock) == []


async def test_one_more_poll_after_completed_is_fals_own_habit(mock: Mock) -> None:
    naive = Naive(mock, "a")
    submitted = await naive.submit()
    await naive.poll(submitted)
    await naive.poll(submitted)
    await naive.get(submitted["response_url"])

    assert found(mock) == []


async def test_a_cancelled_job_may_be_submitted_again(mock: Mock) -> None:
    naive = Naive(mock, "a")
    await mock.cancel(await naive.submit())
    submitted = await naive.submit()
    await naive.poll(submitted)
    await naive.get(submitted["response_url"])

    assert found(mock) == []


async def test_a_file_with_an_access_list_needs_the_key(mock: Mock) -> None:
    lifecycle = '{"initial_acl": {"default": "forbid", "rules": []}}'
    headers = {"X-Fal-Object-Lifecycle-Preference": lifecycle}
    url = (await mock.finish(headers=headers)).json()["video"]["url"]
    answer = await mock.get(url)

    assert (answer.status_code, found(mock)) == (200, [])


class Broken:
    """A connection that breaks when a fault says so."""

    async def drop(self) -> None:
        raise httpx.ReadError("dropped")

    async def hang(self) -> None:
        raise NotImplementedError


async def test_a_lost_answer_is_no_excuse_to_submit_again(mock: Mock) -> None:
    naive = Naive(mock, "a")
    app = create_app(mock.emulator)

    async def breakable(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "falmock.connection": Broken()}, receive, send)

    asked = GOOD | {"prompt": "for a"}
    headers = naive.headers | {"x-falmock-fault": "answer_lost"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(breakable), base_url=BASE) as http:
        with pytest.raises(httpx.ReadError):
            await http.post(f"/{ENDPOINT}", json=asked, headers=headers)
    submitted = await naive.submit()
    await naive.poll(submitted)
    await naive.get(submitted["response_url"])

    assert rules(mock) == ["resubmits-after-timeout"]


async def test_who_still_asks_has_not_gone(mock: Mock) -> None:
    naive = Naive(mock, "a")
    submitted = await naive.submit()
    await naive.poll(submitted, times=2)

    assert found(mock) == []


async def test_nothing_is_found_in_nothing() -> None:
    assert check([]) == []


def test_the_page_has_every_rule_as_it_is() -> None:
    page = (Path(__file__).parents[3] / "docs" / "journal.md").read_text()

    def where(rule: Any) -> str:
        return str(rule.look.__doc__.splitlines()[0]).removeprefix("Found where ").rstrip(".")

    assert [line for line in page.splitlines() if line.startswith("| `")] == [
        f"| `{rule.name}` | {where(rule)} | {rule.why} |" for rule in RULES.values()
    ]
