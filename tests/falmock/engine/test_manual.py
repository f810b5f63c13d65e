"""Manual control: hold, release, finish, fail and reset."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import respx
from emulated import APPLICATION, BASE, ENDPOINT, GOOD, KEY, Mock, data_uri, opened, png

from falmock.engine.clock import ManualClock
from falmock.engine.lifecycle import State
from falmock.faults.rules import Rule
from falmock.faults.vocabulary import FaultError, parse
from falmock.inspection.recorded import Transition
from falmock.protocol.errors import AlreadyCompleted, RequestNotFound

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path


HOOK = "http://localhost:3000/hook"
NOBODY = "01900000-0000-7000-8000-000000000000"
ACTS = pytest.mark.parametrize("act", ["hold", "release", "finish"])


@pytest.fixture
def receiver() -> Iterator[respx.Route]:
    with respx.mock(assert_all_called=False) as router:
        yield router.post(HOOK).respond(200)


async def state(mock: Mock, submitted: Any) -> str:
    return str((await mock.status(submitted)).json()["status"])


# Hold and release


async def test_a_held_waiting_request_stays_in_the_queue(mock: Mock) -> None:
    submitted = await mock.submit()
    mock.emulator.manual.hold(submitted["request_id"])

    await mock.pass_time(3600)

    assert await state(mock, submitted) == "IN_QUEUE"


async def test_a_released_request_continues_from_the_release(mock: Mock) -> None:
    submitted = await mock.submit()
    mock.emulator.manual.hold(submitted["request_id"])
    await mock.pass_time(3600)
    mock.emulator.manual.release(submitted["request_id"])
    await mock.pass_time(4)

    request = mock.emulator.request(submitted["request_id"])

    assert request is not None
    assert request.started_at == request.submitted_at + 3600
    assert request.state == State.COMPLETED


async def test_a_held_run_does_not_end(mock: Mock) -> None:
    submitted = await mock.submit()
    await mock.pass_time(2)
    mock.emulator.manual.hold(submitted["request_id"])

    await mock.pass_time(3600)

    assert await state(mock, submitted) == "IN_PROGRESS"


async def test_a_run_that_is_released_after_its_time_ends_at_once(mock: Mock) -> None:
    submitted = await mock.submit()
    await mock.pass_time(2)
    mock.emulator.manual.hold(submitted["request_id"])
    await mock.pass_time(3600)

    mock.emulator.manual.release(submitted["request_id"])

    assert (await mock.status(submitted)).json()["metrics"] == {"inference_time": 3601.0}


async def test_a_held_request_can_be_cancelled(mock: Mock) -> None:
    submitted = await mock.submit()
    mock.emulator.manual.hold(submitted["request_id"])

    await mock.cancel(submitted)

    assert (await mock.result(submitted)).status_code == 499


async def test_other_requests_pass_a_held_waiting_one(start: Callable[..., Awaitable[Mock]]) -> None:
    mock = await start(runners=1)
    held, other = await mock.submit(), await mock.submit()
    mock.emulator.manual.hold(held["request_id"])
    assert (await mock.status(other)).json()["queue_position"] == 0

    await mock.pass_time(2)

    assert (await state(mock, held), await state(mock, other)) == ("IN_QUEUE", "IN_PROGRESS")


# Finish and fail


async def test_finish_ends_a_run_now_with_its_own_outcome(mock: Mock) -> None:
    submitted = await mock.submit()
    await mock.pass_time(2)

    mock.emulator.manual.finish(submitted["request_id"])

    assert (await mock.status(submitted)).json()["metrics"] == {"inference_time": 1.0}
    assert (await mock.result(submitted)).json()["video"]["content_type"] == "video/mp4"


async def test_finish_starts_and_ends_a_waiting_request_now(
    start: Callable[..., Awaitable[Mock]],
) -> None:
    mock = await start(runners=1)
    first, submitted = await mock.submit(), await mock.submit()
    await mock.pass_time(2)

    mock.emulator.manual.finish(submitted["request_id"])
    await mock.emulator.timeline.settle()

    assert (await mock.result(submitted)).status_code == 200
    assert (await mock.status(submitted)).json()["metrics"] == {"inference_time": 0.0}
    assert await state(mock, first) == "IN_PROGRESS"


async def test_a_held_request_can_be_finished(mock: Mock) -> None:
    submitted = await mock.submit()
    mock.emulator.manual.hold(submitted["request_id"])

    mock.emulator.manual.finish(submitted["request_id"])
    await mock.emulator.timeline.settle()

    assert (await mock.result(submitted)).status_code == 200


async def test_finish_ends_an_invalid_input_with_its_422(mock: Mock) -> None:
    submitted = await mock.submit(duration="forever")

    mock.emulator.manual.finish(submitted["request_id"])

    assert (await mock.result(submitted)).status_code == 422


async def test_finish_ends_a_run_that_would_never_end(mock: Mock) -> None:
    submitted = await mock.submit("https://example.com/a.png", prompt="[[fal: stuck_running]]")
    await mock.pass_time(3600)

    mock.emulator.manual.finish(submitted["request_id"])

    assert (await mock.result(submitted)).status_code == 200


async def test_a_finished_run_that_is_retried_takes_its_full_time(mock: Mock) -> None:
    submitted = await mock.submit(prompt="[[fal: requeued times=1]]")
    await mock.pass_time(2)

    mock.emulator.manual.finish(submitted["request_id"])
    at_once = await state(mock, submitted)
    await mock.pass_time(4.75)
    later = await state(mock, submitted)
    await mock.pass_time(0.25)

    assert (at_once, later, await state(mock, submitted)) == ("IN_QUEUE", "IN_PROGRESS", "COMPLETED")


@pytest.mark.parametrize("seconds", [0, 2], ids=["waiting", "running"])
async def test_fail_ends_a_request_with_an_error_of_the_model(mock: Mock, seconds: float) -> None:
    submitted = await mock.submit()
    await mock.pass_time(seconds)

    mock.emulator.manual.fail(submitted["request_id"], parse("content_policy_violation"))

    (error,) = (await mock.result(submitted)).json()["detail"]
    assert (error["type"], error["input"]["duration"]) == ("content_policy_violation", "5s")


async def test_a_request_failed_with_a_platform_error_is_not_retried(mock: Mock) -> None:
    submitted = await mock.submit()
    await mock.pass_time(2)

    mock.emulator.manual.fail(submitted["request_id"], parse("runner_connection_error"))

    status = (await mock.status(submitted)).json()
    assert (status["status"], status["error_type"]) == ("COMPLETED", "runner_connection_error")


async def test_a_failed_run_frees_its_runner(start: Callable[..., Awaitable[Mock]]) -> None:
    mock = await start(runners=1)
    first, second = await mock.submit(), await mock.submit()
    await mock.pass_time(2)

    mock.emulator.manual.fail(first["request_id"], parse("internal_server_error"))

    request = mock.emulator.request(second["request_id"])
    assert request is not None
    assert request.started_at == mock.clock.now()


async def test_fail_refuses_a_fault_of_the_connection(mock: Mock) -> None:
    submitted = await mock.submit()

    with pytest.raises(FaultError, match="cannot end with bad_gateway"):
        mock.emulator.manual.fail(submitted["request_id"], parse("bad_gateway"))


async def test_the_webhook_of_a_manually_finished_request_is_sent(mock: Mock, receiver: respx.Route) -> None:
    submitted = await mock.submit(query=f"?fal_webhook={HOOK}")

    mock.emulator.manual.finish(submitted["request_id"])
    await mock.emulator.timeline.settle()

    assert json.loads(receiver.calls.last.request.content)["status"] == "OK"


async def test_manual_control_is_in_the_journal(mock: Mock) -> None:
    submitted = await mock.submit()
    for act in (mock.emulator.manual.hold, mock.emulator.manual.release, mock.emulator.manual.finish):
        act(submitted["request_id"])
    await mock.emulator.timeline.settle()

    entries = mock.journal.entries()
    assert [(each.event, each.state) for each in entries if isinstance(each, Transition)] == [
        ("submit", "IN_QUEUE"),
        ("hold", "IN_QUEUE"),
        ("release", "IN_QUEUE"),
        ("start", "IN_PROGRESS"),
        ("finish", "COMPLETED"),
    ]


@ACTS
async def test_manual_control_of_a_completed_request_is_refused(mock: Mock, act: str) -> None:
    submitted = await mock.submit()
    await mock.cancel(submitted)

    with pytest.raises(AlreadyCompleted):
        getattr(mock.emulator.manual, act)(submitted["request_id"])


@ACTS
async def test_manual_control_of_an_unknown_request_is_refused(mock: Mock, act: str) -> None:
    with pytest.raises(RequestNotFound):
        getattr(mock.emulator.manual, act)(NOBODY)


async def test_manual_control_survives_a_restart(renders: Path, tmp_path: Path) -> None:
    clock, folder = ManualClock(), tmp_path / "state"
    async with opened(tmp_path / "renders", clock, state=folder) as first:
        waiting, running, finished = [await first.submit(duration=each) for each in ("5s", "5s", "8s")]
        for each in (waiting, finished):
            first.emulator.manual.hold(each["request_id"])
        await first.pass_time(2)
        first.emulator.manual.hold(running["request_id"])
        first.emulator.manual.finish(finished["request_id"])
        assert await state(first, finished) == "IN_PROGRESS"  # it is not rendered yet
    async with opened(renders, clock, state=folder) as second:
        await second.emulator.timeline.settle()
        at_once = await state(second, finished)
        await second.pass_time(3600)
        states = [await state(second, each) for each in (waiting, running)]

    assert (at_once, states) == ("COMPLETED", ["IN_QUEUE", "IN_PROGRESS"])


# Reset


async def test_a_reset_deletes_everything(mock: Mock, receiver: respx.Route) -> None:
    done = await mock.finish(query=f"?fal_webhook={HOOK}")
    await mock.submit(data_uri(png(400, 300)))

    forgotten = await mock.emulator.manual.reset()

    store = mock.emulator.store
    assert (forgotten, store.requests(), store.deliveries(), store.files()) == (2, [], [], [])
    assert (await mock.http.get(done.json()["video"]["url"])).status_code == 404


async def test_a_reset_cancels_renderings(mock: Mock) -> None:
    await mock.submit()
    mock.clock.move_to(mock.clock.now() + 2)
    mock.emulator.timeline.tick()
    assert mock.emulator.timeline.busy()

    await mock.emulator.manual.reset()

    assert mock.emulator.timeline.busy() == []


async def test_a_reset_cancels_webhook_attempts(mock: Mock, receiver: respx.Route) -> None:
    arrived = asyncio.Event()

    async def never(request: httpx.Request) -> httpx.Response:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    receiver.mock(side_effect=never)
    submitted = await mock.submit(query=f"?fal_webhook={HOOK}")
    await mock.cancel(submitted)
    mock.emulator.timeline.tick()
    await arrived.wait()

    await mock.emulator.manual.reset()

    assert mock.emulator.timeline.busy() == []


async def test_runners_are_free_after_a_reset(start: Callable[..., Awaitable[Mock]]) -> None:
    mock = await start(runners=1)
    await mock.submit()
    await mock.pass_time(2)
    await mock.emulator.manual.reset()

    submitted = await mock.submit()
    await mock.pass_time(2)

    assert await state(mock, submitted) == "IN_PROGRESS"


async def test_a_call_to_the_run_host_is_answered_at_a_reset(mock: Mock) -> None:
    running = asyncio.create_task(mock.http.post(f"/fal.run/{ENDPOINT}", json=GOOD, headers=KEY))
    await mock.emulator.changed().wait() if not mock.emulator.store.requests() else None
    await mock.emulator.manual.reset()

    answer = await running

    assert (answer.status_code, answer.json()["error_type"]) == (503, "runner_disconnected")


@pytest.mark.parametrize(
    ("mine", "whose"),
    [
        ({"Authorization": "Key test-a:s"}, {"test": "a"}),
        ({"x-falmock-test": "a"}, {"test": "a"}),
        ({"Authorization": "Key you:s"}, {"caller": "you"}),
    ],
    ids=["test by key", "test by header", "key"],
)
async def test_a_reset_of_a_test_or_a_key_leaves_other_requests(
    mock: Mock, mine: dict[str, str], whose: dict[str, str]
) -> None:
    kept = await mock.submit(data_uri(png(400, 300)))
    forgotten = await mock.submit(data_uri(png(400, 300)), headers=mine)
    await mock.pass_time(2)

    assert await mock.emulator.manual.reset(**whose) == 1

    await mock.pass_time(60)
    assert mock.emulator.request(forgotten["request_id"]) is None
    video = (await mock.result(kept)).json()["video"]["url"]
    assert (await mock.http.get(video)).status_code == 200


async def upload(mock: Mock, key_id: str) -> str:
    """Upload a file as fal's Python client does, and return its URL."""
    headers = {"Authorization": f"Key {key_id}:secret"}
    answer = await mock.http.post("/rest.fal.ai/storage/auth/token", json={}, headers=headers)
    headers = {"Authorization": f"Bearer {answer.json()['token']}", "content-type": "image/png"}
    answer = await mock.http.post("/v3.fal.media/files/upload", content=png(), headers=headers)
    return str(answer.json()["access_url"])


