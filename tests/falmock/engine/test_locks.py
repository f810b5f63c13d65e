"""Locked accounts: what is refused, what waits, and what goes on (PROTOCOL.md 2.1 and 4.8)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
import pytest
from emulated import ENDPOINT, GOOD, KEY, OTHER_KEY, Mock, opened
from hypothesis import given

from falmock.engine.clock import ManualClock
from falmock.engine.keys import Locks
from falmock.engine.store import Store
from falmock.faults.rules import Rule

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Start = Callable[..., Awaitable[Mock]]

LOCKED = (
    '{"detail":"User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."}'
)
DAY = 86_400


async def statuses(mock: Mock, *submitted: Any) -> list[str]:
    return [(await mock.status(each)).json()["status"] for each in submitted]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"/{ENDPOINT}", GOOD),
        (f"/fal.run/{ENDPOINT}", GOOD),
        ("/rest.fal.ai/storage/upload/initiate", {"file_name": "x"}),
        ("/rest.fal.ai/storage/upload/initiate-multipart", {"file_name": "x"}),
        ("/rest.fal.ai/storage/auth/token", {}),
        ("/rest.fal.ai/tokens/", {"allowed_apps": ["veo2"]}),
        ("/rest.fal.ai/tokens/realtime", {"app": ENDPOINT}),
    ],
)
async def test_new_work_is_refused_while_the_account_is_locked(mock: Mock, path: str, body: Any) -> None:
    mock.emulator.manual.lock("me")
    refused = await mock.http.post(path, json=body, headers=KEY)
    mock.emulator.manual.unlock("me")
    mock.emulator.rule_set.add(Rule(fault="rate_limited", on="run"))  # the test does not wait for a run
    accepted = await mock.http.post(path, json=body, headers=KEY)

    assert (refused.status_code, refused.text) == (403, LOCKED)
    assert accepted.status_code in {200, 201, 429}


async def test_statuses_and_results_are_answered_and_cancels_accepted_while_the_account_is_locked(
    mock: Mock,
) -> None:
    done = await mock.submit()
    await mock.pass_time(60)
    waiting = await mock.submit()
    mock.emulator.manual.lock("me")

    assert await statuses(mock, done, waiting) == ["COMPLETED", "IN_QUEUE"]
    assert (await mock.result(done)).status_code == 200
    assert (await mock.cancel(waiting)).status_code == 202


async def test_what_was_accepted_before_a_lock_waits_at_its_position_and_runs_after_it(mock: Mock) -> None:
    first, second = await mock.submit(), await mock.submit()
    mock.emulator.manual.lock("me")
    await mock.pass_time(DAY)
    positions = [(await mock.status(each)).json()["queue_position"] for each in (first, second)]
    mock.emulator.manual.unlock("me")
    await mock.pass_time(3.5)
    after_most_of_a_run = await statuses(mock, first, second)
    await mock.pass_time(0.5)
    results = [(await mock.result(each)).status_code for each in (first, second)]

    assert positions == [0, 1]
    assert after_most_of_a_run == ["IN_PROGRESS"] * 2  # they started at the unlock
    assert results == [200, 200]


async def test_what_runs_already_ends_as_usual_but_does_not_run_again(mock: Mock) -> None:
    running = await mock.submit()
    again = await mock.submit(headers={"x-falmock-fault": "requeued times=1"})
    await mock.pass_time(2)
    mock.emulator.manual.lock("me")
    await mock.pass_time(DAY)
    while_locked = await statuses(mock, running, again)
    mock.emulator.manual.unlock()
    await mock.pass_time(60)

    assert while_locked == ["COMPLETED", "IN_QUEUE"]
    assert await statuses(mock, again) == ["COMPLETED"]


async def test_requests_of_other_accounts_pass_those_of_a_locked_one(mock: Mock) -> None:
    locked = await mock.submit()
    mock.emulator.manual.lock("me")
    other = (await mock.http.post(f"/{ENDPOINT}", json=GOOD, headers=OTHER_KEY)).json()
    await mock.pass_time(60)

    assert (await mock.http.get(other["status_url"], headers=OTHER_KEY)).json()["status"] == "COMPLETED"
    assert await statuses(mock, locked) == ["IN_QUEUE"]


async def test_a_start_timeout_ends_the_wait_for_an_unlock(mock: Mock) -> None:
    submitted = await mock.submit(headers={"x-fal-request-timeout": "30"})
    mock.emulator.manual.lock()
    await mock.pass_time(30)

    result = await mock.result(submitted)
    assert (result.status_code, result.headers["x-fal-request-timeout-type"]) == (504, "user")


async def test_locks_survive_a_restart_and_settings_add_to_them(renders: Path, tmp_path: Path) -> None:
    clock, state = ManualClock(), tmp_path / "state"
    async with opened(renders, clock, state=state) as mock:
        submitted = await mock.submit()
        mock.emulator.manual.lock()
        mock.emulator.manual.unlock("you")
    async with opened(renders, clock, state=state, locked=("you",)) as mock:
        locked = [mock.emulator.locks.is_locked(key_id) for key_id in ("me", "you", "others")]
        await mock.pass_time(DAY)
        assert await statuses(mock, submitted) == ["IN_QUEUE"]
        mock.emulator.manual.unlock()
    async with opened(renders, clock, state=state) as mock:
        await mock.pass_time(60)
        assert await statuses(mock, submitted) == ["COMPLETED"]

    assert locked == [True, True, True]


async def test_a_full_reset_restores_the_locks_of_the_settings(start: Start) -> None:
    mock = await start(locked=("you",))
    mock.emulator.manual.lock()
    mock.emulator.manual.unlock("you")

    await mock.emulator.manual.reset(test="checkout")
    after_one_test = [mock.emulator.locks.is_locked(key_id) for key_id in ("me", "you")]
    await mock.emulator.manual.reset()

    assert after_one_test == [True, False]
    assert [mock.emulator.locks.is_locked(key_id) for key_id in ("me", "you")] == [False, True]


changes = st.lists(st.tuples(st.sampled_from([None, "a", "b"]), st.booleans()))


@given(st.sets(st.sampled_from("ab")), changes)
def test_the_last_change_that_names_an_account_or_all_decides(
    initial: set[str], changed: list[tuple[str | None, bool]]
) -> None:
    with Store(None) as store:
        locks = Locks(store, initial)
        for key_id, locked in changed:
            with store.transaction():
                locks.change(key_id, locked=locked)

        for key_id in "abc":
            decisions = [locked for changed_id, locked in changed if changed_id in {None, key_id}]
            expected = decisions[-1] if decisions else key_id in initial
            assert locks.is_locked(key_id) == expected
            assert Locks(store).is_locked(key_id) == (expected if changed else False)


@given(st.lists(st.tuples(st.sampled_from([None, "a"]), st.booleans()), min_size=1))
def test_a_change_that_cannot_be_written_has_no_effect(changed: list[tuple[str | None, bool]]) -> None:
    with Store(None) as store:
        locks = Locks(store, ["b"])

        def change_and_fail() -> None:
            with store.transaction():
                for key_id, locked in changed:
                    locks.change(key_id, locked=locked)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            change_and_fail()

        assert [locks.is_locked(key_id) for key_id in "abc"] == [False, True, False]
        assert json.loads(store.fact("locks") or "null") is None
