from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import respx
from emulated import APPLICATION, ENDPOINT, GOOD, HOSTED, KEY, data_uri, png

from falmock.inspection.entries import Attempt, Exchange, JournalError, JournalFilter, lines, read
from falmock.inspection.har import archived
from falmock.inspection.recorded import KEPT, Transition
from falmock.inspection.redaction import shortened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from emulated import Mock

    Start = Callable[..., Awaitable[Mock]]

HOOK = "http://localhost:3000/hook"
SECRET = "0123456789abcdef0123456789abcdef"
SECRET_KEY = {"Authorization": f"Key me:{SECRET}"}


def exchanges(mock: Mock, **wanted: Any) -> list[Exchange]:
    found = mock.journal.entries(JournalFilter(**wanted))
    return [each for each in found if isinstance(each, Exchange)]


def steps(mock: Mock) -> list[Transition]:
    return [each for each in mock.journal.entries() if isinstance(each, Transition)]


def attempts(mock: Mock) -> list[Attempt]:
    return [each for each in mock.journal.entries() if isinstance(each, Attempt)]


def exported(mock: Mock) -> str:
    """Return a journal in all its text forms."""
    entries = mock.journal.entries()
    return "".join([*lines(entries, 0), json.dumps(archived(entries)), repr(entries), str(entries)])


# Calls


async def test_a_call_is_recorded_with_its_response(mock: Mock) -> None:
    submitted = await mock.submit(headers={"X-Falmock-Test": "checkout"})

    (call,) = exchanges(mock)
    assert (call.host, call.operation, call.endpoint) == ("queue.fal.run", "submit", ENDPOINT)
    assert (call.caller, call.test, call.request_id) == ("me", "checkout", submitted["request_id"])
    assert (call.method, call.path, call.at) == ("POST", f"/{ENDPOINT}", mock.clock.now())
    assert call.input == {"prompt": "A lego chef cooking eggs", "image_url": HOSTED}
    assert (call.status, call.answer, call.over) == (200, submitted, True)
    assert call.took > 0


async def test_a_data_uri_in_a_recorded_input_is_shortened(mock: Mock) -> None:
    await mock.submit(data_uri(png()))

    assert exchanges(mock)[0].input["image_url"] == shortened(data_uri(png()))


async def test_a_data_uri_after_blanks_is_shortened_too(mock: Mock) -> None:
    await mock.submit(f" \n{data_uri(png())}")

    assert exchanges(mock)[0].input["image_url"] == shortened(data_uri(png()))


async def test_a_data_uri_of_megabytes_is_shortened(mock: Mock) -> None:
    picture = png() + bytes(3_000_000)
    await mock.submit(data_uri(picture))

    (call,) = exchanges(mock)
    assert call.input == GOOD | {"image_url": shortened(data_uri(picture))}
    assert call.input_size > 4_000_000


async def test_equal_inputs_have_equal_digests(mock: Mock) -> None:
    for prompt in ("a", "a", "b"):
        await mock.submit(prompt=prompt)

    first, same, other = (call.input_sha256 for call in exchanges(mock))
    assert (first == same, first == other) == (True, False)


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/nobody/nothing/requests/x/status", "queue.fal.run", 404),
        ("/fal.run/nobody/nothing", "fal.run", 404),
        ("/rest.fal.ai/nothing", "rest.fal.ai", 404),
        ("/v3.fal.media/files/nothing", "v3.fal.media", 404),
        ("/api.fal.ai/v1/models/pricing", "api.fal.ai", 401),
        ("/fal.ai/nothing", "fal.ai", 404),
        ("/gateway.fal.ai/nothing", "gateway.fal.ai", 421),
    ],
)
async def test_calls_to_every_host_are_recorded(mock: Mock, path: str, host: str, status: int) -> None:
    answer = await mock.http.get(path)

    (call,) = exchanges(mock)
    assert (call.host, call.status, call.answer) == (host, status, answer.json())


async def test_a_call_with_a_wrong_method_is_recorded(mock: Mock) -> None:
    await mock.http.delete("/rest.fal.ai/storage/upload/initiate", headers=KEY)
    await mock.get("/fal-ai/veo2/image-to-video/requests/x/status")

    assert [(call.status, call.request_id) for call in exchanges(mock)] == [(405, None), (405, "x")]


