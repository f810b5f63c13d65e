"""fal's other hosts: run, tokens, platform API, with one account and two."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from falcontract.model.automaton import NOT_FOUND
from falcontract.model.headers import KINDS
from falcontract.properties.claims import Claims, claim, equal, member, prop
from falcontract.steps import APP_PATH, VEO2

if TYPE_CHECKING:
    from falcontract.traces import Exchange, Trace

HOSTS: Final = ("hosts",)
NO_ACCESS: Final = (
    f'Cannot access application "{APP_PATH[1:]}". Authentication is required to access this application.'
)
ERRORS: Final = {  # of the platform API (PROTOCOL.md 15): status and body
    "validation_error": (400, "Invalid request parameters"),
    "authorization_error": (401, "API key authentication required", "Authentication required"),
}


def _calls(trace: Trace, host: str) -> list[Exchange]:
    return [e for e in trace.of("call") if e.step.host == host]


@prop(90, "run-host", tier=5, needs=HOSTS, evidence="PROTOCOL 2.1, 5, 11.2 (R 2026-04; L-probe)")
def runs_are_answered_at_once(trace: Trace) -> Claims:
    """fal.run answers with the output or the runner's error, and checks the key before the method."""
    for e in _calls(trace, "run"):
        if "nosuchvendor" in e.url:
            text = 'Application "nosuchvendor" not found'
            yield equal("application", (e.status, e.get("detail")), (404, text), "no application", e)
        elif e.step.key == "none":
            yield equal("no-key", (e.status, e.get("detail")), (401, NO_ACCESS), "no key is a 401", e)
        elif e.step.key == "unknown":
            yield equal("key", e.status, 401, "an unknown key is a 401", e)
        elif e.url.endswith("no-such-path"):
            detail = e.status, e.get("detail")
            yield equal("path", detail, (404, "Path /image-to-video/no-such-path not found"), "no path", e)
        elif e.step.input:
            yield equal("code", e.status, 200, "a valid input has an output", e)
            yield equal("output", list(e.json or ()), ["video"], "it is the model's output alone", e)
            yield from _has(e, "run")
        else:
            yield equal("invalid", e.status, 422, "an invalid input is a 422", e)
            yield claim("list", isinstance(e.get("detail"), list), "it has a list of errors", e, e.json)
            yield from _has(e, "rejected run")


def _has(e: Exchange, kind: str) -> Claims:
    expected = KINDS[kind]
    yield equal("names", expected.names(e.headers), sorted(expected.required), "it has these headers", e)
    for name, form in expected.required.items():
        value = e.headers.get(name, "")
        yield claim("values", re.fullmatch(form, value), f"{name} has its value", e, value)


@prop(91, "uploads", tier=3, needs=HOSTS, evidence="PROTOCOL 11.2 (R 2026-04: initiate)")
def rest_answers_have_their_headers(trace: Trace) -> Claims:
    """An answer of the REST host has two headers of the edge, and no CORS without an Origin."""
    for e in _calls(trace, "rest"):
        yield from _has(e, "rest")


@prop(92, "web-tokens", tier=3, needs=HOSTS, evidence="PROTOCOL 7.1 (C, O), 2 (C)")
def web_tokens_are_for_one_application(trace: Trace) -> Claims:
    """A token is a 201 with a JSON string; it stands for the key in the query, for one application."""
    for e in trace.of("call"):
        if e.step.host == "rest" and e.step.key == "none":
            yield equal("no-key", e.status, 401, "a token needs a key", e)
        elif e.step.host == "rest":
            is_text = isinstance(e.json, str) and len(e.json) > 20
            yield equal("code", e.status, 201, "a token is created", e)
            yield claim("text", is_text, "it is a JSON string", e, e.body[:80])
    uses = [e for e in trace.of("call") if "fal_jwt_token" in e.step.query]
    for e, code in zip(uses, (202, 401, 401, 401), strict=False):
        allowed = {401, 404} if "flux" in e.url else {code}
        yield claim("use", e.status in allowed, f"it is answered {code}", e, e.status)


