"""For tests: an emulator whose time passes when told to."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from falmock.app import create_app
from falmock.console import address
from falmock.server import Server, listen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from falmock.clock import ManualClock
    from falmock.emulator import Emulator


async def pass_time(emulator: Emulator, clock: ManualClock, seconds: float) -> None:
    """Let time pass from one event to the next, each with the work that it sets off.

    Renderings and webhooks take no emulated time: the clock stands still until they are done, so
    that the same calls give the same times, however slow the machine is.
    """
    end = clock.now() + seconds
    while True:
        await settle(emulator)
        due = max(emulator.due(), clock.now())
        if due > end:
            break
        clock.move_to(due)
    clock.move_to(max(end, clock.now()))  # others may have moved it meanwhile
    await settle(emulator)


async def settle(emulator: Emulator) -> None:
    """Wait until nothing is going on that takes no emulated time."""
    emulator.pulse()
    while busy := emulator.busy():
        await asyncio.wait(busy)
        emulator.pulse()


@asynccontextmanager
async def serving(emulator: Emulator) -> AsyncIterator[str]:
    """Serve an emulator on a free loopback port, in this event loop; gives its address."""
    with listen("127.0.0.1", 0) as listener:
        async with Server(create_app(emulator)).running(listener):
            yield address(listener)
