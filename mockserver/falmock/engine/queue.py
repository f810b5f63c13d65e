"""Runners, positions, priorities and deadlines: a discrete-event simulation.

The queue gets the time `now` and returns the events since the last call, in order, each with its own time.
It reads no clock, so polls do not change it, and an hour is simulated as fast as a second. Its rules, with
their source in PROTOCOL.md:

* An application has a number of runners. They take jobs in order: `normal` priority before `low`, then first
  come, first served (4.8). The order is strict: the first job may block others, with two exceptions.
* A job of a caller at its concurrency limit is passed over. Only running jobs count (4.8).
* So is a job of a caller whose account is locked (4.8).
* Jobs marked `bypass` do not block others and start when ready. Held jobs start only after release.
* A job that no runner took by its deadline ends (11.1, `X-Fal-Request-Timeout`).
* A run ends when its time is up *and* its outcome is known (`settle`, called when the rendering is done).
  The runner is busy until then. The run of a held job does not end.
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
    from collections.abc import Callable, Iterator

NORMAL: Final = 0
LOW: Final = 1

_place = attrgetter("place")


@dataclass(slots=True, eq=False)
class Job:
    """A request in the queue. Times are emulated, in unix seconds."""

    id: str
    application: str  # its runners take the job
    caller: str
    order: int  # rises with each submit
    priority: int  # NORMAL or LOW
    ready_at: float  # the earliest start
    run_seconds: float
    start_by: float = math.inf  # the latest start
    started_at: float | None = None
    bypass: bool = False  # it does not block others while it waits
    held: bool = False  # it stays in its state, waiting or running
    due_at: float | None = None  # the end that the control API has set for its run; None: after `run_seconds`
    ends_at: float | None = None  # when its run ends; None until its outcome is known

    @property
    def place(self) -> tuple[int, int]:
        """The order of waiting jobs: smaller is sooner."""
        return (self.priority, self.order)


@dataclass(frozen=True, slots=True)
class QueueEvent:
    """An event of a job, with its time."""

    event: Event
    job: Job
    at: float


@dataclass(slots=True)
class _Application:
    """The waiting jobs of one application, in order for each caller, and the number of running ones."""

    waiting_of: dict[str, list[Job]] = field(default_factory=dict)
    bypass: list[Job] = field(default_factory=list)
    running: int = 0

    def waiting(self) -> int:
        return sum(map(len, self.waiting_of.values())) + len(self.bypass)

    def ahead_of(self, job: Job) -> int:
        return sum(bisect_left(waiting, job.place, key=_place) for waiting in self.waiting_of.values())

    def has_behind(self, job: Job) -> bool:
        last = chain(self.bypass, (waiting[-1] for waiting in self.waiting_of.values()))
        return any(other.place > job.place for other in last)

    def join(self, job: Job) -> None:
        if job.bypass or job.held:
            self.bypass.append(job)
        else:
            insort(self.waiting_of.setdefault(job.caller, []), job, key=_place)

    def leave(self, job: Job) -> None:
        if job.bypass or job.held:
            self.bypass.remove(job)
            return
        waiting = self.waiting_of[job.caller]
        del waiting[bisect_left(waiting, job.place, key=_place)]
        if not waiting:
            del self.waiting_of[job.caller]


_NONE: Final = _Application()  # for an application without requests


class Queue:
    """The jobs of all applications.

    Args:
        runners: the maximum of running jobs of an application.
        concurrency: that of a caller, in all applications.
        is_locked: returns whether the account of a caller is locked; call `recheck` after a change.

    Attributes:
        time: the time up to which events are applied.
    """

    def __init__(
        self,
        *,
        runners: int,
        concurrency: int,
        now: float,
        is_locked: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._runners = runners
        self._concurrency = concurrency
        self._is_locked = is_locked
        self.time = now
        self._applications: dict[str, _Application] = {}
        self._jobs: dict[str, Job] = {}
        self._running_of: Counter[str] = Counter()
        # Heaps of (when, order, job); stale entries are dropped when they reach the top.
        self._ends: list[tuple[float, int, Job]] = []
        self._deadlines: list[tuple[float, int, Job]] = []

    def has(self, job_id: str) -> bool:
        return job_id in self._jobs

    def add(self, job: Job) -> None:
        """Add a waiting job, or a running one (with `started_at`)."""
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
        """Yield the events that are due by `now`, in order.

        The consumer may call `settle`, `cancel` or `add` between two events; later events respect that.
        """
        while (event := self._next()) is not None and event.at <= now:
            self.time = max(self.time, event.at)
            self._carry_out(event)
            yield event
        self.time = max(self.time, now)

    def due(self) -> float:
        """Return the time of the next event; infinity for none."""
        event = self._next()
        return math.inf if event is None else event.at

    def settle(self, job_id: str, now: float, *, due: float | None = None) -> None:
        """Note that the outcome is known: the run ends at its time (or at `due`), but not before `now`."""
        job = self._jobs[job_id]
        if job.started_at is None:
            raise ValueError(f"{job_id} has an outcome, but has not started")
        end = job.started_at + job.run_seconds if due is None else due
        self._end_at(job, max(end if job.due_at is None else job.due_at, now))

    def cancel(self, job_id: str, now: float) -> None:
        """Remove a job now, waiting or running."""
        self._at_once(Event.CANCEL, job_id, now)

    # Manual control

    def hold(self, job_id: str, now: float) -> None:
        """Keep a job in its state: no runner takes it, or its run does not end. Its deadline stays."""
        self._set_held(job_id, now, held=True)

    def release(self, job_id: str, now: float) -> None:
        """End a hold; a run that should have ended by now ends now."""
        self._set_held(job_id, now, held=False)

    def recheck(self, now: float) -> None:
        """Note that a lock has changed: jobs that may now start do so at `now`, not earlier."""
        self.time = max(self.time, now)

    def start(self, job_id: str, now: float) -> None:
        """Start a waiting job now, on an extra runner if none is free; it is not held."""
        self._at_once(Event.START, job_id, now)
        self._jobs[job_id].held = False

    def hurry(self, job_id: str, now: float) -> None:
        """End a run as soon as its outcome is known; it is not held."""
        job = self._jobs[job_id]
        job.held, job.due_at = False, now
        if job.ends_at is not None:
            self._end_at(job, now)

    # Read

    def position(self, job_id: str) -> int:
        """Return how many jobs wait before this one; 0 is next."""
        job = self._jobs[job_id]
        return self._applications[job.application].ahead_of(job)

    def overtakes(self, job_id: str) -> bool:
        """Return whether jobs that came earlier wait behind this one."""
        job = self._jobs[job_id]
        return job.priority < LOW and self._applications[job.application].has_behind(job)

    def waiting(self, application: str) -> int:
        return self._applications.get(application, _NONE).waiting()

    def waiting_jobs(self, application: str) -> list[Job]:
        found = self._applications.get(application, _NONE)
        return sorted(chain(found.bypass, *found.waiting_of.values()), key=_place)

    def running(self, application: str) -> int:
        return self._applications.get(application, _NONE).running

    def running_of(self, caller: str) -> int:
        return self._running_of[caller]

    def _next(self) -> QueueEvent | None:
        """Return the next event. At equal times a finish comes first, because it frees a runner, and a start
        comes before a start timeout, because it is not late."""
        self._drop_stale()
        candidates = list(self._starts())
        if self._ends:
            at, _, job = self._ends[0]
            candidates.append(QueueEvent(Event.FINISH, job, max(at, self.time)))
        if self._deadlines:
            at, _, job = self._deadlines[0]
            candidates.append(QueueEvent(Event.START_TIMEOUT, job, at))
        rank = {Event.FINISH: 0, Event.START: 1, Event.START_TIMEOUT: 2}
        return min(candidates, key=lambda each: (each.at, rank[each.event], each.job.place), default=None)

    def _starts(self) -> Iterator[QueueEvent]:
        for application in self._applications.values():
            if application.running >= self._runners:
                continue
            heads = [
                waiting[0] for caller, waiting in application.waiting_of.items() if self._may_start(caller)
            ]
            candidates = [min(heads, key=_place)] if heads else []
            candidates += [job for job in application.bypass if self._may_start(job.caller)]
            for job in candidates:
                if job.ready_at < math.inf and not job.held:
                    yield QueueEvent(Event.START, job, max(job.ready_at, self.time))

    def _may_start(self, caller: str) -> bool:
        return self._running_of[caller] < self._concurrency and not self._is_locked(caller)

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
        self.time = max(self.time, now)
        job = self._jobs[job_id]
        if job.started_at is None:
            application = self._applications[job.application]
            application.leave(job)
            job.held = held
            application.join(job)
        else:
            job.held = held
            if not held and job.ends_at is not None:  # its entry in the heap may have been dropped
                self._end_at(job, job.ends_at)

    def _end_at(self, job: Job, at: float) -> None:
        job.ends_at = at
        heapq.heappush(self._ends, (at, job.order, job))

    def _at_once(self, event: Event, job_id: str, now: float) -> None:
        self.time = max(self.time, now)
        self._carry_out(QueueEvent(event, self._jobs[job_id], now))

    def _carry_out(self, event: QueueEvent) -> None:
        job = event.job
        application = self._applications[job.application]
        if job.started_at is None:
            application.leave(job)
        else:
            application.running -= 1
            self._running_of[job.caller] -= 1
        if event.event is Event.START:
            job.started_at = event.at
            application.running += 1
            self._running_of[job.caller] += 1
        else:
            del self._jobs[job.id]
