from __future__ import annotations

import asyncio
import contextlib
import gc
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fal_client
import httpx
import pytest
import respx
from emulated import BASE, ENDPOINT, GOOD, KEY, Mock, png, veo
from naive import HOOK, Naive, receiver

import falqueue
from falmock.app import create_app
from falmock.catalogue import Catalogue
from falmock.inspection.entries import lines, read
from falmock.inspection.journal import journal_of
from falmock.inspection.lint import RULES, Finding, check
from falmock.settings import Settings, Span
from falmock.testing.transport import offline

if TYPE_CHECKING:
    from collections.abc import Iterator

MISTAKES = [
    "completed-as-success",
    "polls-too-fast",
    "status-under-subpath",
    "resubmits-after-timeout",
    "never-cancels",
    "ignores-signature",
    "accepts-reserialized",
    "refuses-duplicate",
    "bearer-key",
    "key-to-media-host",
    "waits-after-completed",
    "retries-422",
    "webhook-in-input",
    "unknown-field",
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


def test_the_client_check_has_a_rule_for_each_mistake() -> None:
    assert list(RULES) == MISTAKES


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_every_rule_of_the_client_check_has_a_reason_a_source_and_a_description(rule: Any) -> None:
    assert (rule.why.endswith("."), "PROTOCOL.md" in rule.source or "https://" in rule.source) == (True, True)
    assert rule.find.__doc__.startswith("Found where ")


# The naive client


@pytest.mark.parametrize("rule", MISTAKES)
async def test_each_mistake_of_the_naive_client_has_its_finding_and_no_other(
    mock: Mock, hook: None, rule: str
) -> None:
    await getattr(Naive(mock, rule), rule.replace("-", "_"))()

    assert rules(mock) == [rule]


async def test_all_mistakes_in_one_journal_have_one_finding_each(mock: Mock, hook: None) -> None:
    for rule in MISTAKES:
        await getattr(Naive(mock, rule), rule.replace("-", "_"))()

    assert {finding.rule: finding.test for finding in found(mock)} == {rule: rule for rule in MISTAKES}
    assert len(found(mock)) == len(MISTAKES)


@pytest.mark.parametrize("rule", MISTAKES)
async def test_a_finding_has_evidence_and_no_secrets(mock: Mock, hook: None, rule: str) -> None:
    await getattr(Naive(mock, rule), rule.replace("-", "_"))()

    (finding,) = found(mock)
    texts = {str(entry) for entry in mock.journal.entries()}
    assert set(finding.evidence) - {line for line in finding.evidence if line.startswith("...")} <= texts
    assert str(finding).startswith(f"{rule}: ")
    assert "secret" not in str(finding)


@pytest.mark.parametrize("rule", MISTAKES)
async def test_a_saved_journal_has_the_same_findings(mock: Mock, hook: None, rule: str) -> None:
    await getattr(Naive(mock, rule), rule.replace("-", "_"))()
    entries = mock.journal.entries()

    saved = read("".join(lines(entries, 0)))
    assert check(saved, now=mock.clock.now()) == check(entries, now=mock.clock.now())


# falqueue


@pytest.fixture
def client(mock: Mock) -> falqueue.AsyncClient:
    """A client of the emulator whose sleeps advance the emulated time."""
    return falqueue.AsyncClient(
        "me:secret",
        base_url=BASE,
        transport=httpx.ASGITransport(create_app(mock.emulator)),
        sleep=mock.pass_time,
        clock=mock.clock.now,
        wall_clock=mock.clock.now,
    )


async def test_falqueue_has_no_findings_for_a_success(
    mock: Mock, client: falqueue.AsyncClient, tmp_path: Path
) -> None:
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
async def test_falqueue_has_no_findings_for_a_failure(
    mock: Mock, client: falqueue.AsyncClient, fault: str
) -> None:
    with pytest.raises(falqueue.FalqueueError):
        await client.subscribe(ENDPOINT, GOOD | {"prompt": f"[[fal: {fault}]]"})
    await mock.pass_time(3600)

    assert found(mock) == []


async def test_falqueue_has_no_findings_for_a_cancel(mock: Mock, client: falqueue.AsyncClient) -> None:
    with pytest.raises(falqueue.TookTooLong):
        await client.subscribe(ENDPOINT, GOOD, timeout=2)
    await mock.pass_time(3600)

    assert found(mock) == []


@pytest.mark.parametrize(
    "fault",
    [
        "webhook_twice",
        "webhook_bad_signature",
        "webhook_reserialized",
        "webhook_old_timestamp",
        "webhook_late",
    ],
)
async def test_a_webhook_receiver_with_falqueue_has_no_findings(
    mock: Mock, client: falqueue.AsyncClient, fault: str
) -> None:
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


@pytest.mark.parametrize("fault", ["webhook_bad_signature", "webhook_reserialized"])
async def test_a_receiver_that_verifies_the_body_it_has_serialised_again_is_found(
    mock: Mock, client: falqueue.AsyncClient, fault: str
) -> None:
    async def take(request: httpx.Request) -> httpx.Response:
        again = json.dumps(json.loads(request.content), sort_keys=True).encode()
        try:
            await client.verify_webhook(again, request.headers)
        except falqueue.FalqueueError:
            return httpx.Response(401)
        return httpx.Response(200)

    with respx.mock(assert_all_called=False) as router:
        router.post(HOOK).mock(side_effect=take)
        await client.submit(ENDPOINT, GOOD | {"prompt": f"[[fal: {fault}]]"}, webhook_url=HOOK)
        await mock.pass_time(60)

    assert rules(mock) == (["accepts-reserialized"] if fault == "webhook_reserialized" else [])


# fal's own client


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # it leaves connections to the garbage collector
@pytest.mark.parametrize("duration", ["5s", "9s"])
def test_the_client_of_fal_has_no_findings(duration: str) -> None:
    waits = Settings(media="plain", queue_seconds=Span(0.1, 0.1), run_seconds=Span(0.8, 0.8))
    with offline(waits) as emulator:
        client = fal_client.SyncClient(key="me:secret")
        with contextlib.suppress(fal_client.FalClientHTTPError):
            client.subscribe(ENDPOINT, GOOD | {"duration": duration}, with_logs=True)
        entries = journal_of(emulator).entries()
    gc.collect()

    assert check(entries) == []
    assert len(entries) > 5


# Inputs


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("durations", f"sent 'durations', which {ENDPOINT} does not have: did you mean duration?"),
        ("imageUrl", f"sent 'imageUrl', which {ENDPOINT} does not have: did you mean image_url?"),
        ("aspect-ratio", f"sent 'aspect-ratio', which {ENDPOINT} does not have: did you mean aspect_ratio?"),
        ("seed", f"sent 'seed', which {ENDPOINT} does not have"),
        ("webhook", f"sent webhook inside the input of {ENDPOINT}"),
        ("webhook_url", f"sent webhook_url inside the input of {ENDPOINT}"),
        ("webhookUrl", f"sent webhookUrl inside the input of {ENDPOINT}"),
        ("fal_webhook", f"sent fal_webhook inside the input of {ENDPOINT}"),
    ],
)
async def test_a_field_that_the_model_does_not_have_is_found_once_with_the_nearest_name(
    mock: Mock, name: str, says: str
) -> None:
    for prompt in ("one", "two"):
        await mock.http.post(f"/{ENDPOINT}", json=GOOD | {"prompt": prompt, name: "x"}, headers=KEY)

    (finding,) = found(mock)
    assert (finding.says, len(finding.evidence)) == (says, 2)


