"""Start and end of each job on a target with a known clock and known timing.

A plain quadratic simulation on purpose: it checks an optimised queue and must not repeat its mistakes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

ROUNDING: Final = 1e-4  # seconds; times are differences of unix seconds


@dataclass(slots=True)
class Entry:
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


def schedule_jobs(jobs: list[Entry], *, runners: int, concurrency: int) -> None:
    """Compute start and end of each job; `jobs` are in the order of their submits."""
    for job in jobs:
        job.started, job.ended = math.inf, min(job.start_by, job.cancelled)
    order = sorted(jobs, key=lambda job: job.low)
    while (found := _next_start(order, runners, concurrency)) is not None:
        at, job = found
        end = at + job.run_seconds
        job.started, job.ended = at, min(end, job.cancelled) if job.honours_cancel else end


def _next_start(order: list[Entry], runners: int, concurrency: int) -> tuple[float, Entry] | None:
    """Return the next start. Only jobs of a caller at its limit are overtaken (PROTOCOL.md 4.8)."""
    times = sorted(
        {t for job in order for t in (job.submitted, job.ready, job.ended, job.started) if t < math.inf}
    )
    latest = max((job.started for job in order if job.started < math.inf), default=-math.inf)
    for at in (t for t in times if t >= latest):
        for application in dict.fromkeys(job.application for job in order):
            if sum(_runs(job, at) for job in order if job.application == application) >= runners:
                continue
            waiting = [job for job in order if job.application == application and _may_start(job, at)]
            free = [
                j for j in waiting if sum(_runs(k, at) for k in order if k.caller == j.caller) < concurrency
            ]
            if free and free[0].ready <= at:
                return at, free[0]
    return None


def _runs(job: Entry, at: float) -> bool:
    return job.started <= at < job.ended


def _may_start(job: Entry, at: float) -> bool:
    """A call at a time counts after everything that was due by then."""
    submitted = job.submitted < at or job.ready <= at
    return submitted and job.started == math.inf and at <= job.cancelled and at <= job.start_by


def position_of(job: Entry, jobs: list[Entry], at: float) -> int:
    """Return the queue position of a waiting job: the number of jobs ahead of it."""
    order = sorted(jobs, key=lambda other: other.low)
    before = order[: order.index(job)]
    return sum(other.application == job.application and other.waits(at) for other in before)
