"""Passing emulated time. `test_queue` and `test_clock` test the parts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from emulated import Mock, opened

from falmock.engine.clock import Clock, ManualClock
from falmock.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


async def state(mock: Mock, submitted: Any) -> str:
    return str((await mock.status(submitted)).json()["status"])


async def test_pass_time_works_with_a_running_clock(renders: Path) -> None:
    clock = Clock(scale=0.001)
    async with opened(renders, clock) as mock:
        submitted = await mock.submit()
        await mock.pass_time(60)

        assert await state(mock, submitted) == "COMPLETED"
        assert clock.scale == 0.001


async def test_a_restart_keeps_the_time_that_was_passed(renders: Path, tmp_path: Path) -> None:
    async with opened(renders, ManualClock(), state=tmp_path) as mock:
        await mock.pass_time(3600)
        later = mock.clock.now()

        assert mock.emulator.store.latest_time() == later


async def test_two_calls_of_pass_time_take_turns(mock: Mock) -> None:
    before = mock.clock.now()

    await asyncio.gather(mock.pass_time(10), mock.pass_time(20))

    assert mock.clock.now() == before + 30


@pytest.mark.parametrize("scale", [-1.0, float("inf"), float("nan")])
def test_a_time_scale_must_be_finite_and_not_negative(scale: float) -> None:
    with pytest.raises(ValueError, match="--time-scale"):
        Settings(time_scale=scale)
