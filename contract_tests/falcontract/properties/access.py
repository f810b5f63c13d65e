"""Who may ask for what, and what strangers are told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from falcontract.claims import Claims, claim, equal, member, prop
from falcontract.prediction import application

if TYPE_CHECKING:
    from falcontract.traces import Exchange, Trace

NOT_FOUND = {"status": "NOT_FOUND"}
# Of an owner that exists the alias is named alone (PROTOCOL.md 2.2).
UNKNOWN_APPLICATIONS = {
    "nobody/nothing": "nobody/nothing",
    "cauldron/nope": "cauldron/nope",
    "fal-ai/no-such-app": "no-such-app",
    "fal-ai/nosuchvendor": "nosuchvendor",
    "workflows/no-one/no-flow/deep": "workflows/no-one/no-flow",
    "comfy/no-one/no-flow/deep": "comfy/no-one/no-flow",
}
UNKNOWN_KEY = "No user found for Key ID and Secret"
LOCKED = "User is locked. Reason: "


@prop(
    20,
    "An unknown id is a 404 NOT_FOUND to every question, and stays one",
    "unknown-id",
    live="V",
    tier=1,
    evidence="PROTOCOL 4.3, 4.7 (L-probe, D)",
)
def unknown_id_is_not_found(trace: Trace) -> Claims:
    """See the title; it is asked twice, so that a question which makes a job would show."""
    for e in trace.of("call"):
        yield equal((e.status, e.json), (404, NOT_FOUND), "an unknown id is not found", e)


@prop(
    21,
    "A malformed id is a 4xx with a JSON body, never a 5xx",
    "malformed-id",
    live="V",
    tier=1,
    evidence="assumed: the family of an unknown id",
)
def malformed_id_is_4xx(trace: Trace) -> Claims:
    """See the title."""
    for e in trace.of("call"):
        yield claim(400 <= e.status < 500, "a malformed id is refused", e, e.status)
        yield claim(isinstance(e.json, dict), "the refusal is JSON", e, e.body[:100])


@prop(
    22,
    "A job is found under its own application only",
    "other-application",
    live="V",
    tier=3,
    evidence="PROTOCOL 3, 4.3; assumed: NOT_FOUND",
)
def other_application_is_not_found(trace: Trace) -> Claims:
    """See the title."""
    for e in trace.of("call"):
        yield equal((e.status, e.json), (404, NOT_FOUND), "another application's path does not lead to it", e)
    for e in trace.of("status"):
        yield claim(e.ok, "its own does", e, e.status)


@prop(
    23,
    "Credentials are looked at after the application and before method and body; the words say what is wrong",
    "bad-credentials",
    "unknown-key",
    "unknown-application",
    live="V",
    tier=0,
    evidence="PROTOCOL 2.1, 2.2 (L-probe, L-auth, L-lock)",
)
def strangers_are_told(trace: Trace) -> Claims:
    """See the title. An unknown id is 404 even without a key (L-probe): there the id comes first."""
    for e in trace.exchanges:
        if e.step.do == "submit" and e.step.key == "a" and e.step.endpoint not in UNKNOWN_APPLICATIONS:
            continue
        if e.step.do == "call" and "/requests/" in e.url:
            yield equal((e.status, e.json), (404, NOT_FOUND), "an unknown id comes before credentials", e)
        elif e.step.endpoint in UNKNOWN_APPLICATIONS:
            named = UNKNOWN_APPLICATIONS[e.step.endpoint]
            text = f'Application "{named}" not found'
            yield equal((e.status, e.get("detail")), (404, text), "an unknown application comes first", e)
        elif e.step.key == "unknown":
            yield equal((e.status, e.get("detail")), (401, UNKNOWN_KEY), "a pair of nobody's is told so", e)
        elif e.step.key != "a":
            name = application(e.step.endpoint)
            text = (
                f'Cannot access application "{name}". Authentication is required to access this application.'
            )
            yield equal((e.status, e.get("detail")), (401, text), "no usable key is a 401", e)


@prop(
    24,
    "One account cannot see or cancel another's job",
    "other-key",
    live="V",
    tier=3,
    needs=("second-key",),
    evidence="PROTOCOL 4.3 (?): assumed NOT_FOUND",
)
def accounts_are_apart(trace: Trace) -> Claims:
    """See the title."""
    for e in trace.exchanges:
        made = trace.submitted(e.step.job)
        if made is not None and {made.step.key, e.step.key} == {"a", "b"}:
            yield equal((e.status, e.json), (404, NOT_FOUND), "another's job is not found", e)
    if trace.program.name == "other-key":
        for e in trace.final_results("A"):
            yield equal(e.status, 200, "the job was not touched", e)


@prop(
    25,
    "A locked account cannot submit, but can read",
    "locked",
    live="-",
    mock="D",
    tier=None,
    needs=("lock",),
    evidence="PROTOCOL 2.2 (L-lock); NEEDS 1.8 (R)",
)
def locked_accounts_can_read(trace: Trace) -> Claims:
    """See the title. The lock comes before sub-path and body."""
    for e in trace.of("submit"):
        if e.step.job == "A":
            continue
        yield equal(e.status, 403, "a locked account cannot submit", e)
        yield claim(str(e.get("detail")).startswith(LOCKED), "it is told why", e, e.get("detail"))
    for e in (*trace.of("status", "A"), *trace.of("result", "A")):
        yield equal(e.status, 200, "a locked account can read", e)


@prop(
    26,
    "A wrong method is a 405 that names the right one",
    "wrong-method",
    live="V",
    tier=0,
    evidence="PROTOCOL 13 (I, FastAPI's body); 2.1: credentials come first",
)
def wrong_method_is_405(trace: Trace) -> Claims:
    """See the title."""
    for e in trace.exchanges:
        if not e.step.method or e.step.method == "OPTIONS":
            continue
        if e.step.key == "none":
            yield equal(e.status, 401, "credentials come before the method", e)
            continue
        yield equal((e.status, e.get("detail")), (405, "Method Not Allowed"), "it is a 405", e)
        right = {"submit": "POST", "cancel": "PUT"}.get(e.step.do, "GET")
        allowed = {name.strip() for name in e.headers.get("allow", "").split(",")}
        yield member(right, allowed, "Allow names the right method", e)
    yield from _unchanged(trace)


def _unchanged(trace: Trace) -> Claims:
    states: list[Exchange] = [e for e in trace.of("status", "A") if not e.step.method and e.ok]
    for e in states[1:]:
        told = json.dumps(e.json)
        yield equal(told, json.dumps(states[0].json), "a wrong method changes nothing", e)
