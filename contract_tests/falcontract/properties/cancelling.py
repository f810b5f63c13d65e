"""Giving a job up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from falcontract import automaton
from falcontract.claims import Claims, claim, equal, member, prop

if TYPE_CHECKING:
    from falcontract.traces import Exchange, Trace

REQUESTED = "CANCELLATION_REQUESTED"


def accepted(trace: Trace, job: str) -> Exchange | None:
    """Return the first cancel of a job that was accepted."""
    found = (e for e in trace.of("cancel", job) if e.state == REQUESTED and trace.is_plain(e))
    return next(found, None)


@prop(
    34,
    "A cancel is answered with one of three words, each with its code",
    "cancel-queued",
    "cancel-running",
    "cancel-late",
    "cancel-unknown",
    general=True,
    live="H",
    tier=3,
    evidence="PROTOCOL 4.7 (D-queue); other forms are in PROPERTIES 12",
)
def cancel_has_three_answers(trace: Trace) -> Claims:
    """See the title."""
    for e in trace.of("cancel"):
        if trace.is_plain(e):
            word = e.state if e.status != 200 else e.get("status")
            yield member(word, automaton.CANCEL_CODE, "the answer is a known word", e)
            yield equal(e.status, automaton.CANCEL_CODE.get(str(word)), f"{word} has its code", e)
    if trace.program.name == "cancel-late":
        for e in trace.of("cancel"):
            yield equal(e.state, "ALREADY_COMPLETED", "a cancel after the end is told so", e)
    if trace.program.name == "cancel-unknown":
        for e in trace.of("call"):
            yield equal((e.status, e.state), (404, "NOT_FOUND"), "a cancel of nothing is told so", e)


@prop(
    35,
    "After an accepted cancel the job comes to its end: 499, or a normal result, but never a hang",
    "cancel-queued",
    "cancel-running",
    general=True,
    tier=3,
    evidence="PROTOCOL 4.6, 4.7 (E, S)",
)
def cancelled_jobs_end(trace: Trace) -> Claims:
    """On the emulator at once; the programs leave time for fal."""
    for job in trace.jobs():
        if (e := accepted(trace, job)) is None:
            continue
        later = trace.exchanges[trace.exchanges.index(e) + 1 :]
        reads = [r for r in later if r.step.job == job and r.step.do == "result" and trace.is_plain(r)]
        for r in reads[-1:]:
            good = r.ok or r.status == automaton.CANCELLED_CODE or r.json == {"status": "NOT_FOUND"}
            yield claim(good, "the result is 499 or a normal one", r, r.status)
        for r in [r for r in later if r.step.job == job and r.step.do in {"status", "until"}][-1:]:
            yield equal(r.state, automaton.DONE, "it is COMPLETED", r)


@prop(
    36,
    "A job that was cancelled while it waited never runs",
    "cancel-queued",
    "queue-cancelled",
    live="S",
    tier=3,
    evidence="PROTOCOL 4.7 (D-queue)",
)
def cancelled_in_line_never_runs(trace: Trace) -> Claims:
    """See the title: no progress, no output, nothing billed, no log."""
    for job in trace.jobs():
        if (e := accepted(trace, job)) is None:
            continue
        at = trace.exchanges.index(e)
        before = [told for _, told, s in trace.states(job) if trace.exchanges.index(s) < at]
        if not before or before[-1].get("status") != automaton.QUEUED:
            continue
        for _, told, s in trace.states(job):
            if trace.exchanges.index(s) > at:
                yield claim(told.get("status") != automaton.RUNNING, "it does not start any more", s, told)
                yield claim(not told.get("logs"), "it writes no log", s, told)
        for r in trace.final_results(job):
            yield claim(not r.ok, "it has no output", r, r.status)
            units = r.headers.get("x-fal-billable-units", "0")
            yield equal(units, "0", "it is not billed", r)


@prop(
    37,
    "A second cancel changes nothing and is no error of the server's",
    "cancel-twice",
    live="V",
    tier=3,
    evidence="PROTOCOL 4.7; which word the second gets is unknown",
)
def second_cancel_changes_nothing(trace: Trace) -> Claims:
    """See the title."""
    for job in trace.jobs():
        cancels = trace.of("cancel", job)
        for e in cancels[1:]:
            yield claim(0 < e.status < 500, "it is no error of the server's", e, e.status)
            yield member(e.state, automaton.CANCEL_CODE, "it is answered with a known word", e)
        if len(cancels) > 1:
            first = trace.exchanges.index(cancels[0])
            reads = [r for r in trace.exchanges[first:] if r.step.do == "status" and r.step.job == job]
            for r in reads[1:]:
                yield equal(r.body, reads[0].body, "the status is what it was", r)
            results = trace.final_results(job)
            for r in results[1:]:
                yield equal((r.status, r.body), (results[0].status, results[0].body), "so is the result", r)


@prop(
    38,
    "To cancel one job touches no other",
    "queue-cancelled",
    "cancel-one-of-three",
    tier=3,
    evidence="PROTOCOL 4.7",
)
def cancel_touches_one(trace: Trace) -> Claims:
    """See the title: all the others have their output."""
    cancelled = [job for job in trace.jobs() if trace.of("cancel", job)]
    for job in trace.jobs():
        for e in trace.final_results(job):
            if job in cancelled:
                yield claim(not e.ok, f"{job} was cancelled", e, e.status)
            else:
                yield equal(e.status, 200, f"{job} was not touched", e)
        if job not in cancelled:
            yield claim(trace.final_results(job), f"{job} came to its end")
