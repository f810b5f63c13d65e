"""Faults in calls, as a client sees them."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from emulated import ENDPOINT, GOOD, KEY, data_uri, png, serving

from falmock.faults.rules import Rule

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from emulated import Mock

    Start = Callable[..., Awaitable[Mock]]


def add_rule(mock: Mock, fault: str, **rule: Any) -> None:
    mock.emulator.rule_set.add(Rule(fault=fault, **rule))


@pytest.fixture
async def wire(mock: Mock) -> AsyncIterator[httpx.AsyncClient]:
    """The emulator over a real connection."""
    async with (
        serving(mock.emulator) as address,
        httpx.AsyncClient(base_url=address, headers=KEY, trust_env=False, timeout=5) as http,
    ):
        yield http


async def test_locked_account_cannot_submit_but_can_poll(mock: Mock) -> None:
    submitted = await mock.submit()
    add_rule(mock, "locked", times="always")

    refused = await mock.http.post(f"/{ENDPOINT}", json=GOOD, headers=KEY)
    read = await mock.status(submitted)

    assert refused.status_code == 403
    assert refused.json()["detail"].startswith("User is locked. Reason: Exhausted balance.")
    assert read.status_code == 202


@pytest.mark.parametrize(
    ("fault", "status", "member"),
    [
        ("rate_limited", 429, "detail"),
        ("internal_error", 500, "error_type"),
        ("bad_request", 400, "error_type"),
        ("runner_scheduling_failure", 503, "error_type"),
    ],
)
async def test_submit_is_answered_with_the_injected_error(
    mock: Mock, fault: str, status: int, member: str
) -> None:
    add_rule(mock, fault, on="submit")

    refused = await mock.http.post(f"/{ENDPOINT}", json=GOOD, headers=KEY)

    assert refused.status_code == status
    assert member in refused.json()
    assert mock.emulator.store.requests() == []


async def test_result_times_out_twice_and_is_then_returned(mock: Mock) -> None:
    submitted = await mock.submit(data_uri(png()))
    await mock.pass_time(60)
    add_rule(mock, "gateway_timeout", on="result", times=2)

    answers = [await mock.result(submitted) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [504, 504, 200]
    assert {answer.headers["x-fal-request-id"] for answer in answers} == {submitted["request_id"]}


@pytest.mark.parametrize("text", ["%0d%0ax-injected:%201", "%F0%9F%A6%84", "x"])
async def test_text_in_the_place_of_a_request_id_is_not_repeated_in_a_header(
    mock: Mock, wire: httpx.AsyncClient, text: str
) -> None:
    add_rule(mock, "gateway_timeout", on="result")

    answer = await wire.get(f"/fal-ai/veo2/requests/{text}", headers=KEY)

    assert answer.status_code == 504
    assert {"x-fal-request-id", "x-injected"}.isdisjoint(answer.headers)


async def test_bad_gateway_is_html_without_a_request_id(mock: Mock) -> None:
    submitted = await mock.submit()
    add_rule(mock, "bad_gateway", on="status")

    answer = await mock.status(submitted)

    assert answer.status_code == 502
    assert answer.headers["content-type"].startswith("text/html")
    assert "x-fal-request-id" not in answer.headers
    assert "nginx" in answer.text


async def test_run_host_answers_with_an_injected_concurrency_limit(mock: Mock) -> None:
    add_rule(mock, "concurrency_limit")

    answer = await mock.http.post(f"/fal.run/{ENDPOINT}", json=GOOD, headers=KEY)

    assert answer.status_code == 429
    assert answer.json()["type"] == "concurrent_requests_limit"


async def test_submit_on_a_reset_connection_creates_no_request(mock: Mock, wire: httpx.AsyncClient) -> None:
    add_rule(mock, "connection_reset", on="submit")

    with pytest.raises(httpx.ReadError):
        await wire.post(f"/{ENDPOINT}", json=GOOD)

    assert mock.emulator.store.requests() == []


async def test_submit_whose_response_is_lost_creates_a_request(mock: Mock, wire: httpx.AsyncClient) -> None:
    add_rule(mock, "answer_lost")

    with pytest.raises(httpx.ReadError):
        await wire.post(f"/{ENDPOINT}", json=GOOD)

    assert len(mock.emulator.store.requests()) == 1


async def test_hanging_call_gets_no_response_until_the_caller_gives_up(
    mock: Mock, wire: httpx.AsyncClient
) -> None:
    submitted = await mock.submit()
    add_rule(mock, "hang", on="status")

    with pytest.raises(httpx.ReadTimeout):
        await wire.get(httpx.URL(submitted["status_url"]).path, timeout=0.05)


async def test_truncated_response_ends_early(mock: Mock, wire: httpx.AsyncClient) -> None:
    submitted = await mock.submit()
    add_rule(mock, "truncated_body", on="status")

    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        await wire.get(httpx.URL(submitted["status_url"]).path)


async def test_call_after_a_broken_connection_is_answered(mock: Mock, wire: httpx.AsyncClient) -> None:
    submitted = await mock.submit()
    add_rule(mock, "connection_reset", on="status")
    path = httpx.URL(submitted["status_url"]).path

    with pytest.raises(httpx.ReadError):
        await wire.get(path)

    assert (await wire.get(path)).status_code == 202


@pytest.mark.parametrize("path", ["initiate?storage_type=gcs", "initiate?storage_type=fal-cdn-v3"])
async def test_storage_type_of_an_upload_is_refused(mock: Mock, path: str) -> None:
    add_rule(mock, "storage_type_refused")

    first, second = [
        await mock.http.post(
            f"/rest.fal.ai/storage/upload/{path}", json={"file_name": "x", "content_type": "a/b"}, headers=KEY
        )
        for _ in range(2)
    ]

    assert (first.status_code, first.text) == (400, '{"detail":"Invalid storage type"}')
    assert second.status_code == 200


async def test_answer_without_cors_headers_cannot_be_read_by_a_page(mock: Mock) -> None:
    add_rule(mock, "no_cors", on="submit")
    page = KEY | {"origin": "http://localhost:3000"}

    bare, usual = [await mock.http.post(f"/{ENDPOINT}", json=GOOD, headers=page) for _ in range(2)]

    assert (bare.status_code, usual.status_code) == (200, 200)
    assert [name for name in bare.headers if name.startswith("access-control-")] == []
    assert usual.headers["access-control-allow-origin"] == "http://localhost:3000"


async def test_a_fault_leaves_out_the_reason_phrase(mock: Mock, wire: httpx.AsyncClient) -> None:
    submitted = await mock.submit()
    add_rule(mock, "no_reason", on="status", times=2)
    path = httpx.URL(submitted["status_url"]).path

    answers = [await wire.get(path) for _ in range(3)]

    assert [answer.reason_phrase for answer in answers] == ["", "", "Accepted"]
    assert [answer.json()["request_id"] for answer in answers] == [submitted["request_id"]] * 3


async def test_fault_of_a_connection_strikes_its_own_call_of_a_pipeline(mock: Mock) -> None:
    submitted = await mock.submit()
    add_rule(mock, "no_reason", on="status")
    path = httpx.URL(submitted["status_url"]).path
    poll = f"GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Key me:secret"
    health = "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close"

    async with serving(mock.emulator) as address:
        url = httpx.URL(address)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(f"{poll}\r\n\r\n{health}\r\n\r\n".encode())
        received = await reader.read()
        writer.close()

    assert re.findall(rb"HTTP/1.1 [^\r]*", received) == [b"HTTP/1.1 202 ", b"HTTP/1.1 200 OK"]


async def test_answer_to_a_caller_in_the_same_process_has_no_status_line_to_change(mock: Mock) -> None:
    add_rule(mock, "no_reason", on="submit")

    assert (await mock.http.post(f"/{ENDPOINT}", json=GOOD, headers=KEY)).status_code == 200


async def test_upload_that_waits_for_a_100_gets_it_before_a_status_line_without_a_reason(
    mock: Mock,
) -> None:
    upload = await mock.http.post(
        "/rest.fal.ai/storage/upload/initiate", json={"file_name": "x", "content_type": "a/b"}, headers=KEY
    )
    add_rule(mock, "no_reason", on="upload")
    url = httpx.URL(upload.json()["upload_url"])
    head = f"PUT {url.raw_path.decode()} HTTP/1.1\r\nhost: 127.0.0.1:8787\r\ncontent-length: 1\r\n"

    async with serving(mock.emulator) as address:
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(address).port)
        writer.write(f"{head}content-type: a/b\r\nexpect: 100-continue\r\n\r\n".encode())
        between = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"x")
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()

    assert (between, line) == (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 \r\n")


async def test_missing_file_is_404(mock: Mock) -> None:
    result = await mock.finish(prompt="[[fal: media_missing]]")

    answer = await mock.get(result.json()["video"]["url"])

    assert answer.status_code == 404


async def test_truncated_file_ends_early(mock: Mock, wire: httpx.AsyncClient) -> None:
    result = await mock.finish(prompt="[[fal: media_truncated]]")
    path = httpx.URL(result.json()["video"]["url"]).path

    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        await wire.get(path)


async def test_expired_file_is_404(mock: Mock) -> None:
    submitted = await mock.submit(prompt="[[fal: media_expired seconds=30]]")
    await mock.pass_time(6)
    url = (await mock.result(submitted)).json()["video"]["url"]
    before = await mock.get(url)

    await mock.pass_time(60)
    after = await mock.get(url)

    assert (before.status_code, after.status_code) == (200, 404)


async def test_slow_file_arrives_completely(mock: Mock) -> None:
    result = await mock.finish(prompt="[[fal: media_slow seconds=0]]")
    video = result.json()["video"]

    answer = await mock.get(video["url"])

    assert len(answer.content) == video["file_size"]


async def test_fault_header_affects_its_own_call(mock: Mock) -> None:
    submitted = await mock.submit()

    answer = await mock.get(submitted["status_url"], **{"x-falmock-fault": "internal_error"})

    assert (answer.status_code, answer.json()["error_type"]) == (500, "internal_error")
    assert answer.headers["x-fal-request-id"] == submitted["request_id"]


async def test_fault_header_of_a_submit_affects_the_request(mock: Mock) -> None:
    submitted = await mock.submit(headers={"x-falmock-fault": "content_policy_violation"})
    await mock.pass_time(60)

    assert (await mock.result(submitted)).status_code == 422


async def test_fault_in_a_prompt_affects_a_later_call(mock: Mock) -> None:
    submitted = await mock.submit(prompt="[[fal: gateway_timeout]]")

    answers = [await mock.status(submitted) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [504, 202]
    assert mock.emulator.rule_set.rules() == []


@pytest.mark.parametrize("fault", ["nonsense", "slow minutes=5"])
async def test_unknown_or_invalid_fault_is_a_bad_request(mock: Mock, fault: str) -> None:
    answer = await mock.http.post(f"/{ENDPOINT}", json={**GOOD, "prompt": f"[[fal: {fault}]]"}, headers=KEY)

    assert (answer.status_code, answer.json()["error_type"]) == (400, "bad_request")
    assert fault.partition(" ")[0] in answer.json()["detail"]


async def test_fault_that_cannot_affect_the_call_is_a_bad_request(mock: Mock) -> None:
    submitted = await mock.submit()

    answer = await mock.get(submitted["status_url"], **{"x-falmock-fault": "webhook_twice"})

    assert answer.status_code == 400
    assert "webhook_twice cannot occur on status" in answer.json()["detail"]


async def test_rule_for_a_prompt_affects_the_calls_about_that_request(mock: Mock) -> None:
    dragon = await mock.submit(prompt="a dragon")
    cat = await mock.submit(prompt="a cat")
    add_rule(mock, "internal_error", on="status", prompt="dragon", endpoint=ENDPOINT, times="always")

    assert (await mock.status(dragon)).status_code == 500
    assert (await mock.status(cat)).status_code == 202


async def test_rule_for_a_test_does_not_affect_other_tests(mock: Mock) -> None:
    add_rule(mock, "rate_limited", test="one", times="always")

    async def submit(test: str) -> int:
        headers = KEY | {"x-falmock-test": test}
        return (await mock.http.post(f"/{ENDPOINT}", json=GOOD, headers=headers)).status_code

    assert (await submit("one"), await submit("two")) == (429, 200)


async def test_scenarios_of_the_settings_apply_from_the_start(start: Start) -> None:
    mock = await start(scenarios=("locked",))

    assert (await mock.http.post(f"/{ENDPOINT}", json=GOOD, headers=KEY)).status_code == 403
