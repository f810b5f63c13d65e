"""Wakes all who wait, each time that it rings."""

from __future__ import annotations

import asyncio


class Notifier:
    """A bell. It may be made and rung where no event loop runs; who waits is in one."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def ring(self) -> None:
        """Wake who waits now; who comes later waits for the next time."""
        rung, self._next = self._next, asyncio.Event()
        rung.set()

    def listen(self) -> asyncio.Event:
        """Return what is set when it rings the next time."""
        return self._next
