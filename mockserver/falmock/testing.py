"""For tests: an emulator whose time passes when told to."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from falmock.app import create_app
from falmock.console import address
from falmock.server import Server, listen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from falmock.clock import Clock
    from falmock.emulator import Emulator


async def pass_time(emulator: Emulator, clock: Clock, seconds: float) -> None:
    """Let time pass from one event to the next, each with the work that it sets off.

    See `Emulator.pass_time`; the clock must be the emulator's own.
    """
    assert clock is emulator.clock  # noqa: S101 - another clock would stand still
    await emulator.pass_time(seconds)


async def settle(emulator: Emulator) -> None:
    """Wait until nothing is going on that takes no emulated time."""
    await emulator.settle()


@asynccontextmanager
async def serving(emulator: Emulator) -> AsyncIterator[str]:
    """Serve an emulator on a free loopback port, in this event loop; gives its address."""
    with listen("127.0.0.1", 0) as listener, emulator.dialler.own.listening(listener):
        async with Server(create_app(emulator), limits=emulator.settings.limits).running(listener):
            yield address(listener)
