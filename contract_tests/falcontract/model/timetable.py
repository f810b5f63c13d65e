"""Start and end of each job on a target with a known clock and known timing.

A plain quadratic simulation on purpose: it checks an optimised queue and must not repeat its mistakes.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Final

ROUNDING: Final = 1e-4  # seconds; times are differences of unix seconds


@dataclass(slots=True)
class ScheduledJob:
    """One job. All times are seconds; infinity means never."""

    name: str
    application: str  # runners are shared within it
    caller: str  # concurrency is limited for it
    submitted: float  # time of the submit
    ready: float  # earliest start
    run_seconds: float  # duration of the run
    low: bool = False
    start_by: float = math.inf  # start timeout
    cancelled: float = math.inf  # time of the cancel
    honours_cancel: bool = False  # a cancel ends the run; otherwise it runs on (PROTOCOL.md 4.7)
    started: float = math.inf  # computed
    ended: float = math.inf  # computed

    def state(self, at: float) -> str:
        at += ROUNDING
        return "COMPLETED" if at >= self.ended else "IN_PROGRESS" if at >= self.started else "IN_QUEUE"

    def waits(self, at: float) -> bool:
        """Return whether the job is submitted and in the queue at a time."""
        return self.submitted <= at + ROUNDING and self.state(at) == "IN_QUEUE"


def schedule_jobs(jobs: list[ScheduledJob], *, runners: int, concurrency: int) -> None:
    """Compute start and end of each job; `jobs` are in the order of their submits."""
    for job in jobs:
        job.started, job.ended = math.inf, min(job.start_by, job.cancelled)
    order = sorted(jobs, key=lambda job: job.low)
    while (found := _next_start(order, runners, concurrency)) is not None:
        at, job = found
        end = at + job.run_seconds
        job.started, job.ended = at, min(end, job.cancelled) if job.honours_cancel else end


def _next_start(
    order: list[ScheduledJob], runners: int, concurrency: int
) -> tuple[float, ScheduledJob] | None:
    """Return the next start. Only jobs of a caller at its limit are overtaken (PROTOCOL.md 4.8)."""
    times = sorted(
        {t for job in order for t in (job.submitted, job.ready, job.ended, job.started) if t < math.inf}
    )
    latest = max((job.started for job in order if job.started < math.inf), default=-math.inf)
    for at in (t for t in times if t >= latest):
        heads = [
            job
            for application in dict.fromkeys(job.application for job in order)
            if (job := _next_of(application, order, at, runners, concurrency)) is not None
        ]
        if heads:
            return at, min(heads, key=order.index)  # applications share the limit of a caller
    return None


def _next_of(
    application: str, order: list[ScheduledJob], at: float, runners: int, concurrency: int
) -> ScheduledJob | None:
    """Return the job of an application that starts at a time, or None."""
    jobs = [job for job in order if job.application == application]
    if sum(_runs(job, at) for job in jobs) >= runners:
        return None
    running = Counter(job.caller for job in order if _runs(job, at))
    free = (job for job in jobs if _may_start(job, at) and running[job.caller] < concurrency)
    first = next(free, None)
    return first if first is not None and first.ready <= at else None


def _runs(job: ScheduledJob, at: float) -> bool:
    return job.started <= at < job.ended


def _may_start(job: ScheduledJob, at: float) -> bool:
    """A call at a time counts after everything that was due by then."""
    submitted = job.submitted < at or job.ready <= at
    return submitted and job.started == math.inf and at <= job.cancelled and at <= job.start_by


def position_of(job: ScheduledJob, jobs: list[ScheduledJob], at: float) -> int:
    """Return the queue position of a waiting job: the number of jobs ahead of it."""
    order = sorted(jobs, key=lambda other: other.low)
    before = order[: order.index(job)]
    return sum(other.application == job.application and other.waits(at) for other in before)
