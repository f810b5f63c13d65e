"""The course of a request as a drawing: spans in the queue and running, and the steps between them. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from falmock.engine.lifecycle import Event, State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from falmock.engine.rows import Request
    from falmock.inspection.recorded import Transition

Kind = Literal["queue", "run", "held"]

SHORTEST: Final = 0.001  # seconds that the drawing spans at least
TICKS: Final = 6  # at most
SAYS: Final = {
    "submit": "submitted",
    Event.START: "started",
    Event.REQUEUE: "queued again",
    Event.FINISH: "completed",
    Event.CANCEL: "cancelled",
    Event.START_TIMEOUT: "start timeout",
    "hold": "held",
    "release": "released",
}
_STATE_AFTER: Final[Mapping[str, Kind]] = {"submit": "queue", Event.START: "run", Event.REQUEUE: "queue"}
_ENDS: Final = frozenset({Event.FINISH, Event.CANCEL, Event.START_TIMEOUT})


@dataclass(frozen=True, slots=True)
class Step:
    """A change of a request."""

    at: float
    event: str  # as in the journal
    status: int | None = None  # HTTP status of the outcome; only at the end
    run: int = 0  # number of the run that the step starts

    @property
    def says(self) -> str:
        return SAYS.get(self.event, self.event)


@dataclass(frozen=True, slots=True)
class Span:
    """A time in one state; `start` and `end` are shares of the drawing's width."""

    kind: Kind
    start: float
    end: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """A drawing."""

    steps: tuple[Step, ...]
    spans: tuple[Span, ...]  # those in the queue and running, in order, then those on hold
    ticks: tuple[tuple[float, float], ...]  # shares of the width, and the seconds since the submission
    open: bool  # whether the last span goes on


def draw(request: Request, transitions: Sequence[Transition], now: float) -> Timeline:
    """Return the drawing of a request.

    Its row is used if the journal has dropped transitions, or if a restored snapshot has undone some.
    """
    steps = [
        Step(each.at, each.event, each.status, each.attempt if each.event == Event.START else 0)
        for each in transitions
    ]
    if not _lead_to(request, steps):
        steps = _stored(request)
    start = request.submitted_at
    end = now if request.completed_at is None else request.completed_at
    width = max(end - start, SHORTEST)
    spans = [*_spans(steps, end), *_holds(steps, end)]
    return Timeline(
        steps=tuple(steps),
        spans=tuple(
            Span(kind, _share(since - start, width), _share(until - start, width), until - since)
            for kind, since, until in spans
        ),
        ticks=tuple((_share(tick, width), tick) for tick in _ticks(width)),
        open=request.completed_at is None,
    )


def _lead_to(request: Request, steps: Sequence[Step]) -> bool:
    """Return whether steps are those of a request: a restored snapshot and a reset clock move its times."""
    starts = [step.at for step in steps[:1] if step.event == "submit"]
    ends = [step.at for step in steps if step.event in _ENDS]
    end = [] if request.completed_at is None else [request.completed_at]
    return starts == [request.submitted_at] and ends == end


def _stored(request: Request) -> list[Step]:
    steps = [Step(request.submitted_at, "submit")]
    if request.started_at is not None:
        steps.append(Step(request.started_at, Event.START, run=request.attempts))
    if request.completed_at is not None and request.state == State.COMPLETED:
        steps.append(Step(request.completed_at, Event.FINISH, request.status))
    return steps


def _spans(steps: Sequence[Step], end: float) -> list[tuple[Kind, float, float]]:
    changes = [step for step in steps if step.event not in {"hold", "release"}]
    ends = [*(step.at for step in changes[1:]), end]
    return [
        (kind, step.at, until)
        for step, until in zip(changes, ends, strict=True)
        if (kind := _STATE_AFTER.get(step.event)) is not None
    ]


def _holds(steps: Sequence[Step], end: float) -> list[tuple[Kind, float, float]]:
    found: list[tuple[Kind, float, float]] = []
    since: float | None = None
    for step in steps:
        if step.event == "hold":
            since = step.at if since is None else since
        elif since is not None and step.event not in {Event.START, Event.REQUEUE}:
            found.append(("held", since, step.at))
            since = None
    return found if since is None else [*found, ("held", since, end)]


def _share(seconds: float, width: float) -> float:
    return round(min(max(seconds / width, 0.0), 1.0), 4)


def _ticks(width: float) -> list[float]:
    """Return round numbers of seconds from 0 to the width."""
    power = 10 ** math.floor(math.log10(width / TICKS))
    step = next(each * power for each in (1, 2, 5, 10, 20) if width / (each * power) <= TICKS)
    return [round(number * step, 6) for number in range(int(width / step) + 1)]
