"""Runners, positions, priorities and deadlines: a discrete-event simulation.

The queue is handed `now` and returns what happened since it was last asked, in order and each with
its own time. It never looks at a clock, so polling cannot move a request, and an hour passes as fast
as a second. Rules, with their source in PROTOCOL.md:

* An application has a number of runners. They take requests in order: `normal` priority before
  `low`, then first come, first served (4.8). The order is strict: who stands first may keep
  others waiting, but is never overtaken, with two exceptions.
* A caller at its concurrency limit is passed over, and its surplus waits. Only requests in
  progress count (4.8).
* Who stands aside is passed too, and taken as soon as it is ready; who is held, not before its release.
* A request that no runner took by its deadline is over (11.1, `X-Fal-Request-Timeout`).
* A run ends when its time is up *and* its outcome is known: the emulator says `settle` when the
  rendering is done, and a runner stays taken until then. The run of who is held does not end.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, insort
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from falmock.engine.lifecycle import Event

if TYPE_CHECKING:
    from collections.abc import Iterator

NORMAL: Final = 0
LOW: Final = 1

_place = attrgetter("place")


@dataclass(slots=True, eq=False)
class Job:
    """A request as the queue sees it. Times are unix seconds of the emulator's clock.

    Attributes:
        id: the request id.
        application: whose runners take it.
        caller: whose concurrency limit counts.
        order: rises with each submit.
        priority: NORMAL or LOW.
        ready_at: no runner takes it earlier.
        start_by: no runner takes it later.
        run_seconds: how long its run takes.
        started_at: when a runner took it; None while it waits.
        aside: others may pass it while it waits.
        held: it stays as it is, waiting or running.
        due_at: its run ends then, whatever `run_seconds` says; None for by itself.
        ends_at: when its run ends, once its outcome is known.
    """

    id: str
    application: str
    caller: str
    order: int
    priority: int
    ready_at: float
    run_seconds: float
    start_by: float = math.inf
    started_at: float | None = None
    bypass: bool = False
    held: bool = False
    due_at: float | None = None
    ends_at: float | None = None

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands in line: smaller is sooner."""
        return (self.priority, self.order)


@dataclass(frozen=True, slots=True)
class QueueEvent:
    """Something that happened to a job, and when."""

    event: Event
    job: Job
    at: float


@dataclass(slots=True)
class _Application:
    """The waiting lines of one application, one a caller, each in order; and how many run."""

    lines: dict[str, list[Job]] = field(default_factory=dict)
    bypass: list[Job] = field(default_factory=list)
    running: int = 0

    def waiting(self) -> int:
        return sum(map(len, self.lines.values())) + len(self.bypass)

    def ahead_of(self, job: Job) -> int:
        return sum(bisect_left(line, job.place, key=_place) for line in self.lines.values())

    def join(self, job: Job) -> None:
        if job.bypass or job.held:
            self.bypass.append(job)
        else:
            insort(self.lines.setdefault(job.caller, []), job, key=_place)

    def leave(self, job: Job) -> None:
        if job.bypass or job.held:
            self.bypass.remove(job)
            return
        line = self.lines[job.caller]
        del line[bisect_left(line, job.place, key=_place)]
        if not line:
            del self.lines[job.caller]


