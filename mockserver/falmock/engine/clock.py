"""The clock of an emulator. It has two times.

`now()` is emulated time, which may be faster than real time, or stopped. `wall()` is real time, for
signatures: the receiver of a webhook compares the timestamp with its own clock.
"""

from __future__ import annotations

import asyncio
import math
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

LAST: Final = datetime(3000, 1, 1, tzinfo=UTC).timestamp()  # where emulated time stops


class Clock:
    """The machine's clock, `scale` times as fast. Times are in unix seconds.

    Args:
        scale: seconds of emulated time in one real second; 0 stops the clock. It may be set at any time.
        start: the emulated time to begin at, if it is later than `wall` (a restart must not fall behind the
            times that an earlier, faster run stored).
        wall: returns the time of day.
        monotonic: returns real seconds, and never goes back.
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
        self._start = min(max(start, wall()), LAST)
        self._zero = monotonic()
        self._sleepers: dict[asyncio.Future[None], float] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = math.inf

    def now(self) -> float:
        """Return the emulated time. It goes back only with `reset`, and stops at `LAST`."""
        return min(self._start + (self._monotonic() - self._zero) * self._scale, LAST)

    def wall(self) -> float:
        """Return the time for signatures and certificates."""
        return self._wall()

    @property
    def scale(self) -> float:
        return self._scale

    @scale.setter
    def scale(self, scale: float) -> None:
        self._continue(self.now(), scale)

    def move_to(self, when: float) -> None:
        """Move emulated time forward; it continues from there.

        Raises:
            ValueError: `when` is in the past, or beyond `LAST`.
        """
        now = self.now()
        if when < now:
            raise ValueError(f"emulated time cannot go back from {now} to {when}")
        if not when <= LAST:  # this includes NaN
            raise ValueError(f"emulated time ends with the year 2999: it cannot move to {when}")
        self.reset(when)

    def reset(self, when: float) -> None:
        """Set emulated time, also to an earlier time. The caller moves all stored times with it."""
        self._continue(min(when, LAST), self._scale)

    async def sleep_until(self, when: float) -> None:
        """Return once `now()` has reached `when`; never for infinity."""
        if when <= self.now():
            return
        woken = asyncio.get_running_loop().create_future()
        self._sleepers[woken] = when
        if when < self._alarm_at:
            self._set_alarm(when)
        try:
            await woken
        finally:
            del self._sleepers[woken]
            if not self._sleepers:
                self._set_alarm(math.inf)

    def _continue(self, start: float, scale: float) -> None:
        self._start, self._zero, self._scale = start, self._monotonic(), scale
        self._wake()

    def _wake(self) -> None:
        """Wake the sleepers that are due, in order, and set the alarm for the next."""
        now = self.now()
        asleep = {woken: when for woken, when in self._sleepers.items() if not woken.done()}
        for woken in sorted((woken for woken, when in asleep.items() if when <= now), key=asleep.__getitem__):
            woken.set_result(None)
            del asleep[woken]
        self._set_alarm(min(asleep.values(), default=math.inf))

    def _set_alarm(self, when: float) -> None:
        """Set the one timer, for the earliest sleeper; none while the clock is stopped."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._alarm_at = when
        if when <= LAST and self._scale > 0:
            loop = next(iter(self._sleepers)).get_loop()
            self._alarm = loop.call_later((when - self.now()) / self._scale, self._wake)


class ManualClock(Clock):
    """A clock that only `move_to` moves, for tests.

    Both of its times are the same, so signatures do not depend on the day on which a test runs.
    """

    def __init__(self, start: float = 1_790_000_000.0) -> None:
        super().__init__(scale=0.0, wall=lambda: start)

    def wall(self) -> float:
        return self.now()
