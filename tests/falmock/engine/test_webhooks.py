"""Webhooks as a receiver sees them (PROTOCOL.md 9)."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import respx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from falmock.engine.delivery import RETRIES, is_deliverable, next_attempt, payload, timeout, without_secrets

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from emulated import Mock

    Start = Callable[..., Awaitable[Mock]]

HOOK = "http://localhost:3000/api/hook"
QUERY = f"?fal_webhook={HOOK}"


@pytest.fixture
def receiver() -> Iterator[respx.Route]:
    with respx.mock(assert_all_called=False) as router:
        yield router.post(HOOK).respond(200)


def bodies(receiver: respx.Route) -> list[Any]:
    return [json.loads(call.request.content) for call in receiver.calls]


async def test_the_payload_of_a_success_equals_the_result(mock: Mock, receiver: respx.Route) -> None:
    result = await mock.finish(query=QUERY)

    rid = result.headers["x-fal-request-id"]
    (body,) = bodies(receiver)
    assert list(body.items()) == [
        ("error", None),
        ("gateway_request_id", rid),
        ("payload", result.json()),
        ("request_id", rid),
        ("status", "OK"),
    ]


async def test_a_failed_request_is_delivered_with_its_status_and_result(
    mock: Mock, receiver: respx.Route
) -> None:
    result = await mock.finish(query=QUERY, duration="9s")

    (body,) = bodies(receiver)
    assert (body["status"], body["error"], body["payload"]) == (
        "ERROR",
        "Unexpected status code: 422",
        result.json(),
    )


async def test_a_webhook_has_a_json_content_type(mock: Mock, receiver: respx.Route) -> None:
    await mock.finish(query=QUERY)

    assert receiver.calls.last.request.headers["content-type"] == "application/json"


async def test_a_receiver_can_verify_the_signature_with_the_published_key(
    mock: Mock, receiver: respx.Route
) -> None:
    await mock.finish(query=QUERY)

    sent = receiver.calls.last.request
    names = ("Request-Id", "User-Id", "Timestamp", "Signature")
    rid, user, timestamp, signature = (sent.headers[f"X-Fal-Webhook-{name}"] for name in names)
    lines = [rid, user, timestamp, hashlib.sha256(sent.content).hexdigest()]
    _, key = (await mock.http.get("/rest.fal.ai/.well-known/jwks.json")).json()["keys"]
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"]))
    public.verify(bytes.fromhex(signature), "\n".join(lines).encode())
    assert abs(mock.clock.now() - int(timestamp)) <= 300
    assert rid == bodies(receiver)[0]["request_id"]


async def test_no_webhook_is_sent_before_the_request_is_completed(mock: Mock, receiver: respx.Route) -> None:
    await mock.submit(query=QUERY)
    await mock.pass_time(4.9)

    assert not receiver.called


async def test_a_webhook_url_in_the_body_is_ignored(mock: Mock, receiver: respx.Route) -> None:
    await mock.finish(fal_webhook=HOOK, webhookUrl=HOOK)

    assert not receiver.called


@pytest.mark.parametrize("answer", [httpx.Response(500), httpx.Response(404), httpx.ConnectError("x")])
async def test_an_attempt_without_2xx_is_retried_with_the_same_body(
    mock: Mock, receiver: respx.Route, answer: httpx.Response | Exception
) -> None:
    receiver.side_effect = [answer, answer, httpx.Response(204)]

    await mock.finish(query=QUERY)

    sent = [call.request for call in receiver.calls]
    assert len(sent) == 3
    assert len({request.content for request in sent}) == 1


async def test_each_attempt_has_its_own_timestamp(mock: Mock, receiver: respx.Route) -> None:
    receiver.side_effect = [httpx.Response(500), httpx.Response(500), httpx.Response(200)]

    await mock.finish(query=QUERY)

    first, second, third = (int(call.request.headers["X-Fal-Webhook-Timestamp"]) for call in receiver.calls)
    assert 1 <= second - first <= 3
    assert 31 <= third - second <= 47


async def test_a_delivered_webhook_is_not_sent_again(mock: Mock, receiver: respx.Route) -> None:
    await mock.finish(query=QUERY)
    await mock.pass_time(3600)

    assert receiver.call_count == 1


async def test_a_redirect_is_not_followed_and_not_retried(mock: Mock, receiver: respx.Route) -> None:
    receiver.respond(302, headers={"location": "http://localhost:3000/elsewhere"})

    await mock.finish(query=QUERY)
    await mock.pass_time(3600)

    assert receiver.call_count == 1


async def test_cookies_of_a_receiver_are_not_sent_back(mock: Mock, receiver: respx.Route) -> None:
    receiver.respond(500, headers={"set-cookie": "session=1"})

    await mock.finish(query=QUERY)

    assert len(receiver.calls) > 1
    assert all("cookie" not in call.request.headers for call in receiver.calls)


async def test_a_delivery_fails_after_31_retries_within_the_retention_of_the_result(
    start: Start, receiver: respx.Route
) -> None:
    mock = await start(retention=86_400)
    receiver.respond(500)

    await mock.finish(query=QUERY)
    await mock.pass_time(86_400)

    assert receiver.call_count == 1 + RETRIES


async def test_the_first_attempt_times_out_after_15_seconds_and_later_ones_after_120(
    mock: Mock, receiver: respx.Route
) -> None:
    receiver.side_effect = [httpx.ReadTimeout("x"), httpx.ReadTimeout("x"), httpx.Response(200)]

    await mock.finish(query=QUERY)

    assert [call.request.extensions["timeout"]["read"] for call in receiver.calls] == [15.0, 120.0, 120.0]


@pytest.mark.parametrize(
    "url", ["http://example.com/hook", "http://10.0.0.1/hook", "https://hooks.example/x"]
)
async def test_a_receiver_on_another_machine_gets_nothing(mock: Mock, url: str) -> None:
    with respx.mock(assert_all_called=False) as router:
        route = router.post(url).respond(200)
        result = await mock.finish(query=f"?fal_webhook={url}")

        assert not route.called
    delivery = mock.emulator.store.delivery(result.headers["x-fal-request-id"])
    assert delivery is not None
    assert (delivery.outcome, delivery.last) == ("refused", "not local")


async def test_a_receiver_on_another_machine_is_reached_with_webhooks_any(start: Start) -> None:
    mock = await start(webhooks="any")
    with respx.mock() as router:
        route = router.post("https://hooks.example/x").respond(200)
        await mock.finish(query="?fal_webhook=https://hooks.example/x")

        assert route.call_count == 1


async def test_a_slow_receiver_does_not_delay_other_receivers(mock: Mock, receiver: respx.Route) -> None:
    arrived = []

    async def never(request: httpx.Request) -> httpx.Response:
        arrived.append("slow")
        raise httpx.ReadTimeout("slow", request=request)

    with respx.mock(assert_all_called=False) as router:
        router.post("http://localhost:3001/slow").mock(side_effect=never)
        quick = router.post("http://localhost:3002/quick").respond(200)
        for path in ("3001/slow", "3002/quick"):
            await mock.submit(query=f"?fal_webhook=http://localhost:{path}")
        await mock.pass_time(6)

        assert quick.call_count == 1


async def test_the_gateway_request_id_changes_when_a_request_runs_again(
    start: Start, receiver: respx.Route
) -> None:
    mock = await start(run_timeout=2)
    await mock.submit(query=QUERY)
    await mock.pass_time(60)

    (body,) = bodies(receiver)
    assert body["gateway_request_id"] != body["request_id"]


async def test_a_cancelled_request_has_a_webhook_too(mock: Mock, receiver: respx.Route) -> None:
    submitted = await mock.submit(query=QUERY)
    await mock.cancel(submitted)
    await mock.pass_time(1)

    assert bodies(receiver)[0]["error"] == "Unexpected status code: 499"


async def test_a_result_that_is_not_json_is_delivered_as_null_with_an_error(mock: Mock) -> None:
    submitted = await mock.submit()
    stored = mock.emulator.store.request(submitted["request_id"])
    assert stored is not None

    body = json.loads(payload(dataclasses.replace(stored, status=200), b"\xff"))

    assert "error" not in body
    assert (body["status"], body["payload"], body["payload_error"].split(".")[0]) == (
        "OK",
        None,
        "Response payload is not JSON serializable",
    )


REQUEST_ID = "01a0c450-6c00-7085-9207-97ffcbc75b2f"
RECORDED = (2, 39, 75, 55, 190, 340)


@pytest.mark.parametrize("attempts", range(1, RETRIES + 1))
def test_a_pause_is_the_recorded_one_or_the_last_of_those_give_or_take_a_fifth(attempts: int) -> None:
    at = next_attempt(attempts, 0.0, 1e9, REQUEST_ID)

    recorded = RECORDED[attempts - 1] if attempts <= len(RECORDED) else RECORDED[-1]
    assert at is not None
    assert 0.8 * recorded <= at <= 1.2 * recorded


def test_the_pauses_of_two_requests_differ_and_those_of_one_request_repeat() -> None:
    one, same, other = (
        [next_attempt(attempts, 0.0, 1e9, request_id) for attempts in range(1, 7)]
        for request_id in (REQUEST_ID, REQUEST_ID, REQUEST_ID.replace("cb", "cc"))
    )

    assert one == same
    assert one != other


def test_the_pauses_do_not_depend_on_the_time_in_the_request_id() -> None:
    later = "01b0ffff-6c00-7085-9207-97ffcbc75b2f"

    assert next_attempt(1, 0.0, 1e9, REQUEST_ID) == next_attempt(1, 0.0, 1e9, later)


def test_there_is_no_retry_after_the_31st() -> None:
    assert next_attempt(31, 0.0, 1e9, REQUEST_ID) is not None
    assert next_attempt(32, 0.0, 1e9, REQUEST_ID) is None


def test_there_is_no_retry_after_the_result_has_expired() -> None:
    assert next_attempt(1, 100.0, 101.0, REQUEST_ID) is None


def test_the_first_attempt_has_a_shorter_timeout_than_later_ones() -> None:
    assert [timeout(attempts) for attempts in range(3)] == [15, 120, 120]


@pytest.mark.parametrize("url", ["http://localhost", "https://a.b/c?d=e", "http://[::1]:3000/x"])
def test_a_url_with_scheme_and_host_is_deliverable(url: str) -> None:
    assert is_deliverable(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:3000",
        "ftp://x/y",
        "http://",
        "http://[",
        "http://a:b",
        "/x",
        "http://a:99999",
        "http://\x00",
    ],
)
def test_a_malformed_url_is_not_deliverable(url: str) -> None:
    assert not is_deliverable(url)


def test_a_logged_url_has_no_user_info_query_or_fragment() -> None:
    assert without_secrets("https://u:p@h.example:8/x?token=t#f") == "https://h.example:8/x"
