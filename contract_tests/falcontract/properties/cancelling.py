"""Cancelling a job: in the queue, while it runs, too late, twice."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from falcontract.model.automaton import CANCEL_CODE, CANCELLED_CODE, DONE, QUEUED, RUNNING
from falcontract.model.prediction import REQUESTED
from falcontract.properties.claims import Claims, claim, equal, member, prop

if TYPE_CHECKING:
    from falcontract.traces import Exchange, Trace


def accepted_cancel(trace: Trace, job: str) -> Exchange | None:
    found = (e for e in trace.of("cancel", job) if e.state == REQUESTED and trace.is_plain(e))
    return next(found, None)


def cancelled_in_queue(trace: Trace) -> list[tuple[str, int]]:
    """Return (job, index of the cancel) for each job that was IN_QUEUE before its accepted cancel."""
    found = []
    for job in trace.jobs():
        if (e := accepted_cancel(trace, job)) is not None:
            at = trace.exchanges.index(e)
            before = [status for _, status, s in trace.states(job) if trace.exchanges.index(s) < at]
            if before and before[-1].get("status") == QUEUED:
                found.append((job, at))
    return found


@prop(
    34,
    "cancel-queued cancel-running cancel-late",
    general=True,
    tier=3,
    evidence="PROTOCOL 4.7 (D-queue, R)",
)
def cancel_has_three_answers(trace: Trace) -> Claims:
    """A cancel is answered with one of three words, each with its HTTP status."""
    for e in trace.of("cancel"):
        if trace.is_plain(e):
            yield member("word", e.state, CANCEL_CODE, "the answer is a known word", e)
            yield equal("code", e.status, CANCEL_CODE.get(str(e.state)), f"the HTTP status of {e.state}", e)


@prop(58, "cancel-late", tier=2, evidence="PROTOCOL 4.7 (D-queue)")
def late_cancel_is_already_completed(trace: Trace) -> Claims:
    """A cancel after the end is ALREADY_COMPLETED."""
    for e in trace.of("cancel"):
        yield equal("word", e.state, "ALREADY_COMPLETED", "a late cancel is ALREADY_COMPLETED", e)


@prop(59, "cancel-unknown", tier=1, evidence="PROTOCOL 4.7 (D-queue)")
def cancel_of_unknown_id_is_not_found(trace: Trace) -> Claims:
    """A cancel of an unknown id is NOT_FOUND."""
    for e in trace.of("call"):
        if e.method == "PUT":
            found = e.status, e.state
            yield equal("word", found, (404, "NOT_FOUND"), "a cancel of an unknown id is NOT_FOUND", e)


@prop(35, "cancel-queued cancel-running", general=True, tier=3, evidence="PROTOCOL 4.6, 4.7 (E, S)")
def cancelled_jobs_end(trace: Trace) -> Claims:
    """After an accepted cancel the job ends: with 499 or a normal result, but it never hangs.

    On the emulator immediately; the programs leave time for fal. The last reads count.
    """
    for job in trace.jobs():
        if (e := accepted_cancel(trace, job)) is None:
            continue
        later = [r for r in trace.after(e) if r.step.job == job and trace.is_plain(r)]
        for r in [r for r in later if r.step.do == "result"][-1:]:
            # 404 is an unknown path, or a result that is gone; 422 a rejected input
            ended = r.ok or r.status in {CANCELLED_CODE, 404, 422}
            yield claim("result", ended, "the result is 499 or a normal one", r, r.status)
        for r in [r for r in later if r.step.do in {"status", "until"}][-1:]:
            yield equal("status", r.state, DONE, "the status is COMPLETED", r)


@prop(36, "cancel-queued queue-cancelled", live="S", tier=3, evidence="PROTOCOL 4.7 (D-queue)", each="run")
def cancelled_in_queue_never_runs(trace: Trace) -> Claims:
    """A job that is cancelled in the queue never runs."""
    for job, at in cancelled_in_queue(trace):
        for _, status, s in trace.states(job):
            if trace.exchanges.index(s) > at:
                runs = status.get("status") == RUNNING
                yield claim("start", not runs, "it does not start after the cancel", s, status)
                yield claim("logs", not status.get("logs"), "it writes no log", s, status)
        for r in trace.final_results(job):
            yield claim("output", not r.ok, "it has no output", r, r.status)
            units = r.headers.get("x-fal-billable-units", "0")
            yield equal("units", units, "0", "it is not billed", r)


@prop(60, "cancel-queued", live="S", tier=3, evidence="PROTOCOL 4.6, 14.3 (E, D-errors)", each="run")
def cancelled_in_queue_is_499(trace: Trace) -> Claims:
    """The result of a job that was cancelled in the queue is a typed 499."""
    for job, _ in cancelled_in_queue(trace):
        for r in trace.final_results(job):
            yield equal("code", r.status, CANCELLED_CODE, "the result is a 499", r)
            yield equal("type", r.get("error_type"), "client_cancelled", "it is a platform error", r)


@prop(
    37, "cancel-twice", live="V", tier=3, evidence="PROTOCOL 4.7; which word the second one gets is unknown"
)
def second_cancel_changes_nothing(trace: Trace) -> Claims:
    """A second cancel changes nothing and is not a server error."""
    for job in trace.jobs():
        cancels = trace.of("cancel", job)
        if len(cancels) < 2:
            continue
        for e in cancels[1:]:
            yield claim("code", 0 < e.status < 500, "it is not a server error", e, e.status)
            yield member("word", e.state, CANCEL_CODE, "it is answered with a known word", e)
        reads = [r for r in trace.after(cancels[0]) if r.step.do == "status" and r.step.job == job]
        for before, r in pairwise(reads):
            if r.at == before.at:
                yield equal("status", r.body, before.body, "the status stays the same", r)
        results = trace.final_results(job)
        for r in results[1:]:
            expected = results[0].status, results[0].body
            yield equal("result", (r.status, r.body), expected, "the result stays the same", r)


@prop(38, "queue-cancelled cancel-one-of-three", tier=3, evidence="PROTOCOL 4.7")
def cancel_affects_one_job(trace: Trace) -> Claims:
    """A cancel affects one job only."""
    for job in trace.jobs():
        results = trace.final_results(job)
        if trace.of("cancel", job):
            for e in results:
                yield claim("cancelled", not e.ok, f"{job} was cancelled", e, e.status)
        else:
            yield claim("ends", results, f"{job} ends")
            for e in results:
                yield equal("others", e.status, 200, f"{job} succeeds", e)