async def test_a_field_that_the_model_does_not_have_is_found_in_a_run(mock: Mock) -> None:
    body = GOOD | {"durations": "6s"}
    running = asyncio.create_task(mock.http.post(f"/fal.run/{ENDPOINT}", json=body, headers=KEY))
    while not mock.emulator.store.open_requests():  # noqa: ASYNC110 - the call is on its way
        await asyncio.sleep(0)
    await mock.pass_time(60)
    await running

    assert rules(mock) == ["unknown-field"]


async def test_a_right_input_is_no_finding(mock: Mock) -> None:
    naive = Naive(mock, "a")
    submitted = await naive.submit(f"?fal_webhook={HOOK}", aspect_ratio="auto", duration="5s")
    await naive.poll(submitted)
    await naive.get(submitted["response_url"])

    assert found(mock) == []


@pytest.mark.parametrize("body", [b"[1]", b"{", b'"webhook_url"', b""])
async def test_an_input_that_is_no_object_is_no_finding(mock: Mock, body: bytes) -> None:
    await mock.http.post(f"/{ENDPOINT}", content=body, headers=KEY)

    assert found(mock) == []


async def test_the_fields_of_a_model_are_those_of_the_emulators_own_catalogue(mock: Mock) -> None:
    fields = {"webhook_url": {"type": "string"}, "frames": {"type": "integer"}}
    schemas = {**veo().entry.schemas, "Own": {"type": "object", "properties": fields}}
    own = Catalogue([veo(schemas=schemas, input="Own")])
    await mock.submit()
    await mock.http.post(f"/{ENDPOINT}", json={"webhook_url": HOOK, "frames": 1, "length": 1}, headers=KEY)

    said = [finding.says for finding in check(mock.journal.entries(), catalogue=own)]
    assert sorted(said) == [
        f"sent {name!r}, which {ENDPOINT} does not have" for name in ("image_url", "length", "prompt")
    ]


