"""The clock: what it shows, how fast it goes, and on with it."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.exceptions import HTTPException

from falmock.control.api import Operation
from falmock.control.schemas import Patience, Query, patience
from falmock.engine.clock import LAST

if TYPE_CHECKING:
    from falmock.engine.emulator import Emulator


class ClockReading(BaseModel):
    """The emulator's time, in unix seconds and as text; what happens next, if anything does by itself."""

    now: float
    iso: str
    wall: float
    scale: float
    next: float | None


class ClockChange(Query):
    """One of: another scale, so many seconds on, or on to a time."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"advance": 60}, {"scale": 0}]})

    scale: float | None = Field(None, ge=0, le=1e6)
    advance: float | None = Field(None, ge=0, lt=LAST)
    to: float | None = Field(None, lt=LAST)
    within: Patience = 10.0

    @model_validator(mode="after")
    def _one(self) -> Self:
        if [self.scale, self.advance, self.to].count(None) != 2:  # noqa: PLR2004 - all but one
            raise ValueError("say one of scale, advance and to")
        return self


class Time:
    """Reads the clock and changes it."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    @property
    def operations(self) -> list[Operation]:
        """What can be asked for."""
        late = {408: "the time was not reached in time; it goes on from where it is"}
        return [
            Operation("GET", "/clock", "Tell the time", self._read_clock, gives=ClockReading),
            Operation(
                "POST",
                "/clock",
                "Change the clock's scale, or let time pass from one event to the next",
                self._change_clock,
                takes=ClockChange,
                gives=ClockReading,
                refusals={409: "the time has passed already", **late},
            ),
        ]

    async def _read_clock(self) -> ClockReading:
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

    async def _change_clock(self, asked: ClockChange) -> ClockReading:
        async with patience(asked.within, "the clock has not got there"):
            if asked.scale is not None:
                await self._emulator.timeline.run_at(asked.scale)
            else:
                await self._emulator.timeline.pass_time(self._seconds(asked))
        return await self._read_clock()

    def _seconds(self, asked: ClockChange) -> float:
        now = self._emulator.clock.now()
        seconds = asked.advance if asked.to is None else asked.to - now
        if seconds is None or seconds < 0:
            raise HTTPException(409, f"time does not run backwards: it is {now}, not {asked.to}")
        if now + seconds > LAST:
            raise HTTPException(409, "emulated time ends with the year 2999")
        return seconds
