"""Operations on the clock."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from starlette.exceptions import HTTPException

from falmock.control.api import Part, operation, time_limit
from falmock.control.schemas import ClockChange, ClockReading
from falmock.engine.clock import LAST


class ClockControl(Part):
    """Reads and changes the clock."""

    @operation("GET", "/clock")
    async def read(self) -> ClockReading:
        """Return the time, and the time of the next event."""
        clock = self._emulator.clock
        self._emulator.advance()
        now, due = clock.now(), self._emulator.timeline.due()
        return ClockReading(
            now=now,
            iso=datetime.fromtimestamp(min(now, LAST), UTC).isoformat(timespec="milliseconds"),
            wall=clock.wall(),
            scale=clock.scale,
            next=None if due == math.inf else due,
        )

    @operation(
        "POST",
        "/clock",
        refusals={
            409: "the time is in the past",
            408: "the time was not reached; the clock goes on from where it is",
        },
    )
    async def change(self, body: ClockChange) -> ClockReading:
        """Change the scale, or advance the time from event to event."""
        async with time_limit(body.within, "the clock has not reached that time"):
            if body.scale is not None:
                await self._emulator.timeline.run_at(body.scale)
            else:
                await self._emulator.timeline.pass_time(self._seconds(body))
        return await self.read()

    @operation("POST", "/clock/reset")
    async def reset(self) -> ClockReading:
        """Set the clock to real time, and move all stored times with it."""
        emulator = self._emulator
        async with emulator.timeline.moving:
            emulator.advance()
            real = emulator.clock.wall()

            def move() -> None:
                emulator.store.shift(real - emulator.clock.now())
                emulator.store.remember("time", real)
                emulator.store.on_commit(lambda: emulator.clock.reset(real))

            await emulator.manual.restore(move)
        return await self.read()

    def _seconds(self, change: ClockChange) -> float:
        now = self._emulator.clock.now()
        seconds = change.advance if change.to is None else change.to - now
        if seconds is None or seconds < 0:
            raise HTTPException(409, f"time does not run backwards: it is {now}, not {change.to}")
        if now + seconds > LAST:
            raise HTTPException(409, "emulated time ends with the year 2999")
        return seconds
