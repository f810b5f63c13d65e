"""Wakes the tasks that wait for a change."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable

ANY: Final = ""  # the key for a change of anything


class Notifier:
    """Wakes the tasks that wait for a change of one thing, such as a request.

    `notify` needs no event loop.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Event] = {}

    def subscribe(self, key: str) -> asyncio.Event:
        """Return an event that the next `notify` with this key sets."""
        event = self._waiting.get(key)
        if event is None:
            event = self._waiting[key] = asyncio.Event()
        return event

    def notify(self, *keys: str) -> None:
        """Wake the current subscribers of these keys."""
        for key in keys:
            event = self._waiting.pop(key, None)
            if event is not None:
                event.set()

    def notify_all(self) -> None:
        self.notify(*self._waiting)


async def first(*awaitables: Awaitable[object]) -> None:
    """Wait until one of these is done, and cancel the others."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
