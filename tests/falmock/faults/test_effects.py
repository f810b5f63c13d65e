"""What faults do to the course of a request, and to its webhook."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
import respx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from emulated import ENDPOINT, GOOD, KEY

from falmock.engine.clock import ManualClock
from falmock.faults.rules import Rule

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    import httpx
    from emulated import Mock

    Start = Callable[..., Awaitable[Mock]]

HOOK = "http://localhost:3000/api/hook"
QUERY = f"?fal_webhook={HOOK}"


@pytest.fixture
def receiver() -> Iterator[respx.Route]:
    """Something on this machine that takes webhooks."""
    with respx.mock(assert_all_called=False) as router:
        yield router.post(HOOK).respond(200)


def plan(mock: Mock, fault: str, **rule: Any) -> None:
    mock.emulator.plan.add(Rule(fault=fault, **rule))


def unobserved(mock: Mock) -> list[str]:
    return [standing.rule.fault for standing in mock.emulator.plan.unobserved()]


async def states(mock: Mock, submitted: Any, seconds: float, step: float = 0.5) -> list[str]:
    """Return the states that a poller sees, each once in a row."""
    seen: list[str] = []
    for _ in range(int(seconds / step)):
        state = (await mock.status(submitted)).json()["status"]
        if seen[-1:] != [state]:
            seen.append(state)
        await mock.pass_time(step)
    return seen


async def verifies(mock: Mock, sent: httpx.Request) -> bool:
    """Tell whether a webhook's signature is one of the published keys'."""
    names = ("Request-Id", "User-Id", "Timestamp", "Signature")
    rid, user, timestamp, signature = (sent.headers[f"X-Fal-Webhook-{name}"] for name in names)
    text = "\n".join([rid, user, timestamp, hashlib.sha256(sent.content).hexdigest()]).encode()
    for key in (await mock.http.get("/rest.fal.ai/.well-known/jwks.json")).json()["keys"]:
        public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "=="))
        try:
            public.verify(bytes.fromhex(signature), text)
        except InvalidSignature:
            continue
        return True
    return False


async def test_a_model_can_refuse_at_the_end_of_its_run(mock: Mock) -> None:
    plan(mock, "content_policy_violation")

    result = await mock.finish()

    (entry,) = result.json()["detail"]
    assert result.status_code == 422
    assert entry["type"] == "content_policy_violation"
    assert entry["input"] == GOOD | {"aspect_ratio": "auto", "duration": "5s"}
    assert result.headers["x-fal-billable-units"] == "0"
    assert unobserved(mock) == []


async def test_an_input_that_is_wrong_itself_is_told_first(mock: Mock) -> None:
    plan(mock, "content_policy_violation")

    result = await mock.finish(duration="9s")

    assert result.json()["detail"][0]["type"] == "literal_error"
    assert unobserved(mock) == ["content_policy_violation"]


async def test_the_platform_tries_ten_times_before_it_gives_up(mock: Mock) -> None:
    plan(mock, "runner_connection_refused")
    submitted = await mock.submit()
    await mock.pass_time(600)

    request = mock.emulator.store.request(submitted["request_id"])
    status = (await mock.status(submitted)).json()

    assert request is not None
    assert request.attempts == 10
    assert status["error_type"] == "runner_connection_refused"


async def test_a_lost_runner_puts_a_request_back_into_the_queue(mock: Mock) -> None:
    plan(mock, "requeued times=2")
    submitted = await mock.submit()

    seen = await states(mock, submitted, seconds=20)

    assert seen == ["IN_QUEUE", "IN_PROGRESS"] * 3 + ["COMPLETED"]
    assert (await mock.result(submitted)).status_code == 200


@pytest.mark.parametrize(
    ("fault", "stays"), [("stuck_in_queue", "IN_QUEUE"), ("stuck_running", "IN_PROGRESS")]
)
async def test_a_request_can_be_stuck(mock: Mock, fault: str, stays: str) -> None:
    plan(mock, fault)
    submitted = await mock.submit()

    await mock.pass_time(100_000)

    assert (await mock.status(submitted)).json()["status"] == stays
    assert (await mock.cancel(submitted)).status_code == 202


async def test_who_comes_after_a_stuck_request_is_served(mock: Mock) -> None:
    plan(mock, "stuck_in_queue")
    await mock.submit()

    result = await mock.finish()

    assert result.status_code == 200


async def test_a_deep_queue_grows_shorter(mock: Mock) -> None:
    plan(mock, "deep_queue position=500 seconds=100")
    submitted = await mock.submit()
    positions = [submitted["queue_position"]]

    for _ in range(3):
        await mock.pass_time(25)
        positions.append((await mock.status(submitted)).json()["queue_position"])
    await mock.pass_time(30)

    assert positions == [500, 375, 250, 125]
    assert (await mock.result(submitted)).status_code == 200


async def test_a_run_can_take_longer(mock: Mock) -> None:
    plan(mock, "slow seconds=3600")
    submitted = await mock.submit()

    await mock.pass_time(3600)
    before = (await mock.status(submitted)).json()["status"]
    await mock.pass_time(10)

    assert before == "IN_PROGRESS"
    assert (await mock.status(submitted)).json()["status"] == "COMPLETED"


async def test_a_log_can_be_a_window(mock: Mock) -> None:
    plan(mock, "log_window lines=2")
    submitted = await mock.submit()
    await mock.pass_time(60)

    lines = (await mock.status(submitted, "?logs=1")).json()["logs"]

    assert [line["message"] for line in lines] == ["Generating video: 75%", "Uploading the video"]


async def test_a_result_can_be_gone_when_it_is_asked_for(mock: Mock) -> None:
    plan(mock, "result_expired seconds=10")
    submitted = await mock.submit()
    await mock.pass_time(6)
    soon = await mock.result(submitted)
    await mock.pass_time(10)

    late = await mock.result(submitted)

    assert (soon.status_code, late.status_code) == (200, 404)


async def test_a_fault_outlives_a_restart(start: Start, tmp_path: Path) -> None:
    clock = ManualClock()
    first = await start(clock=clock, state=tmp_path, seed=None)
    submitted = await first.submit(prompt="[[fal: no_media_generated]]")
    first.emulator.store.close()
    await first.emulator.close()

    second = await start(clock=clock, state=tmp_path, seed=None)
    await second.pass_time(60)

    assert (await second.result(submitted)).json()["detail"][0]["type"] == "no_media_generated"


async def test_the_run_host_meets_faults_too(mock: Mock) -> None:
    plan(mock, "no_media_generated")

    async def run_time() -> None:
        await mock.emulator.changed().wait()  # a runner has taken it
        await mock.pass_time(60)

    running = mock.http.post(f"/fal.run/{ENDPOINT}", json=GOOD, headers=KEY)
    result, _ = await asyncio.gather(running, run_time())

    assert result.json()["detail"][0]["type"] == "no_media_generated"


async def test_a_webhook_can_be_lost(mock: Mock, receiver: respx.Route) -> None:
    plan(mock, "webhook_lost")
    result = await mock.finish(query=QUERY)

    delivery = mock.emulator.store.delivery(result.headers["x-fal-request-id"])

    assert not receiver.called
    assert delivery is not None
    assert (delivery.outcome, delivery.next_at) == ("lost", None)
    assert unobserved(mock) == []


async def test_a_webhook_fault_without_a_webhook_never_fires(mock: Mock) -> None:
    plan(mock, "webhook_lost")

    await mock.finish()

    assert unobserved(mock) == ["webhook_lost"]


async def test_a_webhook_can_be_late(mock: Mock, receiver: respx.Route) -> None:
    plan(mock, "webhook_late seconds=100")
    await mock.submit(query=QUERY)

    await mock.pass_time(100)
    before = receiver.called
    await mock.pass_time(10)

    assert (before, receiver.called) == (False, True)


async def test_a_webhook_can_come_twice_with_the_same_bytes(mock: Mock, receiver: respx.Route) -> None:
    plan(mock, "webhook_twice")

    await mock.finish(query=QUERY)

    first, second = [call.request for call in receiver.calls]
    assert first.content == second.content
    assert first.headers["x-fal-webhook-timestamp"] != second.headers["x-fal-webhook-timestamp"]
    assert await verifies(mock, second)


async def test_webhooks_can_come_out_of_order(mock: Mock, receiver: respx.Route) -> None:
    plan(mock, "webhook_out_of_order")
    first = await mock.submit(query=QUERY)
    await mock.pass_time(1)
    second = await mock.submit(query=QUERY)

    await mock.pass_time(10)

    ids = [json.loads(call.request.content)["request_id"] for call in receiver.calls]
    assert ids == [second["request_id"], first["request_id"]]


async def test_a_webhook_waits_for_another_only_so_long(mock: Mock, receiver: respx.Route) -> None:
    plan(mock, "webhook_out_of_order seconds=30")

    await mock.finish(query=QUERY)

    assert receiver.call_count == 1


async def test_a_webhook_can_come_before_the_status_says_so(mock: Mock, receiver: respx.Route) -> None:
    plan(mock, "webhook_early seconds=2")
    submitted = await mock.submit(query=QUERY)

    await mock.pass_time(6)
    status = (await mock.status(submitted)).json()["status"]

    assert (receiver.call_count, status) == (1, "IN_PROGRESS")
    assert json.loads(receiver.calls.last.request.content)["status"] == "OK"


async def test_an_early_webhook_comes_once(mock: Mock, receiver: respx.Route) -> None:
    plan(mock, "webhook_early")

    result = await mock.finish(query=QUERY)

    assert result.status_code == 200
    assert receiver.call_count == 1


async def test_a_signature_can_be_bad(mock: Mock, receiver: respx.Route) -> None:
    plan(mock, "webhook_bad_signature")

    await mock.finish(query=QUERY)

    assert not await verifies(mock, receiver.calls.last.request)


async def test_a_timestamp_can_be_old_and_signed(mock: Mock, receiver: respx.Route) -> None:
    plan(mock, "webhook_old_timestamp seconds=600")

    await mock.finish(query=QUERY)

    sent = receiver.calls.last.request
    assert mock.clock.now() - int(sent.headers["x-fal-webhook-timestamp"]) > 600
    assert await verifies(mock, sent)


async def test_a_rotated_key_is_in_the_set_from_then_on(mock: Mock, receiver: respx.Route) -> None:
    before = (await mock.http.get("/rest.fal.ai/.well-known/jwks.json")).json()["keys"]
    plan(mock, "webhook_rotated_key")

    await mock.finish(query=QUERY)

    after = (await mock.http.get("/rest.fal.ai/.well-known/jwks.json")).json()["keys"]
    assert after[1:] == before
    assert await verifies(mock, receiver.calls.last.request)


async def test_a_payload_can_be_null(mock: Mock, receiver: respx.Route) -> None:
    plan(mock, "webhook_null_payload")

    await mock.finish(query=QUERY)

    body = json.loads(receiver.calls.last.request.content)
    assert (body["status"], body["payload"]) == ("OK", None)
    assert body["payload_error"].startswith("Response payload is not JSON serializable.")


async def test_a_slow_webhook_arrives_whole(mock: Mock, receiver: respx.Route) -> None:
    plan(mock, "webhook_slow seconds=0")

    await mock.finish(query=QUERY)

    assert json.loads(receiver.calls.last.request.content)["status"] == "OK"
