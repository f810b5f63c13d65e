"""Mutants of statuses, positions and the schedule."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from falcontract.mutation.internals import access, emulator, errors, hosts, queue, queue_host, transitions
from falcontract.mutation.patching import (
    DONE,
    Patch,
    change_answer,
    change_status,
    planted,
    replaces,
    with_body,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def _every_second_time(change: Callable[[dict[str, Any]], None], state: str) -> Callable[..., None]:
    """Return a change of every second status of a job that has this state."""
    seen: dict[str, int] = {}

    def changed(status: dict[str, Any], job: Any) -> None:
        if status["status"] == state:
            seen[job.id] = seen.get(job.id, 0) + 1
            if seen[job.id] % 2 == 0:
                change(status)

    return changed


def cancelled_is_a_status(patch: Patch) -> None:
    """A cancelled job is CANCELLED."""
    change_status(patch, lambda s, job: s.update(status="CANCELLED") if job.status == 499 else None)


def failed_is_a_status(patch: Patch) -> None:
    """A failed job is FAILED."""
    change_status(patch, lambda s, job: s.update(status="FAILED") if (job.status or 0) >= 400 else None)


def status_is_always_200(patch: Patch) -> None:
    """Every status is answered 200."""
    change_answer(patch, "_status", lambda r, _: with_body(r, bytes(r.body), 200))


def completed_is_202(patch: Patch) -> None:
    """COMPLETED is answered 202."""
    change_answer(patch, "_status", lambda r, _: with_body(r, bytes(r.body), 202))


def completed_is_not_final(patch: Patch) -> None:
    """Every second status after the end is IN_PROGRESS."""
    change_status(patch, _every_second_time(lambda s: s.update(status="IN_PROGRESS"), DONE))


def running_jobs_look_queued(patch: Patch) -> None:
    """Every second status of a running job is IN_QUEUE."""

    def change(status: dict[str, Any]) -> None:
        status.update(status="IN_QUEUE", queue_position=0)

    change_status(patch, _every_second_time(change, "IN_PROGRESS"))


def status_has_no_position(patch: Patch) -> None:
    """A status has no position."""
    change_status(patch, lambda status, _: status.pop("queue_position", None))


def position_after_the_queue(patch: Patch) -> None:
    """Every status has a position."""
    change_status(patch, lambda status, _: status.setdefault("queue_position", 0))


@planted(change_status)
def position_is_a_text(status: dict[str, Any], _: Any) -> None:
    """The position is a text, which a lenient client accepts."""
    if "queue_position" in status:
        status["queue_position"] = str(status["queue_position"])


def position_counts_from_one(patch: Patch) -> None:
    """The next job has position 1."""
    patch.around(queue.Queue, "position", lambda original, *args: original(*args) + 1)


def position_is_always_zero(patch: Patch) -> None:
    """Every job has position 0."""
    patch.around(queue.Queue, "position", lambda original, *args: 0)


@replaces(queue.Queue, "position")
def position_counts_jobs_behind(original: Any, line: Any, job_id: str) -> int:
    """The position is the number of jobs behind."""
    return int(line.waiting(line._jobs[job_id].application) - 1 - original(line, job_id))


def newest_job_runs_first(patch: Patch) -> None:
    """The queue is last in, first out."""
    patch.set(queue.Job, "place", property(lambda job: (job.priority, -job.order)))


def low_priority_is_ignored(patch: Patch) -> None:
    """All jobs have the same priority."""
    patch.around(access, "_priority", lambda original, *args: 0)


def polling_moves_jobs(patch: Patch) -> None:
    """A job is COMPLETED after twenty polls."""
    seen: dict[str, int] = {}

    def change(status: dict[str, Any], job: Any) -> None:
        seen[job.id] = seen.get(job.id, 0) + 1
        if seen[job.id] >= 20:
            status["status"] = DONE
            status.pop("queue_position", None)

    change_status(patch, change)


@replaces(queue_host.QueueHost, "_result")
def early_results_delay_the_run(original: Any, host: Any, context: Any, scope: Any, job: Any) -> Any:
    """Each early read of the result adds a second to the run."""
    if job.state == "IN_PROGRESS":
        engine = host._emulator._transitions
        engine.queue._ends[:] = [(at + 1, order, other) for at, order, other in engine.queue._ends]
        engine.reschedule()
    return original(host, context, scope, job)


@replaces(transitions, "job_of")
def queue_time_is_skipped(original: Any, request: Any) -> Any:
    """A free runner starts a job immediately."""
    return dataclasses.replace(original(request), ready_at=request.submitted_at)


@replaces(queue.Queue, "settle")
def runs_are_one_second_short(
    original: Any, line: Any, job_id: str, now: float, *, due: float | None = None
) -> None:
    """A run ends a second early."""
    job = line._jobs[job_id]
    original(line, job_id, now, due=job.started_at + job.run_seconds - 1 if due is None else due)


def trailing_slash_matters(patch: Patch) -> None:
    """A path with a trailing slash is another path."""
    patch.around(hosts, "_trim", lambda original, path: "/" + path.lstrip("/"))


@replaces(queue.Queue, "__init__")
def concurrency_is_unlimited(original: Any, line: Any, **kwargs: Any) -> None:
    """An account has no limit of running jobs."""
    original(line, **(kwargs | {"concurrency": 10**6}))


@replaces(emulator.Emulator, "submit")
def jobs_over_the_limit_are_refused(original: Any, core: Any, submitted: Any) -> Any:
    """A submit over the limit is answered 429."""
    jobs = sum(job.caller == submitted.caller for job in core._transitions.queue._jobs.values())
    if jobs >= core.settings.concurrency:
        raise errors.ConcurrencyLimit(core.settings.concurrency)
    return original(core, submitted)
