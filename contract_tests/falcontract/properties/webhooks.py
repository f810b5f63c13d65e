"""Webhooks: content, attempts, signatures."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from falcontract.model.automaton import DONE
from falcontract.model.prediction import may_run_again
from falcontract.properties.claims import Claims, claim, equal, prop
from falcontract.properties.signatures import problem

if TYPE_CHECKING:
    from falcontract.traces import Trace

MOST_ATTEMPTS: Final = 32  # PROTOCOL.md 9.3: one and 31 retries; older documentation: 10 retries in 2 h
RECEIVE: Final = ("receive",)


@prop(
    41,
    "webhook-in-body webhook-ok",
    live="V",
    tier=2,
    needs=RECEIVE,
    evidence="PROTOCOL 4.1 (C); reported as fal-js issue 135",
)
def webhooks_are_registered_by_the_query(trace: Trace) -> Claims:
    """Only the query registers a webhook; one in the body is ignored."""
    if not trace.ended:
        return
    receivers = {d.receiver for d in trace.deliveries}
    for e in trace.of("submit"):
        if e.step.webhook:
            arrived = e.step.webhook in receivers
            yield claim("query", arrived, "a webhook in the query is delivered", e)
        else:
            yield equal("accepted", e.status, 200, "unknown fields are ignored", e)
            yield claim("body", "body" not in receivers, "a webhook in the body is not delivered", e)


@prop(
    42,
    "webhook-ok webhook-error webhook-cancelled rerun",
    tier=2,
    needs=RECEIVE,
    evidence="PROTOCOL 9.1 (D-hook, C; text of the error: N)",
    each="run",
)
def deliveries_contain_the_result(trace: Trace) -> Claims:
    """A delivery has the request id, the run's id, OK or ERROR, and the result as payload.

    The first run has the id of the request; a re-run has a new one.
    """
    for e, deliveries in trace.webhooks():
        request_id = e.get("request_id")
        yield claim("delivered", deliveries, "the webhook is delivered", e)
        for result in trace.final_results(e.step.job)[:1]:
            for d in deliveries:
                run_id = d.get("gateway_request_id")
                yield equal("id", d.get("request_id"), request_id, "it has the request id", d)
                if may_run_again(trace):
                    is_new = run_id not in {None, request_id}
                    yield claim("rerun-id", is_new, "it has the id of the last run", d, run_id)
                else:
                    yield equal("run-id", run_id, request_id, "it has the id of the only run", d)
                status = "OK" if result.ok else "ERROR"
                yield equal("status", d.get("status"), status, "its status is OK or ERROR", d)
                yield equal("payload", d.get("payload"), result.json, "its payload is the result", d)
                error = None if result.ok else f"Unexpected status code: {result.status}"
                yield equal("error", d.get("error"), error, "its error has the result's code", d)
                kind = d.headers.get("content-type")
                yield equal("json", kind, "application/json", "it is JSON", d)


@prop(
    43,
    "webhook-retries webhook-never webhook-redirect webhook-created",
    live="S",
    mock="D",
    tier=2,
    needs=RECEIVE,
    evidence="PROTOCOL 9.3 (D-hook); the intervals are unknown",
)
def deliveries_are_retried(trace: Trace) -> Claims:
    """A delivery is retried until a 2xx, within a limit; a redirect ends it."""
    if not trace.ended:
        return
    for e, deliveries in trace.webhooks():
        count = len(deliveries)
        last = next((n for n, code in enumerate(e.step.answers) if 200 <= code < 400), None)
        if last is not None:
            yield equal("ends", count, last + 1, "a 2xx or a redirect is the last attempt", e)
        else:
            yield claim("retried", count > 1, "a refused delivery is retried", e, count)
            yield claim("limit", count <= MOST_ATTEMPTS, "the number of attempts is limited", e, count)
        for before, d in pairwise(deliveries):
            yield claim("spaced", before.at < d.at, "attempts are spaced", d, [before.at, d.at])


@prop(
    44,
    "webhook-ok webhook-error webhook-retries",
    tier=2,
    needs=RECEIVE,
    evidence="PROTOCOL 9.2 (D-hook)",
    each="run",
)
def deliveries_are_signed(trace: Trace) -> Claims:
    """The published key verifies the signature, which covers body, timestamp, request and user."""
    for d in trace.deliveries:
        found = problem(d.headers, d.body, trace.jwks, d.wall)
        yield equal("verifies", found, None, "the signature verifies", d)
        ids = d.headers.get("x-fal-webhook-request-id"), d.get("request_id")
        yield equal("id", *ids, "header and body have the same request id", d)
        changed = problem(d.headers, d.body + b" ", trace.jwks, d.wall)
        yield claim("body", changed, "a changed body does not verify", d)
        for name in ("request-id", "user-id", "timestamp"):
            header = f"x-fal-webhook-{name}"
            headers = {**d.headers, header: _changed(d.headers.get(header, "0"))}
            changed = problem(headers, d.body, trace.jwks, d.wall)
            yield claim(name, changed, f"a changed {name} does not verify", d)


def _changed(text: str) -> str:
    """Return a text with another digit as its last character."""
    return text[:-1] + ("1" if text[-1:] != "1" else "2")


@prop(
    45,
    "webhook-retries webhook-never",
    live="V",
    mock="V",
    tier=2,
    needs=RECEIVE,
    evidence="assumed: receivers refuse a timestamp older than 300 s (PROTOCOL 9.2)",
)
def retries_are_equal_and_fresh(trace: Trace) -> Claims:
    """A retry has the same bytes and a fresh timestamp."""
    for _, deliveries in trace.webhooks():
        for before, d in pairwise(deliveries):
            yield equal("bytes", d.body, before.body, "the bytes are the same", d)
            stamp = d.headers.get("x-fal-webhook-timestamp", "")
            age = d.wall - int(stamp) if stamp.isdecimal() else float("inf")
            yield claim("fresh", abs(age) <= 1, "the timestamp is that of the attempt", d, age)


@prop(
    46,
    "webhook-rotated",
    needs=("receive", "faults"),
    evidence="PROTOCOL 9.2: try every key; that the set keeps the old one is assumed",
)
def rotation_overlaps(trace: Trace) -> Claims:
    """During a key rotation the old key verifies too, and a key that is not in the set does not.

    A is delivered before the rotation and B after it; the key set was fetched in between.
    """
    for fetched in trace.of("call"):
        for e, deliveries in trace.webhooks():
            yield claim("delivered", deliveries, "the webhook is delivered", e)
            for d in deliveries:
                found = problem(d.headers, d.body, trace.jwks, d.wall)
                yield equal("new-set", found, None, "the new set verifies it", d)
                old = problem(d.headers, d.body, fetched.json, d.wall)
                if d.at > fetched.at:
                    yield claim("old-set", old, "the old set does not verify the new key", d)
                else:
                    yield equal("old-key", old, None, "the old set verifies the old key", d)


@prop(47, "webhook-status", live="V", tier=2, needs=RECEIVE, evidence="assumed; to be measured on fal")
def status_is_completed_at_delivery(trace: Trace) -> Claims:
    """When the webhook arrives, the status is COMPLETED.

    The receiver reads the status before it answers.
    """
    for e, deliveries in trace.webhooks():
        yield claim("delivered", deliveries, "the webhook is delivered", e)
        for d in deliveries:
            yield equal("status", d.job_status, DONE, "the status is COMPLETED", d)


@prop(48, "webhook-null", needs=("receive", "faults"), evidence="PROTOCOL 9.1 (D-hook)")
def unserialisable_output_is_null(trace: Trace) -> Claims:
    """An output that cannot be serialised is delivered as null, with a reason.

    The job succeeds; only its delivery lacks the output.
    """
    for e, deliveries in trace.webhooks():
        yield claim("delivered", deliveries, "the webhook is delivered", e)
        for d in deliveries:
            found = d.get("status"), d.get("payload")
            yield equal("null", found, ("OK", None), "it is OK, without a payload", d)
            reason = d.get("payload_error")
            yield claim("reason", isinstance(reason, str), "it has a reason", d, reason)
        for r in trace.final_results(e.step.job):
            yield equal("result", r.status, 200, "the result is available", r)