@pytest.mark.parametrize(
    ("whose", "left"),
    [({}, []), ({"caller": "me"}, ["test-a", "test-b"]), ({"test": "a"}, ["me", "test-b"])],
    ids=["everybody's", "a key's", "a test's"],
)
async def test_a_reset_deletes_uploads(mock: Mock, whose: dict[str, str], left: list[str]) -> None:
    uploads = {name: await upload(mock, name) for name in ("me", "test-a", "test-b")}

    await mock.emulator.manual.reset(**whose)

    assert [name for name, url in uploads.items() if (await mock.http.get(url)).status_code == 200] == left


async def test_request_ids_do_not_repeat_after_a_reset(mock: Mock) -> None:
    before = await mock.submit()
    await mock.emulator.manual.reset()

    assert (await mock.submit())["request_id"] != before["request_id"]


async def test_a_reset_keeps_the_initial_rules(
    start: Callable[..., Awaitable[Mock]],
) -> None:
    mock = await start(scenarios=("strict-review",))
    before = [each.rule for each in mock.emulator.rule_set.rules()]
    mock.emulator.rule_set.add(Rule(fault="slow"))

    await mock.emulator.manual.reset()

    assert [each.rule for each in mock.emulator.rule_set.rules()] == before


@pytest.mark.parametrize(("test", "left"), [(None, 0), ("a", 2)])
async def test_a_reset_clears_the_journal(mock: Mock, test: str | None, left: int) -> None:
    for name in ("a", "b"):
        await mock.submit(headers={"x-falmock-test": name})

    await mock.emulator.manual.reset(test=test)

    assert len(mock.journal.entries()) == left


