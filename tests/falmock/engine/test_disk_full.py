"""A full disk: submits are rejected, nothing is lost, and work continues once there is space."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import respx
from emulated import BASE, ENDPOINT, GOOD, KEY, Mock
from storage import failing

from falmock.faults.rules import Rule
from falmock.inspection.recorded import Transition
from falmock.protocol.errors import StorageFull

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from falmock.engine.store import Store

HOOK = "http://localhost:3000/hook"


@contextmanager
def full(store: Store) -> Iterator[None]:
    """Limit the database to its present size within a block."""
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    # Use the free space of existing pages.
    for size in (2000, 500, 100, 20, 1):
        try:
            for number in range(10_000):
                store.remember(f"filler {size} {number}", "x" * size)
        except sqlite3.OperationalError:
            continue
    try:
        yield
    finally:
        store._db.execute("PRAGMA max_page_count = 1073741823")


async def submit(mock: Mock) -> httpx.Response:
    """Submit an input that needs new database pages."""
    body = GOOD | {"prompt": "x" * 9000}
    return await mock.http.post(f"/{ENDPOINT}?fal_webhook={HOOK}", json=body, headers=KEY)


def known(mock: Mock) -> tuple[int, int, int]:
    """Return how many requests the database, the queue and the journal know."""
    store, waiting = mock.emulator.store, mock.emulator.waiting_jobs("fal-ai/veo2")
    steps = [each for each in mock.journal.entries() if isinstance(each, Transition)]
    return len(store.open_requests()), len(waiting), len(steps)


@pytest.fixture
async def on_disk(start: Callable[..., Awaitable[Mock]], tmp_path: Path) -> Mock:
    return await start(state=tmp_path / "state")


async def test_a_submit_is_refused_with_507_of_fals_shape_when_the_disk_is_full(on_disk: Mock) -> None:
    with full(on_disk.emulator.store):
        answer = await submit(on_disk)

    assert answer.status_code == 507
    assert answer.json()["error_type"] == answer.headers["x-fal-error-type"] == "storage_full"
    assert answer.json()["detail"] == "The emulator's disk is full: make room and send this again"


async def test_a_call_to_the_run_host_is_refused_with_507_when_the_disk_is_full(on_disk: Mock) -> None:
    with full(on_disk.emulator.store):
        answer = await on_disk.http.post(f"https://fal.run/{ENDPOINT}", json=GOOD, headers=KEY)

    assert answer.status_code == 507


async def test_a_submit_that_was_refused_leaves_nothing_behind(on_disk: Mock) -> None:
    await submit(on_disk)
    before = known(on_disk)

    with full(on_disk.emulator.store):
        for _ in range(3):
            await submit(on_disk)

    assert known(on_disk) == before == (1, 1, 1)


async def test_a_large_body_that_was_refused_leaves_no_file(on_disk: Mock, tmp_path: Path) -> None:
    large = GOOD | {"prompt": "x" * 20_000}

    with full(on_disk.emulator.store):
        answer = await on_disk.http.post(f"/{ENDPOINT}", json=large, headers=KEY)

    assert answer.status_code == 507
    assert list((tmp_path / "state" / "inputs").iterdir()) == []


async def test_the_counters_of_rules_are_unchanged_after_a_refused_submit(on_disk: Mock) -> None:
    rule_set = on_disk.emulator.rule_set
    rule_set.add(Rule(fault="slow", times=2))

    with full(on_disk.emulator.store):
        await on_disk.http.post(
            f"/{ENDPOINT}", json=GOOD, headers=KEY | {"x-falmock-fault": "gateway_timeout"}
        )

    assert [(each.id, each.matched, each.injected, each.observed) for each in rule_set.rules()] == [
        (1, 0, 0, 0)
    ]


async def test_requests_stay_readable_while_the_disk_is_full(on_disk: Mock) -> None:
    submitted = (await submit(on_disk)).json()

    with failing(on_disk.emulator.store):
        on_disk.clock.move_to(on_disk.clock.now() + 3600)
        status = await on_disk.status(submitted)

    assert (status.status_code, status.json()["status"]) == (202, "IN_QUEUE")


async def test_all_accepted_requests_complete_and_are_delivered_once_there_is_room(on_disk: Mock) -> None:
    with respx.mock() as router:
        hook = router.post(HOOK).respond(200)
        accepted = [(await submit(on_disk)).json() for _ in range(5)]
        with failing(on_disk.emulator.store):
            on_disk.clock.move_to(on_disk.clock.now() + 2)
            on_disk.emulator.timeline.tick()
            refused = await submit(on_disk)
        accepted += [(await submit(on_disk)).json() for _ in range(5)]
        await on_disk.pass_time(60)
        results = [(await on_disk.result(each)).status_code for each in accepted]

    assert refused.status_code == 507
    assert results == [200] * 10
    assert hook.call_count == 10


async def test_pass_time_is_refused_while_nothing_can_be_written(on_disk: Mock) -> None:
    await submit(on_disk)

    with full(on_disk.emulator.store), pytest.raises(StorageFull):
        await on_disk.pass_time(60)


async def test_the_clock_answers_507_over_the_control_api_when_the_disk_is_full(on_disk: Mock) -> None:
    await submit(on_disk)

    with full(on_disk.emulator.store):
        answer = await on_disk.http.post("/control/clock", json={"advance": 60})

    assert answer.status_code == 507


@pytest.mark.parametrize("act", ["hold", "finish"])
async def test_manual_control_on_a_full_disk_changes_nothing(on_disk: Mock, act: str) -> None:
    submitted = (await submit(on_disk)).json()
    store = on_disk.emulator.store
    before = store.request(submitted["request_id"])

    with failing(store):
        answer = await on_disk.http.post(f"/control/requests/{submitted['request_id']}/{act}", json={})

    assert answer.status_code == 507
    assert store.request(submitted["request_id"]) == before
    assert [job.held for job in on_disk.emulator.waiting_jobs("fal-ai/veo2")] == [False]


async def test_a_cancel_on_a_full_disk_is_refused_and_can_be_repeated(on_disk: Mock) -> None:
    submitted = (await submit(on_disk)).json()

    with failing(on_disk.emulator.store):
        refused = await on_disk.cancel(submitted)
    again = await on_disk.cancel(submitted)

    assert (refused.status_code, again.status_code) == (507, 202)


async def test_health_reports_when_the_disk_is_full_and_when_it_has_room_again(on_disk: Mock) -> None:
    with full(on_disk.emulator.store):
        await submit(on_disk)
        during = (await on_disk.http.get("/health")).json()
    on_disk.emulator.timeline.tick()
    after = (await on_disk.http.get("/health")).json()

    assert (during["status"], during["reason"]) == ("degraded", "the disk is full")
    assert (after["status"], "reason" in after) == ("ok", False)


async def test_a_full_disk_and_its_end_are_each_logged_once(
    on_disk: Mock, caplog: pytest.LogCaptureFixture
) -> None:
    with full(on_disk.emulator.store):
        for _ in range(5):
            await submit(on_disk)
    await submit(on_disk)

    messages = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert messages == [
        "falmock cannot write (the disk is full): requests wait until it can",
        "falmock can write again",
    ]


async def test_a_commit_that_fails_leaves_no_transaction_open(on_disk: Mock) -> None:
    with failing(on_disk.emulator.store):
        refused = await submit(on_disk)
    accepted = await submit(on_disk)

    assert (refused.status_code, accepted.status_code) == (507, 200)
    assert not on_disk.emulator.store.in_transaction
    assert known(on_disk) == (1, 1, 1)


async def test_a_webhook_whose_outcome_cannot_be_written_is_not_sent_again_and_not_lost(
    on_disk: Mock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("falmock.engine.webhooks.STORE_PAUSE", 0.001)

    def receive(_: httpx.Request) -> httpx.Response:
        failures.enter_context(failing(on_disk.emulator.store, times=3))
        return httpx.Response(200)

    with respx.mock() as router, ExitStack() as failures:
        hook = router.post(HOOK).mock(side_effect=receive)
        submitted = (await submit(on_disk)).json()
        on_disk.emulator.manual.hold(submitted["request_id"])
        await on_disk.cancel(submitted)
        delivered = await on_disk.emulator.wait_for_delivery(submitted["request_id"])

    assert (delivered.outcome, hook.call_count) == ("delivered", 1)
    assert "falmock cannot write" in caplog.text


async def test_a_rendering_is_repeated_until_there_is_room(
    on_disk: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("falmock.engine.runs.RETRY", 0.001)
    emulator = on_disk.emulator
    submitted = (await submit(on_disk)).json()
    usual, failures = emulator.files.publish, [OSError(28, "No space left on device")] * 3

    def publish(*args: Any, **more: Any) -> Any:
        if failures:
            raise failures.pop()
        return usual(*args, **more)

    monkeypatch.setattr(emulator.files, "publish", publish)
    on_disk.clock.move_to(on_disk.clock.now() + 2)
    emulator.timeline.tick()
    (run,) = emulator.timeline.busy()
    await run
    await on_disk.pass_time(60)

    assert (await on_disk.result(submitted)).status_code == 200
    assert failures == []
    assert BASE in (await on_disk.result(submitted)).json()["video"]["url"]
