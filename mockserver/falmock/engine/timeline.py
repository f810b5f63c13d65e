"""The scheduler, and methods that move emulated time."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from falmock.engine import runs
from falmock.engine.clock import LAST
from falmock.engine.notifier import first
from falmock.engine.rows import Request
from falmock.engine.transitions import unavailable
from falmock.protocol.errors import StorageUnavailable

if TYPE_CHECKING:
    from falmock.engine.resources import Resources
    from falmock.engine.transitions import Transitions

log = logging.getLogger("falmock")


class Timeline:
    """The scheduler of an emulator.

    Attributes:
        scheduling: whether the scheduler (`run`) is running.
        moving: a lock that is held while emulated time is moved.
    """

    def __init__(self, resources: Resources, transitions: Transitions) -> None:
        self._clock = resources.clock
        self._store = resources.store
        self._files = resources.files
        self._transitions = transitions
        self.moving = asyncio.Lock()
        self.scheduling = False

    async def run(self) -> None:
        """Apply events when they are due, until cancelled. This is the scheduler."""
        self.scheduling = True
        failed: str | None = None
        try:
            while True:
                self._transitions.wake.clear()
                try:
                    self.tick()
                    due = self.due()
                except Exception as error:  # the scheduler must survive any error
                    if repr(error) != failed:
                        log.critical(
                            "the scheduler failed and continues; this is a bug in falmock", exc_info=True
                        )
                    failed = repr(error)
                else:
                    if self._transitions.can_write:
                        await first(self._transitions.wake.wait(), self._clock.sleep_until(due))
                        continue
                await asyncio.sleep(runs.RETRY)  # after an error, or while the store cannot write
        finally:
            self.scheduling = False

    def tick(self) -> None:
        """Apply the due events, start due webhooks and delete expired data; retry after a failed write."""
        now = self._transitions.catch_up()
        if self._transitions.can_write:
            self._transitions.sender.launch(now)
            if now >= self._store.expires_at():
                self._sweep(now)

    def due(self) -> float:
        """Return when the next event, attempt or expiry is due; infinity for never."""
        return min(self.next_at(), self._store.expires_at())

    def next_at(self) -> float:
        """Return when the next event or attempt is due; infinity for never."""
        return min(self._transitions.due, self._transitions.sender.due())

    def busy(self) -> list[asyncio.Task[None]]:
        """Return the work that takes no emulated time: renderings and webhook attempts."""
        return [*self._transitions.runs.tasks, *self._transitions.sender.in_flight]

    def delivering(self) -> set[asyncio.Task[None]]:
        """Return the webhook attempts among `busy`."""
        return set(self._transitions.sender.in_flight)

    async def pass_time(self, seconds: float) -> None:
        """Move emulated time from event to event, each with the work that it causes.

        The clock is stopped during renderings and webhook attempts, so all machines get the same times.
        Afterwards it continues with its old scale.

        Raises:
            ValueError: `seconds` is negative, or leads beyond the year 2999.
            StorageUnavailable: the store cannot write.
        """
        if not 0 <= seconds <= LAST - self._clock.now():
            raise ValueError(
                f"{seconds} seconds cannot pass: time does not go back, nor beyond the year 2999"
            )
        async with self.moving:
            scale, self._clock.scale = self._clock.scale, 0.0
            try:
                await self._pass_until(min(self._clock.now() + seconds, LAST))
            finally:
                self._clock.scale = scale
                self._remember_time()

    async def run_at(self, scale: float) -> None:
        """Set how many seconds of emulated time a real second has; 0 stops the clock."""
        async with self.moving:
            self._clock.scale = scale
            self._remember_time()

    async def settle(self) -> None:
        """Wait until all renderings and webhook attempts are done.

        Raises:
            StorageUnavailable: the store cannot write.
        """
        self.tick()
        self._check_trouble()
        while busy := self.busy():
            _, left = await asyncio.wait(busy, timeout=runs.RETRY)
            if not left or self._transitions.trouble() is not None:
                self.tick()
                self._check_trouble()

    def _check_trouble(self) -> None:
        if (trouble := self._transitions.trouble()) is not None:
            raise unavailable(trouble)

    async def _pass_until(self, end: float) -> None:
        while True:
            await self.settle()
            due = max(self.due(), self._clock.now())
            if due > end:
                break
            self._clock.move_to(due)
            await asyncio.sleep(0)  # yield to other tasks, and let an enclosing timeout fire
        self._clock.move_to(max(end, self._clock.now()))  # another task may have moved it
        await self.settle()

    def _remember_time(self) -> None:
        with self._transitions.transaction(steers=False):
            self._store.remember("time", self._clock.now())

    def _sweep(self, now: float) -> None:
        """Delete results, requests and files that have expired."""
        with suppress(StorageUnavailable):  # the next tick tries again
            for request in self._store.expired(Request, now):
                with self._transitions.transaction(steers=False):
                    self._transitions.steps.expire(request, now)
            with self._transitions.transaction(steers=False):
                self._files.sweep(now)
            self._store.find_next_expiry()