async def test_a_reset_of_a_test_removes_its_rules(mock: Mock) -> None:
    for test in ("a", "b"):
        mock.emulator.rule_set.add(Rule(fault="slow", test=test))

    await mock.emulator.manual.reset(test="a")

    assert [each.rule.test for each in mock.emulator.rule_set.rules()] == ["b"]


async def test_the_stream_of_a_deleted_request_ends(mock: Mock) -> None:
    submitted = await mock.submit()
    url = f"{BASE}/{APPLICATION}/requests/{submitted['request_id']}/status/stream"
    watching = asyncio.create_task(mock.http.get(url, headers=KEY))
    await asyncio.sleep(0)

    await mock.emulator.manual.reset()

    assert (await watching).status_code in {200, 404}


# Send a webhook again


async def test_a_webhook_is_sent_again_with_the_same_body_and_a_new_signature(
    mock: Mock, receiver: respx.Route
) -> None:
    request_id = (await mock.finish(query=f"?fal_webhook={HOOK}")).headers["x-fal-request-id"]

    mock.emulator.manual.redeliver(request_id)
    await mock.pass_time(0)

    first, second = (call.request for call in receiver.calls)
    delivery = mock.emulator.store.delivery(request_id)
    assert (first.content, delivery and (delivery.outcome, delivery.attempts)) == (
        second.content,
        ("delivered", 2),
    )


async def test_a_webhook_that_failed_for_good_is_sent_again(mock: Mock, receiver: respx.Route) -> None:
    receiver.respond(302)
    request_id = (await mock.finish(query=f"?fal_webhook={HOOK}")).headers["x-fal-request-id"]
    receiver.respond(200)

    mock.emulator.manual.redeliver(request_id)
    await mock.pass_time(0)

    delivery = mock.emulator.store.delivery(request_id)
    assert delivery is not None
    assert delivery.outcome == "delivered"


async def test_an_attempt_in_progress_is_broken_off_by_another_one(mock: Mock, receiver: respx.Route) -> None:
    begun, attempts = asyncio.Event(), 0

    async def answer(_: httpx.Request) -> httpx.Response:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            begun.set()
            await asyncio.Event().wait()
        return httpx.Response(200)

    receiver.side_effect = answer
    submitted = await mock.submit(query=f"?fal_webhook={HOOK}")
    passing = asyncio.create_task(mock.pass_time(60))
    await begun.wait()

    mock.emulator.manual.redeliver(submitted["request_id"])
    await passing

    delivery = mock.emulator.store.delivery(submitted["request_id"])
    assert (attempts, delivery and delivery.outcome) == (2, "delivered")
