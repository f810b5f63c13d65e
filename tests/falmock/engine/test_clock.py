from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime

import pytest

from falmock.engine.clock import LAST, Clock, ManualClock


class Stopwatch:
    """A fake of the machine's two clocks."""

    def __init__(self) -> None:
        self.wall = 1000.0
        self.monotonic = 50.0

    def clock(self, scale: float = 1.0, start: float = 0.0) -> Clock:
        return Clock(scale, start=start, wall=lambda: self.wall, monotonic=lambda: self.monotonic)


def test_emulated_time_runs_scale_times_as_fast() -> None:
    machine = Stopwatch()
    clock = machine.clock(scale=10)
    machine.monotonic += 2

    assert clock.now() == 1020


def test_the_scale_does_not_change_wall_time() -> None:
    machine = Stopwatch()
    clock = machine.clock(scale=10)
    machine.monotonic += 2
    machine.wall += 2

    assert clock.wall() == 1002


def test_emulated_time_does_not_go_back_when_the_machine_clock_does() -> None:
    machine = Stopwatch()
    clock = machine.clock()
    machine.wall -= 500

    assert clock.now() == 1000


def test_a_restart_begins_no_earlier_than_the_stored_time() -> None:
    assert Stopwatch().clock(start=5000).now() == 5000


async def test_the_system_clock_sleeps_only_for_the_remaining_time() -> None:
    clock = Clock(scale=1000)

    await clock.sleep_until(clock.now() + 1)


def test_time_continues_at_the_new_scale_after_a_change() -> None:
    machine = Stopwatch()
    clock = machine.clock(scale=10)
    machine.monotonic += 2
    clock.scale = 100
    machine.monotonic += 1

    assert clock.now() == 1120


def test_a_clock_with_scale_0_stands_still() -> None:
    machine = Stopwatch()
    clock = machine.clock(scale=0)
    machine.monotonic += 3600

    assert clock.now() == 1000


def test_a_clock_continues_from_where_it_was_moved() -> None:
    machine = Stopwatch()
    clock = machine.clock()
    clock.move_to(5000)
    machine.monotonic += 2

    assert clock.now() == 5002


async def test_a_sleeper_wakes_when_the_clock_is_moved() -> None:
    clock = Clock(scale=1e-6)
    sleeping = asyncio.create_task(clock.sleep_until(clock.now() + 3600))
    await asyncio.sleep(0)

    clock.move_to(clock.now() + 3600)

    await sleeping


async def test_a_sleeper_wakes_in_time_when_the_scale_rises() -> None:
    clock = Clock(scale=0)
    sleeping = asyncio.create_task(clock.sleep_until(clock.now() + 3600))
    await asyncio.sleep(0)

    clock.scale = 1e9

    await sleeping


async def test_a_longer_sleep_does_not_delay_a_shorter_one() -> None:
    clock = Clock(scale=1e6)
    late = asyncio.create_task(clock.sleep_until(clock.now() + 1e9))
    await asyncio.sleep(0)

    await asyncio.gather(*[clock.sleep_until(clock.now() + seconds) for seconds in (3, 1, 2)])

    assert not late.done()
    late.cancel()


async def test_a_cancelled_sleep_does_not_delay_others() -> None:
    clock = Clock(scale=1e4)
    early = asyncio.create_task(clock.sleep_until(clock.now() + 1e9))
    late = asyncio.create_task(clock.sleep_until(clock.now() + 60))
    await asyncio.sleep(0)

    early.cancel()

    await late


async def test_a_sleeper_continues_to_sleep_when_the_clock_is_stopped() -> None:
    clock = Clock(scale=1e6)
    sleeping = asyncio.create_task(clock.sleep_until(clock.now() + 3600))
    clock.scale = 0

    done, _ = await asyncio.wait([sleeping], timeout=0.02)

    assert done == set()
    sleeping.cancel()


async def test_a_manual_clock_wakes_exactly_the_sleepers_that_are_due() -> None:
    clock = ManualClock(100)
    early = asyncio.create_task(clock.sleep_until(101))
    late = asyncio.create_task(clock.sleep_until(200))
    await asyncio.sleep(0)

    clock.move_to(150)
    await early

    assert not late.done()
    late.cancel()


async def test_a_sleep_until_a_past_time_returns_at_once() -> None:
    await ManualClock(100).sleep_until(99)


async def test_a_cancelled_sleep_is_not_woken() -> None:
    clock = ManualClock(100)
    waiting = asyncio.create_task(clock.sleep_until(101))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    clock.move_to(102)

    assert waiting.cancelled()


@pytest.mark.parametrize("clock", [ManualClock(100), Clock(0)])
def test_a_clock_cannot_be_moved_back(clock: Clock) -> None:
    with pytest.raises(ValueError, match="cannot go back"):
        clock.move_to(clock.now() - 1)


def test_a_manual_clock_has_equal_emulated_and_wall_times() -> None:
    clock = ManualClock(100)
    clock.move_to(150)

    assert (clock.now(), clock.wall()) == (150, 150)


YEAR = 365 * 86_400.0


@pytest.mark.parametrize("jump", [-10 * YEAR, -1.0, 3600.0, 1_000 * YEAR, 1e300])
def test_emulated_time_is_steady_when_the_wall_time_jumps(jump: float) -> None:
    machine = Stopwatch()
    clock = machine.clock(scale=10)
    machine.wall += jump
    machine.monotonic += 2

    assert clock.now() == 1020


@pytest.mark.parametrize("wall", [-1e9, 0.0, 999.0, 2000.0])
def test_time_begins_at_the_stored_time_or_later_for_any_wall_time(wall: float) -> None:
    machine = Stopwatch()
    machine.wall = wall

    assert machine.clock(start=1500.0).now() == max(1500.0, wall)


@pytest.mark.parametrize("start", [0.0, 1e300])
def test_time_stops_at_the_end_of_the_year_2999(start: float) -> None:
    machine = Stopwatch()
    machine.wall = LAST - 1
    clock = machine.clock(scale=1e6, start=start)
    machine.monotonic += 1e9

    assert clock.now() == LAST == datetime(3000, 1, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("when", [math.nan, math.inf, 1e308, 999.0])
def test_a_clock_cannot_be_moved_to_an_impossible_time(when: float) -> None:
    with pytest.raises(ValueError, match=r"cannot go back|ends with the year 2999"):
        Stopwatch().clock().move_to(when)
