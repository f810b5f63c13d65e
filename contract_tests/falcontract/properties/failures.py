"""Failed jobs: COMPLETED like others, with an error as result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from falcontract.model import fields, published
from falcontract.model.automaton import DONE
from falcontract.properties.claims import Claims, claim, equal, member, prop, results_of

if TYPE_CHECKING:
    from falcontract.traces import Exchange, Trace


@prop(
    13,
    "broken-input unknown-path run-timeout start-timeout",
    tier=2,
    evidence="PROTOCOL 4.3 (C, L-422)",
    each="run",
)
def failed_jobs_are_completed(trace: Trace) -> Claims:
    """A failed job is COMPLETED with an error as its result; FAILED does not exist.

    The status repeats platform errors, but not errors of the model.
    """
    for job in trace.jobs():
        failed = [e for e in trace.final_results(job) if not e.ok]
        for e in failed:
            has_detail = e.status >= 400 and e.get("detail")
            yield claim("detail", has_detail, "a failure has a detail", e, e.body[:200])
        for _, status, e in trace.states(job):
            if status.get("status") == DONE and failed:
                yield from _error_in_status(status, failed[-1], e)


def _error_in_status(status: dict[str, Any], failed: Exchange, e: Exchange) -> Claims:
    kind = failed.get("error_type")
    if kind is not None:
        yield equal("type", status.get("error_type"), kind, "the status has the platform error's type", e)
        text = "the status has the platform error's text"
        yield equal("text", status.get("error"), failed.get("detail"), text, e)
    else:
        silent = "error" not in status and "error_type" not in status
        yield claim("model", silent, "an error of the model is not in the status", e, status)


@prop(
    14,
    "broken-input schema malformed-bodies",
    tier=2,
    evidence="PROTOCOL 14.1 (I from FastAPI; live wording in part), 16.3",
    each="fields",
)
def validation_errors_are_listed(trace: Trace) -> Claims:
    """A validation error is a 422 with a list of loc, msg and type.

    The (type, loc) pairs are those of the published schema, in the order of its fields; the wording is not
    checked.
    """
    for model, submit, e in results_of(trace):
        if expected := fields.body_errors(model, submit.request_body, submit.step.content_type):
            yield equal("code", e.status, 422, "an invalid input is a 422", e)
            found = fields.reported(e.get("detail"))
            text = "the errors are those of the schema, in the order of its fields"
            yield equal("errors", found, [(error.type, error.loc) for error in expected], text, e)


@prop(15, "schema", live="S", tier=2, evidence="PROTOCOL 16.1 (SEED), 16.3", each="bounds")
def schema_agrees(trace: Trace) -> Claims:
    """An input is accepted exactly if the published schema accepts it."""
    for model, submit, e in results_of(trace):
        if fields.errors(model, submit.step.input):
            yield claim("refused", not e.ok, "an invalid input is refused", e, e.status)
        else:
            yield claim("accepted", e.ok, "a valid input is accepted", e, e.status)


@prop(
    17,
    "run-timeout start-timeout bad-timeout cancel-queued",
    live="canary",
    tier=4,
    evidence="PROTOCOL 14.3 (D-errors, C)",
)
def platform_errors_are_typed(trace: Trace) -> Claims:
    """A platform error has a detail, a type that a header repeats, and the HTTP status of that type."""
    for e in (*trace.of("submit"), *trace.of("result")):
        kind, header = e.get("error_type"), e.headers.get("x-fal-error-type")
        if kind is None and header is None:
            continue
        yield equal("header", header, kind, "header and body have the same type", e)
        yield equal("code", e.status, published.PLATFORM_ERRORS.get(str(kind)), f"the status of {kind}", e)
        yield claim("detail", isinstance(e.get("detail"), str), "the detail is a text", e, e.get("detail"))


@prop(18, "start-timeout", live="canary", tier=4, evidence="PROTOCOL 4.6, 11.1 (E)")
def start_timeout_names_the_caller(trace: Trace) -> Claims:
    """A job that does not start in time is a 504 that names the caller's limit as the cause.

    One runner: A starts within its limit of 30 s, B waits behind A for longer than its limit of 2.5 s.
    """
    for e in trace.of("submit"):
        yield equal("submit", e.status, 200, "a job with a start timeout is accepted", e)
    if trace.submitted("B"):
        yield claim("ends", trace.final_results("B"), "the job ends when its limit has passed")
    for e in trace.final_results("B"):
        yield equal("code", e.status, 504, "a job that did not start in time is a 504", e)
        kind = e.headers.get("x-fal-request-timeout-type")
        yield equal("caller", kind, "user", "the header names the caller's limit", e)
        allowed = ("request_timeout", "startup_timeout")
        yield member("type", e.get("error_type"), allowed, "the error type is a timeout", e)
    for e in trace.final_results("A"):
        yield equal("in-time", e.status, 200, "a job that started in time succeeds", e)
        kind = e.headers.get("x-fal-request-timeout-type")
        yield equal("no-type", kind, None, "a success has no timeout type", e)


@prop(56, "run-timeout", live="canary", tier=4, evidence="PROTOCOL 14.3 (D-errors)")
def run_timeout_is_504(trace: Trace) -> Claims:
    """A run over the time limit ends in a typed 504."""
    for job in trace.jobs():
        yield claim("ends", trace.final_results(job), f"{job} ends")
        for e in trace.final_results(job):
            yield equal("code", e.status, 504, "a run over the time limit is a 504", e)
            yield equal("type", e.get("error_type"), "request_timeout", "it is a platform error", e)
