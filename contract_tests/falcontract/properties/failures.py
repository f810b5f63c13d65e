"""Jobs that fail: they are COMPLETED all the same, and only the result tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from falcontract import published
from falcontract.claims import Claims, claim, equal, member, prop
from falcontract.steps import VEO2

if TYPE_CHECKING:
    from falcontract.traces import Exchange, Trace


@prop(
    13,
    "A job that failed is COMPLETED with an error as its result; there is no FAILED",
    "broken-input",
    "unknown-path",
    "run-timeout",
    "start-timeout",
    tier=2,
    evidence="PROTOCOL 4.3 (C, L-422)",
)
def failures_are_completed(trace: Trace) -> Claims:
    """See the title. Only platform errors are told in the status."""
    for job in trace.jobs():
        failed = [e for e in trace.final_results(job) if not e.ok]
        for e in failed:
            yield claim(e.status >= 400 and e.get("detail"), "a failure has its detail", e, e.body[:200])
        for _, told, e in trace.states(job):
            if told.get("status") == "COMPLETED" and failed:
                yield from _told_in_status(told, failed[-1], e)


def _told_in_status(told: dict[str, Any], failed: Exchange, e: Exchange) -> Claims:
    if failed.get("error_type") is not None:
        yield equal(
            told.get("error_type"), failed.get("error_type"), "the status types the platform error", e
        )
        yield equal(told.get("error"), failed.get("detail"), "the status says the platform error", e)
    else:
        silent = "error" not in told and "error_type" not in told
        yield claim(silent, "a model's error is not in the status", e, told)


@prop(
    14,
    "A validation error is a 422 with a list of loc, msg and type",
    "broken-input",
    "schema",
    "malformed-bodies",
    tier=2,
    evidence="PROTOCOL 14.1 (I from FastAPI; live wording in part)",
)
def validation_errors_are_listed(trace: Trace) -> Claims:
    """The same (type, loc) pairs as the published schema finds, whatever the wording."""
    for job in trace.jobs():
        submitted = trace.submitted(job)
        if submitted is None or submitted.step.endpoint != VEO2:
            continue
        expected = published.body_errors(submitted.content, submitted.step.content_type)
        if not expected:
            continue
        for e in trace.final_results(job):
            yield equal(e.status, 422, "a broken input is a 422", e)
            found = published.reported_errors(e.get("detail"))
            yield equal(_sorted(found), _sorted(expected), "the faults are those of the schema", e)


def _sorted(faults: frozenset[published.Fault] | None) -> Any:
    return None if faults is None else sorted((kind, list(loc)) for kind, loc in faults)


@prop(
    15,
    "What the published schema accepts is accepted, and nothing else",
    "schema",
    live="S",
    tier=2,
    evidence="PROTOCOL 16.1 (SEED)",
)
def schema_agrees(trace: Trace) -> Claims:
    """See the title."""
    for job in trace.jobs():
        submitted = trace.submitted(job)
        for e in trace.final_results(job):
            if submitted is not None:
                good = not published.faults(submitted.step.input)
                word = "accepted" if good else "refused"
                yield equal(e.ok, good, f"an input that the schema would have {word} is {word}", e)


@prop(
    17,
    "A platform error has detail, error_type, the same type in a header, and the code that goes with it",
    "run-timeout",
    "start-timeout",
    "bad-timeout",
    "cancel-queued",
    live="canary",
    tier=4,
    evidence="PROTOCOL 14.3 (D-errors, C)",
)
def platform_errors_are_typed(trace: Trace) -> Claims:
    """See the title."""
    for e in trace.exchanges:
        kind, header = e.get("error_type"), e.headers.get("x-fal-error-type")
        if kind is None and header is None:
            continue
        if e.step.do in {"submit", "result"}:
            yield equal(header, kind, "header and body name the same type", e)
            yield equal(e.status, published.PLATFORM_ERRORS.get(str(kind)), f"the code of {kind}", e)
            yield claim(isinstance(e.get("detail"), str), "the detail is a text", e, e.get("detail"))
    for name, job, code in (("run-timeout", "A", 504), ("cancel-queued", "A", 499)):
        if trace.program.name == name:
            for e in trace.final_results(job):
                yield equal(e.status, code, f"{name} ends with {code}", e)
                yield claim(e.get("error_type"), f"{name} is a platform error", e, e.body[:200])


@prop(
    18,
    "A job that did not start in time is a 504 that says it was the caller's limit",
    "start-timeout",
    live="canary",
    tier=4,
    evidence="PROTOCOL 4.6, 11.1 (E)",
)
def start_timeout_is_the_users(trace: Trace) -> Claims:
    """B waits behind A for longer than it wants to; C does not want to wait at all, but need not."""
    for e in trace.final_results("B"):
        yield equal(e.status, 504, "a start that came too late is a 504", e)
        kind = e.headers.get("x-fal-request-timeout-type")
        yield equal(kind, "user", "it says that the limit was the caller's", e)
        yield member(e.get("error_type"), ("request_timeout", "startup_timeout"), "it is typed", e)
    for e in trace.of("submit", "B"):
        yield equal(e.status, 200, "a job with a start timeout is taken", e)
    for e in trace.final_results("A"):
        yield equal(e.status, 200, "a limit that was kept changes nothing", e)
        kind = e.headers.get("x-fal-request-timeout-type")
        yield equal(kind, None, "only a timeout has a timeout type", e)
    if trace.submitted("B"):
        yield claim(trace.final_results("B"), "the job is given up when its limit has passed")