@prop(93, "platform", tier=1, needs=HOSTS, evidence="PROTOCOL 15 (O, R 2025-10, 2026-04)")
def platform_api_has_the_live_form(trace: Trace) -> Claims:
    """The platform API pages with cursors without padding, and its errors have a type and a text."""
    for e in _calls(trace, "api"):
        query = e.step.query
        if "cursor=Mg" in query:
            yield equal("cursor", e.status, 200, "a cursor has no padding", e)
        elif "limit=1" in query:
            models = e.get("models") if isinstance(e.get("models"), list) else []
            yield equal("code", e.status, 200, "the list of models needs no key", e)
            yield equal("page", len(models or ()), 1, "a page has as many as asked", e)
            found = [m.get("metadata", {}).get("is_favorited") for m in models or () if isinstance(m, dict)]
            yield equal("favorite", found, [None], "is_favorited is null without a key", e)
            if e.get("has_more"):
                yield equal("next", e.get("next_cursor"), "Mg", "a cursor has no padding", e)
        elif e.step.path.endswith("no-such-call") or "nothing" in query:
            kind = e.status, (e.get("error") or {}).get("type")
            yield equal("not-found", kind, (404, "not_found"), "an unknown name is not_found", e)
        elif e.step.key == "none":
            yield _error(e, "authorization_error")
        elif "endpoint_id" in query:
            price = e.json["prices"][0] if e.get("prices") else {}
            names = ["endpoint_id", "unit_price", "unit", "currency"]
            yield equal("price", list(price), names, "a price has these members", e)
            yield equal("whose", price.get("endpoint_id"), VEO2, "it is that of the endpoint", e)
        else:
            yield _error(e, "validation_error")


def _error(e: Exchange, kind: str) -> Any:
    status, *messages = ERRORS[kind]
    allowed = [(status, {"error": {"type": kind, "message": message}}) for message in messages]
    return member(kind, (e.status, e.json), allowed, f"it is a {kind}", e)


@prop(94, "two-accounts", needs=("hosts", "second-key", "receive"), evidence="PROTOCOL 4.9, 9.3 (O)")
def services_are_for_the_own_account(trace: Trace) -> Claims:
    """What an account does to its queue, payloads and list of webhooks leaves other accounts alone."""
    ids = {job: trace.submitted(job) for job in "ABCD"}
    for e in trace.of("call"):
        if e.method == "GET" and "applications" in e.url:
            size = e.get("queue_size"), e.get("in_progress")
            yield equal("size", size, (4, 0), "it counts the waiting jobs of all", e)
        elif e.step.host == "api" and e.method == "GET":
            yield equal("left", e.get("queue_size"), 2, "the own jobs were removed", e)
        elif "webhooks" in e.url:
            listed = {item.get("request_id") for item in _items(e.json) if isinstance(item, dict)}
            other = ids["B" if e.step.key == "a" else "A"]
            is_own = other is None or other.get("request_id") not in listed
            yield claim("webhooks", is_own, "the list has no webhook of another account", e, e.json)
        elif e.step.host == "api":
            code = 404 if e.step.key == "a" else 200
            yield equal("payloads", e.status, code, "only the owner deletes payloads", e)
    for job in "BD":
        for e in trace.of("status", job):
            yield equal("ends", e.state, "COMPLETED", f"{job} of the other account ran", e)
    for e in trace.of("result", "B")[:2]:
        yield equal("kept", e.status, 200, "its result is there until its owner deletes it", e)
    for e in trace.of("result", "B")[2:]:
        yield equal("deleted", (e.status, e.json), (404, NOT_FOUND), "then it is NOT_FOUND", e)


def _items(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return next((item for item in value.values() if isinstance(item, list)), [])
    return value if isinstance(value, list) else []
