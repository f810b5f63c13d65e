"""The hour, handed in: nothing else in this package looks at a clock or waits on one.

Two hands: `now()` is the emulator's own time, which may run faster than the world's or stand
still; `wall()` is what a receiver of a signed webhook will compare its own clock with.
"""

from __future__ import annotations

import asyncio
import math
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

LAST: Final = datetime(3000, 1, 1, tzinfo=UTC).timestamp()  # where emulated time stops


class Clock(Protocol):
    """Unix seconds, twice, and a way to wait for them.

    Attributes:
        scale: seconds of emulated time for one real second; 0 stands still. It may be set at any time.
    """

    scale: float

    def now(self) -> float:
        """Return the emulator's time. It never goes back, and stops at `LAST`."""
        ...

    def wall(self) -> float:
        """Return the time that others see, for signatures and certificates."""
        ...

    def move_to(self, when: float) -> None:
        """Move the emulator's time on, and go on from there.

        Raises:
            ValueError: `when` has passed already, or is beyond `LAST`.
        """
        ...

    async def sleep_until(self, when: float) -> None:
        """Return once `now()` has reached `when`."""
        ...


class SystemClock:
    """The machine's clock, `scale` times as fast; it can be moved on, and its pace changed, while it runs.

    Args:
        scale: see `Clock`.
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
        self._start = min(max(start, wall()), LAST)
        self._zero = monotonic()
        self._sleepers: dict[asyncio.Future[None], float] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = math.inf

    def now(self) -> float:
        """See `Clock`."""
        return min(self._start + (self._monotonic() - self._zero) * self._scale, LAST)

    def wall(self) -> float:
        """See `Clock`."""
        return self._wall()

    @property
    def scale(self) -> float:
        """See `Clock`."""
        return self._scale

    @scale.setter
    def scale(self, scale: float) -> None:
        self._go_on(self.now(), scale)

    def move_to(self, when: float) -> None:
        """See `Clock`."""
        now = self.now()
        if when < now:
            raise ValueError(f"time does not run backwards: it is {now}, not {when}")
        if not when <= LAST:  # nor NaN
            raise ValueError(f"time ends with the year 2999, and does not get to {when}")
        self._go_on(when, self._scale)

    async def sleep_until(self, when: float) -> None:
        """See `Clock`."""
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

    def _go_on(self, start: float, scale: float) -> None:
        self._start, self._zero, self._scale = start, self._monotonic(), scale
        self._wake()

    def _wake(self) -> None:
        """Wake those whose time has come, in order, and be back for the next."""
        now = self.now()
        asleep = {woken: when for woken, when in self._sleepers.items() if not woken.done()}
        for woken in sorted((woken for woken, when in asleep.items() if when <= now), key=asleep.__getitem__):
            woken.set_result(None)
            del asleep[woken]
        self._set_alarm(min(asleep.values(), default=math.inf))

    def _set_alarm(self, when: float) -> None:
        """Have one timer for all, for the earliest; none while time stands still."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._alarm_at = when
        if when <= LAST and self._scale > 0:
            loop = next(iter(self._sleepers)).get_loop()
            self._alarm = loop.call_later((when - self.now()) / self._scale, self._wake)


class ManualClock(SystemClock):
    """A clock that moves when told to; for tests, and for whoever wants an hour in a moment.

    Both its hands are one, so that what it shows does not depend on the day on which a test is run.
    """

    def __init__(self, start: float = 1_790_000_000.0) -> None:
        super().__init__(scale=0.0, wall=lambda: start)

    def wall(self) -> float:
        """See `Clock`."""
        return self.now()
