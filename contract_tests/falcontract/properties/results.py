"""The result of a job: before the end, after it, after it expired, and its price."""

from __future__ import annotations

from typing import TYPE_CHECKING

from falcontract.model.automaton import IN_PROGRESS_TEXT, NOT_FOUND
from falcontract.model.models import MODELS
from falcontract.model.prediction import Timetables, is_rejected
from falcontract.properties.claims import Claims, claim, equal, prop

if TYPE_CHECKING:
    from falcontract.traces import Exchange, Trace


@prop(10, "early-result", general=True, tier=3, evidence="PROTOCOL 4.6 (L-400, E)")
def early_result_is_400(trace: Trace) -> Claims:
    """A result that is read before the end is a 400 with a fixed text."""
    for job in trace.jobs():
        submit = trace.submitted(job)
        for e in trace.early_results(job):
            yield equal("code", e.status, 400, "a result before COMPLETED is a 400", e)
            yield equal("detail", e.get("detail"), IN_PROGRESS_TEXT, "it has the known text", e)
            if submit is not None:
                yield equal("id", e.get("request_id"), submit.get("request_id"), "it has the request id", e)
                urls = e.get("status_url"), submit.get("status_url")
                yield equal("url", *urls, "it repeats the URLs", e)


@prop(
    11,
    "retention retention-large repeated-results",
    tier=4,
    evidence="PROTOCOL 4.6 (R 2026-09: after six days; D: 30 days); the answer after it is assumed",
    each="run",
)
def results_are_stable(trace: Trace) -> Claims:
    """A result stays the same, byte for byte, until it expires; then it is NOT_FOUND."""
    for job in trace.jobs():
        results = trace.final_results(job)
        expires = _expiry(trace, job, results[0]) if results else None
        for e in results[1:]:
            if expires is not None and e.at >= expires:
                found = (e.status, e.json)
                yield equal("expired", found, (404, NOT_FOUND), "an expired result is NOT_FOUND", e)
            else:
                yield equal("code", e.status, results[0].status, "the result keeps its code", e)
                yield equal("body", e.body, results[0].body, "the result keeps its bytes", e)


def _expiry(trace: Trace, job: str, first: Exchange) -> float | None:
    """Return when a result expires, if the target's retention is known."""
    if trace.facts.get("retention") is None:
        return None
    large = len(first.body) >= trace.facts["large_result"]
    kept = trace.facts["retention_large" if large else "retention"]
    return float(next(entry.ended for entry in Timetables(trace).final() if entry.name == job) + kept)


@prop(
    16,
    "lifecycle broken-input unknown-path schema",
    general=True,
    tier=2,
    evidence="PROTOCOL 11.2 (S, E, L-422)",
)
def rejections_are_free(trace: Trace) -> Claims:
    """A rejected input bills 0 units, a success bills more."""
    for e in trace.final_results():
        submit = trace.submitted(e.step.job)
        units = e.headers.get("x-fal-billable-units")
        model = MODELS.get(submit.step.endpoint) if submit is not None else None
        if e.ok and (model is None or model.is_counted):
            is_number = units is not None and units.replace(".", "", 1).isdecimal()
            yield claim("success", is_number and float(units or 0) > 0, "a success is billed", e, units)
        elif not e.ok and e.status in {404, 422} and e.json != NOT_FOUND and submit and is_rejected(submit):
            yield equal("rejection", units, "0", "a rejected input is not billed", e)


@prop(39, "distinct-errors", tier=4, evidence="PROTOCOL 4.3, 14.1 (L: `input` echoes the invalid value)")
def jobs_do_not_mix(trace: Trace) -> Claims:
    """Jobs do not mix: each result echoes the input of its job, each answer has the id of its job.

    Each job has a different invalid duration, which its result echoes.
    """
    for submit in trace.submits():
        job = submit.step.job
        for _, status, e in trace.states(job):
            ids = status.get("request_id"), submit.get("request_id")
            yield equal("status", *ids, f"the status has the id of {job}", e)
        for e in trace.final_results(job):
            echo = e.details[0].get("input") if e.details else None
            given = submit.step.input["duration"]
            yield equal("echo", echo, given, f"the result echoes the input of {job}", e)
    for d in trace.deliveries:
        own = trace.submitted(d.receiver.upper())
        own_id = own.get("request_id") if own else None
        yield equal("delivery", d.get("request_id"), own_id, "each receiver gets the job that named it", d)
