"""When each job starts and ends, on a target whose clock and timing are known.

The plainest way to say it: look at the jobs in order, again and again, and let the next one start when
it may. It is quadratic on purpose; a clever queue is what is being checked, not what checks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

ROUNDING: Final = 1e-4  # seconds; times are differences of unix seconds


@dataclass(slots=True)
class Entry:
    """One job.

    Attributes:
        name: symbolic.
        line: whose runners it needs: the application.
        caller: whose limit counts.
        submitted: seconds.
        ready: when it may start at the earliest.
        takes: seconds that its run takes.
        low: it has low priority.
        start_by: when it is given up if nobody took it.
        cancelled: when it was cancelled; infinity for never.
        started: when it did start; infinity for never.
        ended: when it did end.
    """

    name: str
    line: str
    caller: str
    submitted: float
    ready: float
    takes: float
    low: bool = False
    start_by: float = math.inf
    cancelled: float = math.inf
    started: float = math.inf
    ended: float = math.inf

    def state(self, at: float) -> str:
        """Return the status at a time."""
        at += ROUNDING
        return "COMPLETED" if at >= self.ended else "IN_PROGRESS" if at >= self.started else "IN_QUEUE"

    def waits(self, at: float) -> bool:
        """Tell whether it stands in line at a time."""
        return self.submitted <= at + ROUNDING and self.state(at) == "IN_QUEUE"


def schedule_jobs(jobs: list[Entry], *, runners: int, concurrency: int) -> None:
    """Work out when each job starts and ends; `jobs` are in the order of their submits."""
    for job in jobs:
        job.started, job.ended = math.inf, min(job.start_by, job.cancelled)
    order = sorted(jobs, key=lambda job: job.low)
    while (found := _next_start(order, runners, concurrency)) is not None:
        at, job = found
        job.started, job.ended = at, min(at + job.takes, job.cancelled)


def _next_start(order: list[Entry], runners: int, concurrency: int) -> tuple[float, Entry] | None:
    """Return the earliest start that is still to come. Who stands first is never overtaken, except when
    its caller has as many running as it may (PROTOCOL.md 4.8)."""
    moments = sorted(
        {m for job in order for m in (job.submitted, job.ready, job.ended, job.started) if m < math.inf}
    )
    latest = max((job.started for job in order if job.started < math.inf), default=-math.inf)
    for at in moments:
        if at < latest:
            continue
        for line in dict.fromkeys(job.line for job in order):
            if sum(_runs(job, at) for job in order if job.line == line) >= runners:
                continue
            waiting = [job for job in order if job.line == line and _could_start(job, at)]
            free = [
                j for j in waiting if sum(_runs(k, at) for k in order if k.caller == j.caller) < concurrency
            ]
            if free and free[0].ready <= at:
                return at, free[0]
    return None


def _runs(job: Entry, at: float) -> bool:
    return job.started <= at < job.ended


def _could_start(job: Entry, at: float) -> bool:
    """Whoever asks at a moment asks after all that was due by then."""
    there = job.submitted < at or job.ready <= at
    return there and job.started == math.inf and at <= job.cancelled and at <= job.start_by


def position_of(job: Entry, jobs: list[Entry], at: float) -> int:
    """Return how many jobs stand before a waiting one: its queue position."""
    order = sorted(jobs, key=lambda other: other.low)
    before = order[: order.index(job)]
    return sum(other.line == job.line and other.waits(at) for other in before)