class Queue:
    """All applications of one emulator.

    Args:
        runners: how many jobs of one application run at once.
        concurrency: how many jobs of one caller run at once, over all applications.
        now: the hour at which it begins.
    """

    def __init__(self, *, runners: int, concurrency: int, now: float) -> None:
        self._runners = runners
        self._concurrency = concurrency
        self._time = now
        self._applications: dict[str, _Application] = {}
        self._jobs: dict[str, Job] = {}
        self._running_of: Counter[str] = Counter()
        # Heaps of (when, order, job); an entry whose job has moved on is dropped when it surfaces.
        self._ends: list[tuple[float, int, Job]] = []
        self._deadlines: list[tuple[float, int, Job]] = []

    @property
    def time(self) -> float:
        """Up to when everything has happened that was due."""
        return self._time

    def has(self, job_id: str) -> bool:
        """Tell whether a job waits or runs."""
        return job_id in self._jobs

    def add(self, job: Job) -> None:
        """Put a job in line, or, when it has `started_at`, back on its runner."""
        application = self._applications.setdefault(job.application, _Application())
        self._jobs[job.id] = job
        if job.started_at is not None:
            application.running += 1
            self._running_of[job.caller] += 1
            return
        application.join(job)
        if job.start_by < math.inf:
            heapq.heappush(self._deadlines, (job.start_by, job.order, job))

    def advance(self, now: float) -> Iterator[QueueEvent]:
        """Yield what is due by `now`, in order.

        Whoever consumes it may `settle`, `cancel` or `add` between two happenings, and what
        follows takes that into account.
        """
        while (happening := self._next()) is not None and happening.at <= now:
            self._time = max(self._time, happening.at)
            self._carry_out(happening)
            yield happening
        self._time = max(self._time, now)

    def due(self) -> float:
        """Return when the next thing will happen by itself; infinity for never."""
        happening = self._next()
        return math.inf if happening is None else happening.at

    def settle(self, job_id: str, now: float, *, due: float | None = None) -> None:
        """The outcome is known: the run ends at its time (or at `due`), but not before `now`."""
        job = self._jobs[job_id]
        if job.started_at is None:
            raise ValueError(f"{job_id} was settled before it was started")
        end = job.started_at + job.run_seconds if due is None else due
        self._end_at(job, max(end if job.due_at is None else job.due_at, now))

    def cancel(self, job_id: str, now: float) -> QueueEvent:
        """Take a job out at once, waiting or running."""
        return self._at_once(Event.CANCEL, job_id, now)

    # By hand

    def hold(self, job_id: str, now: float) -> None:
        """Keep a job as it is: no runner takes it, or its run does not end. Its deadline stays."""
        self._set_held(job_id, now, held=True)

    def release(self, job_id: str, now: float) -> None:
        """Let a job go on that was held; a run whose time is up ends now."""
        self._set_held(job_id, now, held=False)

    def start(self, job_id: str, now: float) -> QueueEvent:
        """Put a waiting job on a runner at once, one of its own if there is none free; it is not held."""
        happening = self._at_once(Event.START, job_id, now)
        happening.job.held = False
        return happening

    def hurry(self, job_id: str, now: float) -> None:
        """Let a run end as soon as its outcome is known; it is not held."""
        job = self._jobs[job_id]
        job.held, job.due_at = False, now
        if job.ends_at is not None:
            self._end_at(job, now)

    def finish(self, job_id: str, now: float) -> QueueEvent:
        """End a run at once."""
        return self._at_once(Event.FINISH, job_id, now)

    # What it looks like

    def position(self, job_id: str) -> int:
        """Return how many jobs stand before this one in its line; 0 is next."""
        job = self._jobs[job_id]
        return self._applications[job.application].ahead_of(job)

    def waiting(self, application: str) -> int:
        """Return how many jobs of an application wait."""
        found = self._applications.get(application)
        return found.waiting() if found else 0

    def waiting_jobs(self, application: str) -> list[Job]:
        """Return the jobs of an application that wait, in order."""
        found = self._applications.get(application)
        if found is None:
            return []
        return sorted(chain(found.bypass, *found.lines.values()), key=_place)

    def running(self, application: str) -> int:
        """Return how many jobs of an application run."""
        found = self._applications.get(application)
        return found.running if found else 0

    def running_of(self, caller: str) -> int:
        """Return how many jobs of a caller run."""
        return self._running_of[caller]

    def _next(self) -> QueueEvent | None:
        """Choose what happens next. At the same moment an end comes first, for it frees a runner;
        a start beats the deadline, for it is in time."""
        self._drop_stale()
        candidates = list(self._starts())
        if self._ends:
            at, _, job = self._ends[0]
            candidates.append(QueueEvent(Event.FINISH, job, max(at, self._time)))
        if self._deadlines:
            at, _, job = self._deadlines[0]
            candidates.append(QueueEvent(Event.START_TIMEOUT, job, at))
        rank = {Event.FINISH: 0, Event.START: 1, Event.START_TIMEOUT: 2}
        return min(candidates, key=lambda h: (h.at, rank[h.event], h.job.place), default=None)

    def _starts(self) -> Iterator[QueueEvent]:
        for application in self._applications.values():
            if application.running >= self._runners:
                continue
            heads = [
                line[0]
                for caller, line in application.lines.items()
                if self._running_of[caller] < self._concurrency
            ]
            able = [min(heads, key=_place)] if heads else []
            able += [job for job in application.bypass if self._running_of[job.caller] < self._concurrency]
            for job in able:
                if job.ready_at < math.inf and not job.held:
                    yield QueueEvent(Event.START, job, max(job.ready_at, self._time))

    def _drop_stale(self) -> None:
        while self._ends and not self._may_end(self._ends[0][2]):
            heapq.heappop(self._ends)
        while self._deadlines and not self._is_waiting(self._deadlines[0][2]):
            heapq.heappop(self._deadlines)

    def _may_end(self, job: Job) -> bool:
        return self._jobs.get(job.id) is job and job.started_at is not None and not job.held

    def _is_waiting(self, job: Job) -> bool:
        return self._jobs.get(job.id) is job and job.started_at is None

    def _set_held(self, job_id: str, now: float, *, held: bool) -> None:
        self._time = max(self._time, now)
        job = self._jobs[job_id]
        if job.started_at is None:
            application = self._applications[job.application]
            application.leave(job)
            job.held = held
            application.join(job)
        else:
            job.held = held
            if not held and job.ends_at is not None:  # its entry may have been dropped meanwhile
                self._end_at(job, job.ends_at)

    def _end_at(self, job: Job, at: float) -> None:
        job.ends_at = at
        heapq.heappush(self._ends, (at, job.order, job))

    def _at_once(self, event: Event, job_id: str, now: float) -> QueueEvent:
        self._time = max(self._time, now)
        happening = QueueEvent(event, self._jobs[job_id], now)
        self._carry_out(happening)
        return happening

    def _carry_out(self, happening: QueueEvent) -> None:
        job = happening.job
        application = self._applications[job.application]
        if job.started_at is None:
            application.leave(job)
        else:
            application.running -= 1
            self._running_of[job.caller] -= 1
        if happening.event is Event.START:
            job.started_at = happening.at
            application.running += 1
            self._running_of[job.caller] += 1
        else:
            del self._jobs[job.id]
