"""The hour, handed in: nothing else in this package looks at a clock or waits on one.

Two hands: `now()` is the emulator's own time, which may run faster than the world's or stand
still; `wall()` is what a receiver of a signed webhook will compare its own clock with.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock(Protocol):
    """Unix seconds, twice, and a way to wait for them."""

    def now(self) -> float:
        """Return the emulator's time. It never goes back."""
        ...

    def wall(self) -> float:
        """Return the time that others see, for signatures and certificates."""
        ...

    async def sleep_until(self, when: float) -> None:
        """Return once `now()` has reached `when`."""
        ...


class SystemClock:
    """The machine's clock, `scale` times as fast.

    Args:
        scale: seconds of emulated time for one real second; more than 0.
        start: the emulated time to begin at, if that is later than the real one (a restart must
            not fall behind what an earlier, faster run wrote down).
        wall: the machine's time of day.
        monotonic: the machine's stopwatch, which no time server can set back.
    """

    def __init__(
        self,
        scale: float = 1.0,
        *,
        start: float = 0.0,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scale = scale
        self._wall = wall
        self._monotonic = monotonic
        self._start = max(start, wall())
        self._zero = monotonic()

    def now(self) -> float:
        """See `Clock`."""
        return self._start + (self._monotonic() - self._zero) * self._scale

    def wall(self) -> float:
        """See `Clock`."""
        return self._wall()

    async def sleep_until(self, when: float) -> None:
        """See `Clock`."""
        while (remaining := when - self.now()) > 0:  # noqa: ASYNC110 - time is the event that is waited for
            await asyncio.sleep(remaining / self._scale)


class ManualClock:
    """A clock that moves when told to; for tests, and for whoever wants an hour in a moment."""

    def __init__(self, start: float = 1_790_000_000.0) -> None:
        self._now = start
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> float:
        """See `Clock`."""
        return self._now

    def wall(self) -> float:
        """See `Clock`; here both hands are one."""
        return self._now

    async def sleep_until(self, when: float) -> None:
        """See `Clock`."""
        if when <= self._now:
            return
        future = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._waiting, (when, self._count, future))
        await future

    def move_to(self, when: float) -> None:
        """Set the time and wake who waited for it.

        Raises:
            ValueError: `when` has passed already.
        """
        if when < self._now:
            raise ValueError(f"time does not run backwards: it is {self._now}, not {when}")
        self._now = when
        while self._waiting and self._waiting[0][0] <= when:
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(None)
