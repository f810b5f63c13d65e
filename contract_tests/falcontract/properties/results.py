"""The result: too early, in time, too late, and what it is billed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from falcontract import automaton
from falcontract.claims import Claims, claim, equal, prop
from falcontract.prediction import Timetables, rejected_at_once

if TYPE_CHECKING:
    from falcontract.traces import Trace

GONE = {"status": "NOT_FOUND"}


@prop(
    10,
    "A result that is asked for too early is a 400 with the known sentence",
    "early-result",
    general=True,
    tier=3,
    evidence="PROTOCOL 4.6 (L-400, E)",
)
def too_early_is_400(trace: Trace) -> Claims:
    """See the title; too early is what a later status shows to have been so."""
    for job in trace.jobs():
        for e in trace.early_results(job):
            yield equal(e.status, 400, "a result before COMPLETED is a 400", e)
            yield equal(e.get("detail"), automaton.IN_PROGRESS_TEXT, "it says the known sentence", e)
            submitted = trace.submitted(job)
            if submitted is not None:
                yield equal(e.get("request_id"), submitted.get("request_id"), "it names the request", e)
                same = e.get("status_url") == submitted.get("status_url")
                yield claim(same, "it repeats the URLs", e, e.get("status_url"))


@prop(
    11,
    "A result stays the same, byte for byte, until it expires; then it is not found",
    "retention",
    "retention-large",
    "repeated-results",
    tier=4,
    evidence="PROTOCOL 4.6 (D: 1 h); what follows is assumed",
)
def results_are_stable(trace: Trace) -> Claims:
    """See the title."""
    for job in trace.jobs():
        results = trace.final_results(job)
        if not results:
            continue
        first = results[0]
        kept = trace.facts.get("retention")
        if kept is not None and len(first.body) >= trace.facts["large_result"]:
            kept = trace.facts["retention_large"]
        ended = (
            next((entry.ended for entry in Timetables(trace).final() if entry.name == job), 0) if kept else 0
        )
        for e in results[1:]:
            if kept is not None and e.at >= ended + kept:
                yield equal((e.status, e.json), (404, GONE), "an expired result is not found", e)
            else:
                yield equal(e.status, first.status, "the result keeps its code", e)
                yield equal(e.body, first.body, "the result keeps its bytes", e)


@prop(
    16,
    "What was rejected bills 0 units, what succeeded bills more",
    "lifecycle",
    "broken-input",
    "unknown-path",
    "schema",
    general=True,
    tier=2,
    evidence="PROTOCOL 11.2 (S, E, L-422)",
)
def rejected_is_not_billed(trace: Trace) -> Claims:
    """See the title."""
    for job in trace.jobs():
        submitted = trace.submitted(job)
        for e in trace.final_results(job):
            units = e.headers.get("x-fal-billable-units")
            if e.ok:
                billed = units is not None and units.replace(".", "", 1).isdecimal() and float(units) > 0
                yield claim(billed, "a success is billed", e, units)
            elif e.status in {404, 422} and e.json != GONE and submitted and rejected_at_once(submitted):
                yield equal(units, "0", "a rejected input is not billed", e)


@prop(
    39,
    "Jobs do not mix: each result echoes its own input, each answer its own id",
    "distinct-errors",
    tier=4,
    evidence="PROTOCOL 4.3, 14.1 (L: `input` echoes what was sent)",
)
def jobs_do_not_mix(trace: Trace) -> Claims:
    """Each job is broken in a way of its own, which its result must echo."""
    for job in trace.jobs():
        submitted = trace.submitted(job)
        if submitted is None:
            continue
        sent = submitted.step.input
        for _, told, e in trace.states(job):
            found = told.get("request_id")
            yield equal(found, submitted.get("request_id"), f"the status of {job} is its own", e)
        for e in trace.final_results(job):
            detail = e.get("detail")
            echoed = detail[0].get("input") if isinstance(detail, list) and detail else None
            yield equal(echoed, sent["duration"], f"the result of {job} echoes its own input", e)
    for d in trace.deliveries:
        submitted = trace.submitted(d.receiver.upper())
        own = submitted.get("request_id") if submitted else None
        yield equal(d.get("request_id"), own, "each receiver gets its own job", d)