async def test_only_the_size_of_an_upload_is_recorded(mock: Mock) -> None:
    body = {"file_name": "a.bin", "content_type": "application/octet-stream"}
    initiated = await mock.http.post("/rest.fal.ai/storage/upload/initiate", json=body, headers=KEY)
    await mock.http.put(initiated.json()["upload_url"], content=b"z" * 200_000)

    _, call = exchanges(mock, operation="upload")
    assert (call.input, call.input_size) == (None, 200_000)
    assert exported(mock).count("zzz") == 0


async def test_a_download_records_whether_the_file_is_public(mock: Mock) -> None:
    url = (await mock.finish()).json()["video"]["url"]
    await mock.http.get(url)

    (call,) = exchanges(mock, operation="download")
    assert (call.public, call.answer, call.answer_size > 1000) == (True, None, True)


async def test_a_status_stream_is_recorded_as_text(mock: Mock) -> None:
    submitted = await mock.submit()
    await mock.pass_time(60)
    answer = await mock.get(f"{submitted['status_url']}/stream")

    (call,) = exchanges(mock, operation="stream")
    assert call.answer == answer.text


@pytest.fixture
async def running(mock: Mock) -> AsyncIterator[asyncio.Task[httpx.Response]]:
    """A call to the run host that waits for its response."""
    task = asyncio.create_task(mock.http.post(f"/fal.run/{ENDPOINT}", json=GOOD, headers=KEY))
    while not steps(mock):  # noqa: ASYNC110 - the journal shows its arrival
        await asyncio.sleep(0)
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_call_without_a_response_yet_is_in_the_journal(
    mock: Mock, running: asyncio.Task[httpx.Response]
) -> None:
    (call,) = exchanges(mock)

    assert (call.status, call.error, call.over) == (None, None, False)
    assert str(call).endswith("no answer yet")


async def test_a_call_to_the_run_host_has_the_id_of_its_request(
    mock: Mock, running: asyncio.Task[httpx.Response]
) -> None:
    await mock.pass_time(60)
    answer = await running

    (call,) = exchanges(mock)
    assert (call.over, call.request_id) == (True, answer.headers["x-fal-request-id"])


async def test_a_call_that_is_cancelled_is_recorded_without_a_response(
    mock: Mock, running: asyncio.Task[httpx.Response]
) -> None:
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    (call,) = exchanges(mock)
    assert (call.status, call.error, call.over) == (None, "CancelledError", True)


# Transitions


async def test_every_transition_of_a_request_is_recorded(mock: Mock) -> None:
    submitted = await mock.submit()
    began = mock.clock.now()
    await mock.pass_time(60)

    assert [(step.event, step.state, step.attempt, step.status, step.at - began) for step in steps(mock)] == [
        ("submit", "IN_QUEUE", 0, None, 0),
        ("start", "IN_PROGRESS", 1, None, 1),
        ("finish", "COMPLETED", 1, 200, 5),
    ]
    assert {(step.request_id, step.endpoint, step.caller) for step in steps(mock)} == {
        (submitted["request_id"], ENDPOINT, "me")
    }


async def test_requeues_after_a_run_timeout_are_recorded(start: Start) -> None:
    mock = await start(run_timeout=2)
    await mock.submit()
    await mock.pass_time(6)

    assert [step.event for step in steps(mock)] == ["submit", "start", "requeue", "start", "requeue"]


async def test_a_cancel_is_recorded_as_a_transition(mock: Mock) -> None:
    await mock.cancel(await mock.submit())

    assert [(step.event, step.error_type) for step in steps(mock)][1:] == [("cancel", "client_cancelled")]


# Webhooks


@pytest.fixture
def receiver() -> Any:
    with respx.mock(assert_all_called=False) as router:
        yield router.post(url__startswith=HOOK)


async def test_every_webhook_attempt_is_recorded(mock: Mock, receiver: respx.Route) -> None:
    receiver.side_effect = [
        httpx.ConnectError("no"),
        httpx.Response(503, text="later"),
        httpx.Response(200, json={"ok": True}, headers={"X-Mine": "1"}),
    ]
    result = await mock.finish(query=f"?fal_webhook={HOOK}", headers={"X-Falmock-Test": "checkout"})

    tried = attempts(mock)
    assert [(each.number, each.status, each.error, each.answer) for each in tried] == [
        (1, None, "cannot connect", None),
        (2, 503, None, "later"),
        (3, 200, None, {"ok": True}),
    ]
    assert {(each.test, each.caller, each.endpoint, each.url) for each in tried} == {
        ("checkout", "me", ENDPOINT, HOOK)
    }
    assert tried[0].body["payload"] == result.json()
    assert {"x-fal-webhook-signature", "content-type"} < dict(tried[0].headers).keys()
    assert ("x-mine", "1") in tried[2].answer_headers


