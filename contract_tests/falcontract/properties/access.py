"""Ids, credentials, accounts and methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from falcontract.model.automaton import NOT_FOUND
from falcontract.model.prediction import application
from falcontract.properties.claims import Claims, claim, equal, member, prop

if TYPE_CHECKING:
    from falcontract.properties.claims import Claim
    from falcontract.traces import Exchange, Trace

# Applications that do not exist, as the 404 names them: without the owner if that exists (PROTOCOL.md 2.2).
UNKNOWN_APPLICATIONS: Final = {
    "nobody/nothing": "nobody/nothing",
    "cauldron/nope": "cauldron/nope",
    "fal-ai/no-such-app": "no-such-app",
    "fal-ai/nosuchvendor": "nosuchvendor",
    "workflows/no-one/no-flow/deep": "workflows/no-one/no-flow",
    "comfy/no-one/no-flow/deep": "comfy/no-one/no-flow",
}
UNKNOWN_KEY: Final = "No user found for Key ID and Secret"
LOCKED: Final = "User is locked. Reason: "


@prop(20, "unknown-id", live="V", tier=1, evidence="PROTOCOL 4.3, 4.7 (L-probe, D)")
def unknown_id_is_not_found(trace: Trace) -> Claims:
    """An unknown id is a 404 NOT_FOUND for every operation, and stays one.

    The program asks twice, which would show a call that creates a job.
    """
    for e in trace.of("call"):
        yield _not_found("not-found", e, "an unknown id is NOT_FOUND")


def _not_found(key: str, e: Exchange, text: str) -> Claim:
    return equal(key, (e.status, e.json), (404, NOT_FOUND), text, e)


@prop(21, "malformed-id", live="V", tier=1, evidence="assumed: the same family as an unknown id")
def malformed_id_is_4xx(trace: Trace) -> Claims:
    """A malformed id is a 4xx with a JSON body, never a 5xx; one with slashes is a 405."""
    for e in trace.of("call"):
        yield claim("code", 400 <= e.status < 500, "a malformed id is refused", e, e.status)
        explained = isinstance(e.json, dict) or (e.status, e.body) == (405, b"")
        yield claim("json", explained, "the refusal is JSON, or the router's", e, e.body[:100])


@prop(22, "other-application", live="V", tier=3, evidence="PROTOCOL 3, 4.3; assumed: NOT_FOUND")
def other_application_is_not_found(trace: Trace) -> Claims:
    """A job is found under its application only."""
    for e in trace.of("call"):
        yield _not_found("not-found", e, "the job is NOT_FOUND under another application")
    for e in trace.of("status"):
        yield claim("found", e.ok, "the job is found under its application", e, e.status)


@prop(
    23,
    "bad-credentials unknown-key unknown-application",
    live="V",
    tier=0,
    evidence="PROTOCOL 2.1, 2.2, 4.3 (L-probe, L-auth, L-lock; N 2026-09)",
)
def bad_credentials_are_refused(trace: Trace) -> Claims:
    """Credentials are checked after the application, before the body and the id; the text names the problem.

    Only without any credentials an unknown id is a 404 (L-probe); with bad ones it is a 401 (N 2026-09).
    """
    for e in trace.exchanges:
        name = application(e.step.endpoint)
        if e.step.do == "call" and e.step.key in {"none", "a"}:
            yield _not_found("id", e, "an unknown id is a 404 with a good key, and without any")
        elif e.step.endpoint in UNKNOWN_APPLICATIONS:
            expected = 404, f'Application "{UNKNOWN_APPLICATIONS[e.step.endpoint]}" not found'
            text = "an unknown application is checked first"
            yield equal("application", (e.status, e.get("detail")), expected, text, e)
        elif e.step.key == "unknown":
            found = e.status, e.get("detail")
            yield equal("unknown-key", found, (401, UNKNOWN_KEY), "a key of no account is a 401", e)
        elif e.step.key != "a":
            detail = (
                f'Cannot access application "{name}". Authentication is required to access this application.'
            )
            yield equal("no-key", (e.status, e.get("detail")), (401, detail), "an unusable key is a 401", e)


@prop(
    24, "other-key", live="V", tier=3, needs=("second-key",), evidence="PROTOCOL 4.3 (?): assumed NOT_FOUND"
)
def accounts_are_separate(trace: Trace) -> Claims:
    """One account cannot read or cancel another's job."""
    for e in trace.exchanges:
        submit = trace.submitted(e.step.job)
        if submit is not None and {submit.step.key, e.step.key} == {"a", "b"}:
            yield _not_found("not-found", e, "a job of another account is NOT_FOUND")


@prop(57, "other-key", live="V", tier=3, needs=("second-key",), evidence="PROTOCOL 4.3 (?): follows from P24")
def other_accounts_change_nothing(trace: Trace) -> Claims:
    """A job runs on after another account tried to read and cancel it."""
    for job in trace.jobs():
        yield claim("ends", trace.final_results(job), f"{job} ends")
        for e in trace.final_results(job):
            yield equal("code", e.status, 200, "the job succeeds", e)


@prop(25, "locked", mock="D", needs=("lock",), evidence="PROTOCOL 2.2 (L-lock); reads work, PROTOCOL 2.1 (R)")
def locked_account_can_read(trace: Trace) -> Claims:
    """A locked account cannot submit, but can read.

    The lock is checked before sub-path and body. Job A is older than the lock.
    """
    for e in trace.of("submit"):
        if e.step.job != "A":
            yield equal("submit", e.status, 403, "a locked account cannot submit", e)
            has_reason = str(e.get("detail")).startswith(LOCKED)
            yield claim("reason", has_reason, "the detail has the reason", e, e.get("detail"))
    for e in (*trace.of("status", "A"), *trace.of("result", "A")):
        yield equal("read", e.status, 200, "a locked account can read", e)


@prop(
    26,
    "wrong-method",
    live="V",
    tier=0,
    evidence="PROTOCOL 3 (R 2026-04: empty, before the key); other methods on a request's own paths: assumed",
)
def wrong_method_is_405(trace: Trace) -> Claims:
    """A wrong method is an empty 405 that names the right one, whatever the key, and changes nothing."""
    for e in trace.exchanges:
        if not e.step.method or e.step.method == "OPTIONS":
            continue
        yield equal("code", (e.status, e.body), (405, b""), "a wrong method is an empty 405", e)
        right = {"submit": "POST", "cancel": "PUT"}.get(e.step.do, "GET")
        allowed = [name.strip() for name in e.headers.get("allow", "").split(",")]
        yield member("allow", right, allowed, "Allow names the right method", e)
    states = [e for e in trace.of("status", "A") if not e.step.method and e.ok]
    for e in states[1:]:
        yield equal("unchanged", e.json, states[0].json, "a wrong method changes nothing", e)
