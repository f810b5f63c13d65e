"""Effects of faults on requests, runs and webhooks."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import math
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import respx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from emulated import ENDPOINT, GOOD, KEY
from hypothesis import given
from hypothesis import strategies as st

from falmock.engine.clock import ManualClock
from falmock.faults import effects
from falmock.faults.effects import AttemptEffect, DeliveryEffect, Injection, Injections
from falmock.faults.rules import Rule
from falmock.faults.vocabulary import FAULTS, parse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from emulated import Mock

    Start = Callable[..., Awaitable[Mock]]

HOOK = "http://localhost:3000/api/hook"
QUERY = f"?fal_webhook={HOOK}"


@pytest.fixture
def receiver() -> Iterator[respx.Route]:
    with respx.mock(assert_all_called=False) as router:
        yield router.post(HOOK).respond(200)


def inject(mock: Mock, fault: str, **rule: Any) -> None:
    mock.emulator.rule_set.add(Rule(fault=fault, **rule))


def unobserved(mock: Mock) -> list[str]:
    return [state.rule.fault for state in mock.emulator.rule_set.unobserved()]


async def states(mock: Mock, submitted: Any, seconds: float, step: float = 0.5) -> list[str]:
    """Return the states that a poller sees, without repetitions."""
    seen: list[str] = []
    for _ in range(int(seconds / step)):
        state = (await mock.status(submitted)).json()["status"]
        if seen[-1:] != [state]:
            seen.append(state)
        await mock.pass_time(step)
    return seen


async def verifies(mock: Mock, sent: httpx.Request) -> bool:
    """Return whether a webhook is signed with one of the published keys."""
    names = ("Request-Id", "User-Id", "Timestamp", "Signature")
    rid, user, timestamp, signature = (sent.headers[f"X-Fal-Webhook-{name}"] for name in names)
    text = "\n".join([rid, user, timestamp, hashlib.sha256(sent.content).hexdigest()]).encode()
    for key in (await mock.http.get("/rest.fal.ai/.well-known/jwks.json")).json()["keys"]:
        public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"]))
        try:
            public.verify(bytes.fromhex(signature), text)
        except InvalidSignature:
            continue
        return True
    return False


def injections(*faults: str) -> Injections:
    return Injections(Injection(parse(fault)) for fault in faults)


@pytest.mark.parametrize(
    ("faults", "ready_at"),
    [
        ([], 5.0),
        (["deep_queue seconds=3"], 5.0),
        (["deep_queue seconds=30"], 31.0),
        (["stuck_in_queue", "deep_queue seconds=30"], math.inf),
    ],
)
def test_queue_faults_postpone_the_start_and_never_bring_it_forward(
    faults: list[str], ready_at: float
) -> None:
    assert effects.ready_at(injections(*faults), 5.0, now=1.0) == ready_at


@pytest.mark.parametrize(
    ("faults", "repeated", "named"),
    [
        ([], False, None),
        (["slow", "media_missing"], False, None),
        (["webhook_late", "webhook_bad_signature"], False, "webhook_bad_signature"),
        (["webhook_late", "webhook_old_timestamp"], False, "webhook_old_timestamp"),
        (["webhook_twice"], False, None),
        (["webhook_twice"], True, "webhook_twice"),
    ],
)
def test_the_journal_names_a_forgery_before_other_faults_of_an_attempt(
    faults: list[str], repeated: bool, named: str | None
) -> None:
    assert effects.fault_of_attempt(injections(*faults), repeated=repeated) == named


def test_delays_of_a_webhook_add_up() -> None:
    effect = effects.on_delivery(injections("webhook_late seconds=5", "webhook_out_of_order seconds=7"))

    assert (effect.delay, effect.waits_for_next, effect.null_payload) == (12.0, True, False)
    assert {each.fault.name for each in effect.observed} == {"webhook_late", "webhook_out_of_order"}


def test_a_request_without_faults_is_delivered_unchanged() -> None:
    assert effects.on_delivery(injections()) == DeliveryEffect(
        delay=0.0, waits_for_next=False, null_payload=False, observed=()
    )
    assert effects.on_attempt(injections()) == AttemptEffect(
        pause=0.0,
        timestamp_age=0.0,
        rotate_key=False,
        wrong_signature=False,
        reserialized=False,
        observed=(),
    )
    assert effects.second_delivery_at(injections(), 10.0) is None


@given(st.sampled_from(sorted(FAULTS)))
def test_every_model_and_platform_error_has_an_outcome_and_no_other_fault_has_one(name: str) -> None:
    outcome = effects.outcome_of(parse(name), {})

    assert (outcome is not None) == (FAULTS[name].group in {"model errors", "platform errors"})


async def test_a_model_error_ends_the_run_and_is_not_billed(mock: Mock) -> None:
    inject(mock, "content_policy_violation")

    result = await mock.finish()

    (entry,) = result.json()["detail"]
    assert result.status_code == 422
    assert entry["type"] == "content_policy_violation"
    assert entry["input"] == GOOD | {"aspect_ratio": "auto", "duration": "5s"}
    assert result.headers["x-fal-billable-units"] == "0"
    assert unobserved(mock) == []


async def test_an_invalid_input_is_reported_instead_of_the_fault(mock: Mock) -> None:
    inject(mock, "content_policy_violation")

    result = await mock.finish(duration="9s")

    assert result.json()["detail"][0]["type"] == "literal_error"
    assert unobserved(mock) == ["content_policy_violation"]


async def test_a_platform_error_with_503_is_the_result_after_ten_attempts(mock: Mock) -> None:
    inject(mock, "runner_connection_refused")
    submitted = await mock.submit()
    await mock.pass_time(600)

    request = mock.emulator.store.request(submitted["request_id"])
    status = (await mock.status(submitted)).json()

    assert request is not None
    assert request.attempts == 10
    assert status["error_type"] == "runner_connection_refused"


async def test_a_requeued_request_waits_and_runs_again(mock: Mock) -> None:
    inject(mock, "requeued times=2")
    submitted = await mock.submit()

    seen = await states(mock, submitted, seconds=20)

    assert seen == ["IN_QUEUE", "IN_PROGRESS"] * 3 + ["COMPLETED"]
    assert (await mock.result(submitted)).status_code == 200


@pytest.mark.parametrize(
    ("fault", "stays"), [("stuck_in_queue", "IN_QUEUE"), ("stuck_running", "IN_PROGRESS")]
)
async def test_a_stuck_request_keeps_its_state_until_it_is_cancelled(
    mock: Mock, fault: str, stays: str
) -> None:
    inject(mock, fault)
    submitted = await mock.submit()

    await mock.pass_time(100_000)

    assert (await mock.status(submitted)).json()["status"] == stays
    assert (await mock.cancel(submitted)).status_code == 202


async def test_requests_behind_a_stuck_one_are_served(mock: Mock) -> None:
    inject(mock, "stuck_in_queue")
    await mock.submit()

    result = await mock.finish()

    assert result.status_code == 200


async def test_the_position_in_a_deep_queue_decreases_with_time(mock: Mock) -> None:
    inject(mock, "deep_queue position=500 seconds=100")
    submitted = await mock.submit()
    positions = [submitted["queue_position"]]

    for _ in range(3):
        await mock.pass_time(25)
        positions.append((await mock.status(submitted)).json()["queue_position"])
    await mock.pass_time(30)

    assert positions == [500, 375, 250, 125]
    assert (await mock.result(submitted)).status_code == 200


async def test_the_position_in_a_deep_queue_grows_to_its_peak_first(mock: Mock) -> None:
    inject(mock, "deep_queue position=8663 peak=12654 seconds=100")
    submitted = await mock.submit()
    positions = [submitted["queue_position"]]

    for _ in range(3):
        await mock.pass_time(25)
        positions.append((await mock.status(submitted)).json()["queue_position"])

    assert positions == [8663, 10659, 12654, 6327]


async def test_a_request_that_is_stuck_in_a_deep_queue_keeps_its_position(mock: Mock) -> None:
    inject(mock, "stuck_in_queue")
    inject(mock, "deep_queue position=500 seconds=100")
    submitted = await mock.submit()
    await mock.pass_time(1000)

    status = (await mock.status(submitted)).json()

    assert submitted["queue_position"] == status["queue_position"] == 500


@pytest.mark.parametrize(("busy", "status"), [(1, "IN_PROGRESS"), (2, "IN_QUEUE")])
async def test_a_submit_is_answered_with_in_progress_if_a_runner_is_free(
    mock: Mock, busy: int, status: str
) -> None:
    for _ in range(busy):
        await mock.submit()
    await mock.pass_time(1.5)
    inject(mock, "starts_at_once")

    submitted = await mock.submit()

    assert submitted["status"] == (await mock.status(submitted)).json()["status"] == status
    assert ("queue_position" in submitted) == (status == "IN_QUEUE")
    assert list(submitted)[:7] == [
        *("status", "request_id", "response_url", "status_url", "cancel_url", "logs", "metrics")
    ]
    await mock.pass_time(60)
    assert (await mock.result(submitted)).status_code == 200
    assert unobserved(mock) == []


@pytest.mark.parametrize(
    ("fault", "video"),
    [
        ("file_null", {"content_type": "video/mp4", "file_name": None, "file_size": None}),
        ("file_null fields=content_type", {"content_type": None, "file_name": "output.mp4"}),
        ("file_missing", {}),
        ("file_missing fields=file_size", {"content_type": "video/mp4", "file_name": "output.mp4"}),
        ("file_missing fields=file_data", {"content_type": "video/mp4", "file_name": "output.mp4"}),
    ],
)
async def test_fields_of_a_file_are_null_or_missing(mock: Mock, fault: str, video: dict[str, Any]) -> None:
    inject(mock, fault)

    answered = (await mock.finish()).json()["video"]

    del answered["url"]
    if fault.endswith(("fields=content_type", "fields=file_data")):
        assert answered.pop("file_size") > 0
    assert answered == video
    assert unobserved(mock) == []


def test_only_files_lose_fields_wherever_they_are_in_an_output() -> None:
    file = {"url": "u", "file_name": "n"}
    output = {"file_name": "kept", "images": [file, {"file_name": "kept"}], "more": {"video": file}}

    assert effects.result(injections("file_missing fields=file_name"), output) == {
        "file_name": "kept",
        "images": [{"url": "u"}, {"file_name": "kept"}],
        "more": {"video": {"url": "u"}},
    }


async def test_a_request_that_locks_its_account_waits_until_it_is_unlocked(mock: Mock) -> None:
    inject(mock, "locks_account")
    submitted = await mock.submit()

    refused = await mock.http.post(f"/{ENDPOINT}", json=GOOD, headers=KEY)
    await mock.pass_time(86_400)
    waiting = (await mock.status(submitted)).json()
    mock.emulator.manual.unlock("me")
    await mock.pass_time(60)

    assert refused.status_code == 403
    assert (waiting["status"], waiting["queue_position"]) == ("IN_QUEUE", 0)
    assert (await mock.result(submitted)).status_code == 200


async def test_a_slow_run_takes_longer_by_the_given_seconds(mock: Mock) -> None:
    inject(mock, "slow seconds=3600")
    submitted = await mock.submit()

    await mock.pass_time(3600)
    before = (await mock.status(submitted)).json()["status"]
    await mock.pass_time(10)

    assert before == "IN_PROGRESS"
    assert (await mock.status(submitted)).json()["status"] == "COMPLETED"


async def test_a_log_window_shows_only_the_last_lines(mock: Mock) -> None:
    inject(mock, "log_window lines=2")
    submitted = await mock.submit()
    await mock.pass_time(60)

    lines = (await mock.status(submitted, "?logs=1")).json()["logs"]

    assert [line["message"].rpartition(" - ")[2] for line in lines] == [
        "Uploading the video",
        '"POST /image-to-video HTTP/1.1" 200 OK',
    ]


async def test_an_expired_result_is_a_404(mock: Mock) -> None:
    inject(mock, "result_expired seconds=10")
    submitted = await mock.submit()
    await mock.pass_time(6)
    soon = await mock.result(submitted)
    await mock.pass_time(10)

    late = await mock.result(submitted)

    assert (soon.status_code, late.status_code) == (200, 404)


async def test_the_faults_of_a_request_survive_a_restart(start: Start, tmp_path: Path) -> None:
    clock = ManualClock()
    first = await start(clock=clock, state=tmp_path, seed=None)
    submitted = await first.submit(prompt="[[fal: no_media_generated]]")
    first.emulator.store.close()
    await first.emulator.close()

    second = await start(clock=clock, state=tmp_path, seed=None)
    await second.pass_time(60)

    assert (await second.result(submitted)).json()["detail"][0]["type"] == "no_media_generated"


async def test_faults_apply_to_direct_runs_too(mock: Mock) -> None:
    inject(mock, "no_media_generated")

    async def run_time() -> None:
        await mock.emulator.changed().wait()  # a runner has taken it
        await mock.pass_time(60)

    running = mock.http.post(f"/fal.run/{ENDPOINT}", json=GOOD, headers=KEY)
    result, _ = await asyncio.gather(running, run_time())

    assert result.json()["detail"][0]["type"] == "no_media_generated"


async def test_a_lost_webhook_is_never_sent(mock: Mock, receiver: respx.Route) -> None:
    inject(mock, "webhook_lost")
    result = await mock.finish(query=QUERY)

    delivery = mock.emulator.store.delivery(result.headers["x-fal-request-id"])

    assert not receiver.called
    assert delivery is not None
    assert (delivery.outcome, delivery.next_at) == ("lost", None)
    assert unobserved(mock) == []


async def test_a_webhook_fault_is_not_observed_without_a_webhook(mock: Mock) -> None:
    inject(mock, "webhook_lost")

    await mock.finish()

    assert unobserved(mock) == ["webhook_lost"]


async def test_a_late_webhook_is_sent_after_the_given_seconds(mock: Mock, receiver: respx.Route) -> None:
    inject(mock, "webhook_late seconds=100")
    await mock.submit(query=QUERY)

    await mock.pass_time(100)
    before = receiver.called
    await mock.pass_time(10)

    assert (before, receiver.called) == (False, True)


async def test_a_webhook_delivered_twice_has_the_same_body_and_a_new_timestamp(
    mock: Mock, receiver: respx.Route
) -> None:
    inject(mock, "webhook_twice")

    await mock.finish(query=QUERY)

    first, second = [call.request for call in receiver.calls]
    assert first.content == second.content
    assert first.headers["x-fal-webhook-timestamp"] != second.headers["x-fal-webhook-timestamp"]
    assert await verifies(mock, second)


async def test_an_out_of_order_webhook_is_sent_after_the_next_one(mock: Mock, receiver: respx.Route) -> None:
    inject(mock, "webhook_out_of_order")
    first = await mock.submit(query=QUERY)
    await mock.pass_time(1)
    second = await mock.submit(query=QUERY)

    await mock.pass_time(10)

    ids = [json.loads(call.request.content)["request_id"] for call in receiver.calls]
    assert ids == [second["request_id"], first["request_id"]]


async def test_an_out_of_order_webhook_is_sent_alone_if_no_other_follows(
    mock: Mock, receiver: respx.Route
) -> None:
    inject(mock, "webhook_out_of_order seconds=30")

    await mock.finish(query=QUERY)

    assert receiver.call_count == 1


@pytest.mark.parametrize("end", ["delivered", "given up", "reset"])
async def test_an_out_of_order_webhook_leaves_nothing_behind_in_memory(
    mock: Mock, receiver: respx.Route, end: str
) -> None:
    receiver.respond(302 if end == "given up" else 200)
    inject(mock, "webhook_out_of_order seconds=30")
    await mock.submit(query=QUERY)
    await mock.pass_time(10)
    held = mock.emulator._transitions.sender._held
    before = len(held)

    if end == "reset":
        await mock.emulator.manual.reset()
    await mock.pass_time(60)

    assert (before, held) == (1, {})


async def test_an_early_webhook_is_sent_while_the_status_is_in_progress(
    mock: Mock, receiver: respx.Route
) -> None:
    inject(mock, "webhook_early seconds=2")
    submitted = await mock.submit(query=QUERY)

    await mock.pass_time(6)
    status = (await mock.status(submitted)).json()["status"]

    assert (receiver.call_count, status) == (1, "IN_PROGRESS")
    assert json.loads(receiver.calls.last.request.content)["status"] == "OK"


async def test_an_early_webhook_is_not_sent_again_at_the_end(mock: Mock, receiver: respx.Route) -> None:
    inject(mock, "webhook_early")

    result = await mock.finish(query=QUERY)

    assert result.status_code == 200
    assert receiver.call_count == 1


async def test_a_bad_signature_does_not_verify(mock: Mock, receiver: respx.Route) -> None:
    inject(mock, "webhook_bad_signature")

    await mock.finish(query=QUERY)

    assert not await verifies(mock, receiver.calls.last.request)


async def test_a_reserialized_body_has_the_same_content_and_the_signature_of_the_usual_bytes(
    mock: Mock, receiver: respx.Route
) -> None:
    inject(mock, "webhook_reserialized")

    await mock.finish(query=QUERY, prompt="Ein Köder")

    sent = receiver.calls.last.request
    assert sent.content == json.dumps(json.loads(sent.content), separators=(",", ":")).encode()
    assert not await verifies(mock, sent)
    usual = json.dumps(json.loads(sent.content), sort_keys=True).encode()
    assert await verifies(mock, httpx.Request("POST", HOOK, content=usual, headers=sent.headers))


async def test_an_old_timestamp_has_a_valid_signature(mock: Mock, receiver: respx.Route) -> None:
    inject(mock, "webhook_old_timestamp seconds=600")

    await mock.finish(query=QUERY)

    sent = receiver.calls.last.request
    assert mock.clock.now() - int(sent.headers["x-fal-webhook-timestamp"]) > 600
    assert await verifies(mock, sent)


async def test_a_rotated_key_is_added_to_the_key_set_and_signs_the_webhook(
    mock: Mock, receiver: respx.Route
) -> None:
    before = (await mock.http.get("/rest.fal.ai/.well-known/jwks.json")).json()["keys"]
    inject(mock, "webhook_rotated_key")

    await mock.finish(query=QUERY)

    after = (await mock.http.get("/rest.fal.ai/.well-known/jwks.json")).json()["keys"]
    assert [key for key in after if key not in before] == [after[1]]
    assert len(after) == len(before) + 1
    assert await verifies(mock, receiver.calls.last.request)


async def test_a_null_payload_comes_with_a_payload_error(mock: Mock, receiver: respx.Route) -> None:
    inject(mock, "webhook_null_payload")

    await mock.finish(query=QUERY)

    body = json.loads(receiver.calls.last.request.content)
    assert (body["status"], body["payload"]) == ("OK", None)
    assert body["payload_error"].startswith("Response payload is not JSON serializable.")


async def test_a_slow_webhook_arrives_complete(mock: Mock, receiver: respx.Route) -> None:
    inject(mock, "webhook_slow seconds=0")

    await mock.finish(query=QUERY)

    assert json.loads(receiver.calls.last.request.content)["status"] == "OK"