async def test_an_input_for_a_model_that_is_not_in_the_catalogue_is_no_finding(mock: Mock) -> None:
    await mock.http.post("/fal-ai/veo2/nothing", json={"webhook_url": HOOK}, headers=KEY)

    assert found(mock) == []


# No finding where it may be a choice


async def test_equal_requests_that_are_all_followed_are_no_finding(mock: Mock) -> None:
    naive = Naive(mock, "a")
    for submitted in [await naive.submit() for _ in range(3)]:
        await naive.poll(submitted)
        await naive.get(submitted["response_url"])

    assert found(mock) == []


async def test_polling_as_fast_as_the_client_of_fal_is_no_finding(mock: Mock) -> None:
    naive = Naive(mock, "a")
    submitted = await naive.submit()
    await naive.poll(submitted, every=0.1, times=100)
    await naive.get(submitted["response_url"])

    assert found(mock) == []


async def test_one_more_poll_after_completed_is_no_finding(mock: Mock) -> None:
    naive = Naive(mock, "a")
    submitted = await naive.submit()
    await naive.poll(submitted)
    await naive.poll(submitted)
    await naive.get(submitted["response_url"])

    assert found(mock) == []


async def test_a_submit_after_a_cancel_is_no_finding(mock: Mock) -> None:
    naive = Naive(mock, "a")
    await mock.cancel(await naive.submit())
    submitted = await naive.submit()
    await naive.poll(submitted)
    await naive.get(submitted["response_url"])

    assert found(mock) == []


async def test_a_key_for_a_file_with_an_access_list_is_no_finding(mock: Mock) -> None:
    lifecycle = '{"initial_acl": {"default": "forbid", "rules": []}}'
    headers = {"X-Fal-Object-Lifecycle-Preference": lifecycle}
    url = (await mock.finish(headers=headers)).json()["video"]["url"]
    answer = await mock.get(url)

    assert (answer.status_code, found(mock)) == (200, [])


class Broken:
    """A connection that a fault can break."""

    async def drop(self) -> None:
        raise httpx.ReadError("dropped")

    async def hang(self) -> None:
        raise NotImplementedError


async def test_a_repeated_submit_after_a_lost_response_is_a_finding(mock: Mock) -> None:
    naive = Naive(mock, "a")
    app = create_app(mock.emulator)

    async def breakable(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "falmock.connection": Broken()}, receive, send)

    body = GOOD | {"prompt": "for a"}
    headers = naive.headers | {"x-falmock-fault": "answer_lost"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(breakable), base_url=BASE) as http:
        with pytest.raises(httpx.ReadError):
            await http.post(f"/{ENDPOINT}", json=body, headers=headers)
    submitted = await naive.submit()
    await naive.poll(submitted)
    await naive.get(submitted["response_url"])

    assert rules(mock) == ["resubmits-after-timeout"]


async def test_a_client_that_still_polls_has_no_finding(mock: Mock) -> None:
    naive = Naive(mock, "a")
    submitted = await naive.submit()
    await naive.poll(submitted, times=2)

    assert found(mock) == []


async def test_an_empty_journal_has_no_findings() -> None:
    assert check([]) == []


def test_the_journal_page_lists_every_rule_with_its_description() -> None:
    page = (Path(__file__).parents[3] / "docs" / "journal.md").read_text()

    def where(rule: Any) -> str:
        return str(rule.find.__doc__.splitlines()[0]).removeprefix("Found where ").rstrip(".")

    assert [line for line in page.splitlines() if line.startswith("| `")] == [
        f"| `{rule.name}` | {where(rule)} | {rule.why} |" for rule in RULES.values()
    ]