async def test_a_webhook_that_is_not_sent_is_recorded_as_an_attempt(mock: Mock) -> None:
    await mock.finish(query="?fal_webhook=https://app.example.com/hook")

    assert [(each.status, each.error) for each in attempts(mock)] == [(None, "not local")]


async def test_only_the_beginning_of_a_receivers_response_is_recorded(
    mock: Mock, receiver: respx.Route
) -> None:
    receiver.respond(200, text="x" * 100_000)
    await mock.finish(query=f"?fal_webhook={HOOK}")

    assert [len(attempt.answer) for attempt in attempts(mock)] == [4096]


async def test_a_webhook_response_that_breaks_off_counts_as_delivered(
    mock: Mock, receiver: respx.Route
) -> None:
    class Broken(httpx.AsyncByteStream):
        async def __aiter__(self) -> Any:
            yield b"so far"
            raise httpx.ReadError("gone")

    receiver.return_value = httpx.Response(200, stream=Broken())
    await mock.finish(query=f"?fal_webhook={HOOK}")

    assert [(each.status, each.error) for each in attempts(mock)] == [(200, None)]
    assert mock.emulator.store.delivered() == 1


# Secrets


async def test_exported_journals_contain_no_secrets(start: Start, receiver: respx.Route) -> None:
    mock = await start(keys=(f"me:{SECRET}",))
    http, rest = mock.http, "/rest.fal.ai"
    jwt = (await http.post(f"{rest}/tokens/", json={"allowed_apps": ["veo2"]}, headers=SECRET_KEY)).json()
    token = (await http.post(f"{rest}/storage/auth/token", json={}, headers=SECRET_KEY)).json()["token"]
    announced = {"file_name": "a.bin"}
    upload = (await http.post(f"{rest}/storage/upload/initiate", json=announced, headers=SECRET_KEY)).json()
    await http.put(upload["upload_url"], content=b"x")
    bearer = {"Authorization": f"Bearer {token}"}
    many = (await http.post("/v3.fal.media/files/upload/multipart", headers=bearer)).json()
    await http.put(f"{many['access_url']}/multipart/{many['uploadId']}/1", content=b"x")
    hook = "http://user:hook-password@localhost:3000/hook?token=hook-token"
    body = GOOD | {"image_url": "https://b.s3.io/a.png?X-Amz-Signature=signed", "fal_key": f"me:{SECRET}"}
    headers = SECRET_KEY | {"Cookie": "session=cookie-secret"}
    submit = await http.post(f"/{ENDPOINT}", params={"fal_webhook": hook}, json=body, headers=headers)
    await mock.pass_time(60)
    await http.get(f"{submit.json()['status_url']}/stream", params={"fal_jwt_token": jwt})
    await http.get("/", headers={"x-fal-target-url": f"https://queue.fal.run/x/y?fal_jwt_token={jwt}"})
    await http.post(f"/{ENDPOINT}", json=body, headers={"Authorization": f"Bearer me:{SECRET}"})
    await http.post(f"/{ENDPOINT}", json=body, headers={"Authorization": SECRET})

    text = exported(mock)
    signature = upload["upload_url"].partition("signature=")[2]
    secrets = [
        SECRET,
        jwt,
        token,
        signature,
        many["uploadId"],
        "hook-password",
        "hook-token",
        "cookie-secret",
    ]
    assert [secret for secret in [*secrets, "signed"] if secret in text] == []
    assert len(attempts(mock)) == 1
    assert len(exchanges(mock)) == 11


async def test_headers_with_a_nul_byte_are_not_recorded(mock: Mock) -> None:
    headers = [(b"x-odd", b"a\0b"), (b"authorization", b"Key me:" + SECRET.encode())]
    await mock.http.get(f"/{ENDPOINT}", headers=headers)

    assert SECRET not in exported(mock)


# Bounds


async def test_the_oldest_entries_are_dropped_first_and_counted(start: Start) -> None:
    mock = await start(journal_size=6_000)
    submitted = await mock.submit()
    for _ in range(40):
        await mock.status(submitted)

    entries = mock.journal.entries()
    assert 5 < len(entries) < 20
    assert mock.journal.dropped == 42 - len(entries)
    assert [entry.id for entry in entries] == list(range(43 - len(entries), 43))


