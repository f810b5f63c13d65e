"""Webhooks: what is delivered, how often, and how it can be believed."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from falcontract.claims import Claims, claim, equal, prop
from falcontract.signatures import problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from falcontract.traces import Delivery, Exchange, Trace

MOST_ATTEMPTS: Final = 32  # PROTOCOL.md 9.3: the first and 31 retries; older documentation says 10 in 2 h
NEEDS: Final = ("receive",)


def _by_receiver(trace: Trace) -> dict[str, list[Delivery]]:
    found: dict[str, list[Delivery]] = {}
    for delivery in trace.deliveries:
        found.setdefault(delivery.receiver, []).append(delivery)
    return found


def _hooked(trace: Trace) -> Iterator[tuple[Exchange, list[Delivery]]]:
    """Yield each job with a receiver, and what that got."""
    got = _by_receiver(trace)
    for e in trace.submits():
        if e.step.webhook:
            yield e, got.get(e.step.webhook, [])


@prop(
    41,
    "A webhook is registered by the query alone; one in the body is ignored",
    "webhook-in-body",
    "webhook-ok",
    live="V",
    tier=2,
    needs=NEEDS,
    evidence="PROTOCOL 4.1 (C); NEEDS 1.3 (R: fal-js 135)",
)
def webhooks_are_registered_by_query(trace: Trace) -> Claims:
    """See the title."""
    if not trace.ended:
        return
    for e in trace.of("submit"):
        if e.step.webhook:
            yield claim(_by_receiver(trace).get(e.step.webhook), "a webhook of the query is delivered", e)
        else:
            yield equal(e.status, 200, "fields that the model does not know are ignored", e)
            yield claim(not _by_receiver(trace).get("unasked"), "a webhook of the body is not delivered", e)


@prop(
    42,
    "A delivery says request, run, OK or ERROR, and carries what the result has",
    "webhook-ok",
    "webhook-error",
    "webhook-cancelled",
    "rerun",
    tier=2,
    needs=NEEDS,
    evidence="PROTOCOL 9.1 (D-hook, C)",
)
def deliveries_carry_the_result(trace: Trace) -> Claims:
    """See the title."""
    for e, deliveries in _hooked(trace):
        results = trace.final_results(e.step.job)
        yield claim(deliveries, "a webhook is delivered", e)
        for d in deliveries:
            if not results:
                continue
            final = results[0]
            yield equal(d.get("request_id"), e.get("request_id"), "it names the request", d)
            if trace.program.name == "rerun":
                other = d.get("gateway_request_id") not in {None, e.get("request_id")}
                yield claim(other, "and the last run, which has an id of its own", d)
            else:
                yield equal(d.get("gateway_request_id"), e.get("request_id"), "and the only run", d)
            yield equal(d.get("status"), "OK" if final.ok else "ERROR", "its status is OK or ERROR", d)
            yield equal(d.get("payload"), final.json, "its payload is the result", d)
            error = None if final.ok else f"Invalid status code: {final.status}"
            yield equal(d.get("error"), error, "its error is the result's code", d)
            yield equal(d.headers.get("content-type"), "application/json", "it is JSON", d)


@prop(
    43,
    "A delivery is repeated until a 2xx, with a limit; a redirect ends it",
    "webhook-retries",
    "webhook-never",
    "webhook-redirect",
    "webhook-created",
    live="S",
    mock="D",
    tier=2,
    needs=NEEDS,
    evidence="PROTOCOL 9.3 (D-hook); the spacing is unknown",
)
def deliveries_are_repeated(trace: Trace) -> Claims:
    """See the title."""
    if not trace.ended:
        return
    for e, deliveries in _hooked(trace):
        good = [n for n, d in enumerate(deliveries) if 200 <= d.answered < 300]
        final = [n for n, d in enumerate(deliveries) if 300 <= d.answered < 400]
        yield claim(len(deliveries) <= MOST_ATTEMPTS, "there is a limit to the attempts", e, len(deliveries))
        if good or final:
            last = min(good + final)
            yield equal(len(deliveries), last + 1, "a 2xx or a redirect is the end of it", e)
        heard = [d.answered for d in deliveries]
        told = [*e.step.answers, *[e.step.answers[-1]] * len(heard)][: len(heard)]
        yield equal(heard, told, "each attempt is heard", e)
        if final_or_good := [n for n, code in enumerate(e.step.answers) if 200 <= code < 400]:
            yield equal(len(heard), final_or_good[0] + 1, "it is tried until it is taken", e)
        if not good and not final:
            yield claim(len(deliveries) > 1, "what was refused is tried again", e, len(deliveries))
        times = [d.at for d in deliveries]
        yield claim(len(set(times)) == len(times), "attempts are spaced", e, times)


@prop(
    44,
    "A delivery is signed so that the published key verifies it, and nothing else of it can be changed",
    "webhook-ok",
    "webhook-error",
    "webhook-retries",
    tier=2,
    needs=NEEDS,
    evidence="PROTOCOL 9.2 (D-hook)",
)
def deliveries_are_signed(trace: Trace) -> Claims:
    """See the title: a bit flipped in body, timestamp, request or user must break it."""
    for d in trace.deliveries:
        yield equal(problem(d.headers, d.body, trace.jwks, d.wall), None, "the signature verifies", d)
        named = d.headers.get("x-fal-webhook-request-id")
        yield equal(named, d.get("request_id"), "the header names the request of the body", d)
        broken = problem(d.headers, d.body + b" ", trace.jwks, d.wall)
        yield claim(broken, "another body does not verify", d)
        for name in ("request-id", "user-id", "timestamp"):
            full = f"x-fal-webhook-{name}"
            changed = {**d.headers, full: _flipped(d.headers.get(full, "0"))}
            yield claim(problem(changed, d.body, trace.jwks, d.wall), f"another {name} does not verify", d)


def _flipped(text: str) -> str:
    """Return a text with its last character changed, a digit for a digit."""
    last = text[-1:] or "0"
    return text[:-1] + ("1" if last != "1" else "2")


@prop(
    45,
    "A repeated delivery has the same bytes and a fresh timestamp",
    "webhook-retries",
    "webhook-never",
    live="V",
    mock="V",
    tier=2,
    needs=NEEDS,
    evidence="assumed: receivers refuse a timestamp older than 300 s (PROTOCOL 9.2)",
)
def repeats_are_equal_and_fresh(trace: Trace) -> Claims:
    """See the title."""
    for _, deliveries in _hooked(trace):
        for before, d in pairwise(deliveries):
            yield equal(d.body, before.body, "the bytes are the same", d)
            stamp = d.headers.get("x-fal-webhook-timestamp", "0")
            age = d.wall - int(stamp) if stamp.isdecimal() else float("inf")
            yield claim(abs(age) <= 1, "the timestamp is that of the attempt", d, age)


@prop(
    46,
    "While keys are rotated the old one verifies too, and one that is not in the set does not",
    "webhook-rotated",
    live="-",
    tier=None,
    needs=("receive", "faults"),
    evidence="PROTOCOL 9.2: try every key; that the set keeps the old one is assumed",
)
def rotation_overlaps(trace: Trace) -> Claims:
    """A is delivered before the rotation, B after it; in between a receiver fetched the key set."""
    for fetched in trace.of("call"):
        for _, deliveries in _hooked(trace):
            yield claim(deliveries, "the webhook arrives")
            for d in deliveries:
                new = d.at > fetched.at
                yield equal(problem(d.headers, d.body, trace.jwks, d.wall), None, "the set verifies it", d)
                stale = problem(d.headers, d.body, fetched.json, d.wall)
                text = "a set without the new key does not verify it" if new else "the set of the time does"
                yield equal(stale is not None, new, text, d)


@prop(
    47,
    "When the webhook arrives the status says COMPLETED",
    "webhook-status",
    live="V",
    tier=2,
    needs=NEEDS,
    evidence="assumed; to be measured on fal",
)
def status_is_completed_at_delivery(trace: Trace) -> Claims:
    """See the title; the receiver looks before it answers."""
    for d in trace.deliveries:
        yield equal(d.status_then, "COMPLETED", "the status is COMPLETED when the webhook arrives", d)
    for e, deliveries in _hooked(trace):
        yield claim(deliveries, "the webhook arrives", e)


@prop(
    48,
    "An output that JSON cannot say is delivered as null, with a reason",
    "webhook-null",
    live="-",
    tier=None,
    needs=("receive", "faults"),
    evidence="PROTOCOL 9.1 (D-hook)",
)
def unsayable_output_is_null(trace: Trace) -> Claims:
    """The job itself is well; it is the delivery that cannot say its output."""
    for e, deliveries in _hooked(trace):
        yield claim(deliveries, "the webhook arrives", e)
        for d in deliveries:
            yield equal((d.get("status"), d.get("payload")), ("OK", None), "it is OK, without a payload", d)
            yield claim(isinstance(d.get("payload_error"), str), "it says why", d, d.get("payload_error"))
        for r in trace.final_results(e.step.job):
            yield equal(r.status, 200, "the result can be fetched", r)
