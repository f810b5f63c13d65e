"""Wake the tasks that wait for a change."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable


class Notifier:
    """Wakes all subscribers together. Only waiting needs an event loop."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def notify(self) -> None:
        """Wake the current subscribers."""
        current, self._next = self._next, asyncio.Event()
        current.set()

    def subscribe(self) -> asyncio.Event:
        """Return an event that the next `notify` sets."""
        return self._next


async def first(*awaitables: Awaitable[object]) -> None:
    """Wait until one of these is done, and cancel the others."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