async def test_a_long_input_is_cut_at_the_limit(mock: Mock) -> None:
    await mock.submit(prompt="x" * 200_000)

    assert len(exchanges(mock)[0].input) == KEPT


async def test_a_journal_of_size_zero_records_nothing(start: Start) -> None:
    mock = await start(journal_size=0)
    await mock.finish()

    assert mock.journal.entries() == []


# Filters


@pytest.fixture
async def two(mock: Mock) -> Mock:
    """Two requests, one of a test, each polled once without the name of the test."""
    for headers in ({"X-Falmock-Test": "a"}, {}):
        await mock.status(await mock.submit(headers=headers))
        await mock.pass_time(100)
    await mock.http.get("/rest.fal.ai/.well-known/jwks.json")
    return mock


@pytest.mark.parametrize(
    ("wanted", "number"),
    [
        ({}, 11),
        ({"test": "a"}, 5),
        ({"test": "b"}, 0),
        ({"endpoint": ENDPOINT}, 10),
        ({"endpoint": "fal-ai/*"}, 10),
        ({"endpoint": APPLICATION}, 10),
        ({"operation": "submit"}, 2),
        ({"operation": "submit", "test": "a"}, 1),
        ({"operation": "webhook"}, 0),
        ({"since": 1_790_000_100.0}, 6),
        ({"until": 1_790_000_100.0}, 5),
    ],
)
async def test_entries_are_filtered_by_their_fields(two: Mock, wanted: Any, number: int) -> None:
    assert len(two.journal.entries(JournalFilter(**wanted))) == number


async def test_entries_are_filtered_by_request(two: Mock) -> None:
    request_id = exchanges(two)[0].request_id

    chosen = two.journal.entries(JournalFilter(request=request_id))
    assert (len(chosen), {each.request_id for each in chosen}) == (5, {request_id})


async def test_a_journal_can_be_cleared_by_filter_or_completely(two: Mock) -> None:
    two.journal.clear(JournalFilter(test="a"))
    left = len(two.journal.entries())
    two.journal.clear()

    assert (left, two.journal.entries()) == (6, [])


@pytest.mark.parametrize("query", [r"\ud800=1", r"a=\ud800", r"fal_webhook=http://x/?\ud800", r"\udfff"])
async def test_a_body_with_a_lone_surrogate_in_a_url_is_recorded_as_json(mock: Mock, query: str) -> None:
    body = f'{{"prompt": "a", "image_url": "https://example.com/?{query}"}}'
    await mock.http.post(f"/{ENDPOINT}", content=body, headers=KEY)

    (call,) = exchanges(mock)
    assert (call.input["prompt"], call.input["image_url"][:21]) == ("a", "https://example.com/?")


# Lines


async def test_json_lines_are_read_back_unchanged(mock: Mock, receiver: respx.Route) -> None:
    receiver.respond(200)
    await mock.finish(data_uri(png()), query=f"?fal_webhook={HOOK}")
    await mock.http.post(f"/{ENDPOINT}", content=rb'{"prompt": "\ud800 \u0000 \u2603"}', headers=KEY)
    entries = mock.journal.entries()

    text = "".join(lines(entries, 7))
    assert json.loads(text.splitlines()[0])["dropped"] == 7
    assert read(text) == entries


@pytest.mark.parametrize(
    "text",
    ["", "x", "[]", "{}", '{"kind": "x"}', '{"kind": "journal"}\n{"kind": "x"}', '{"kind": "journal"}\n[]'],
)
def test_reading_another_format_is_an_error_of_one_line(text: str) -> None:
    with pytest.raises(JournalError) as caught:
        read(text)

    assert "\n" not in str(caught.value)


async def test_every_entry_has_a_one_line_text(mock: Mock, receiver: respx.Route) -> None:
    receiver.respond(200)
    submitted = await mock.submit(query=f"?fal_webhook={HOOK}")
    await mock.pass_time(60)

    rid = submitted["request_id"]
    texts = [str(entry) for entry in mock.journal.entries()]
    assert texts == [
        f"#1 POST queue.fal.run/{ENDPOINT}: 200",
        f"#2 {rid} submit: IN_QUEUE",
        f"#3 {rid} start: IN_PROGRESS",
        f"#4 {rid} finish: COMPLETED with 200",
        f"#5 webhook of {rid}, attempt 1: 200",
    ]
