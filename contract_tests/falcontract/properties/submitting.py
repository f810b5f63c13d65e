"""The answer to a submit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from falcontract.model.automaton import NOT_FOUND, QUEUED
from falcontract.model.prediction import application, base_of
from falcontract.model.published import UUID
from falcontract.properties.claims import Claims, claim, equal, prop

if TYPE_CHECKING:
    from falcontract.traces import Exchange, Trace

LINKS: Final = ("response_url", "status_url", "cancel_url")
ACCEPTED: Final = 200  # PROTOCOL.md 4.1
ABOUT_A_JOB: Final = ("status", "until", "result", "cancel", "submit")


@prop(1, "lifecycle equal-submits", general=True, tier=2, evidence="PROTOCOL 4.1 (C, L)")
def submit_answers_with_id_and_urls(trace: Trace) -> Claims:
    """A submit is answered 200 with a unique id, three URLs that contain it, IN_QUEUE and a position."""
    seen: set[str] = set()
    for e in trace.of("submit"):
        if not e.ok:
            continue
        request_id = str(e.get("request_id"))
        yield equal("code", e.status, ACCEPTED, "a submit is answered 200", e)
        yield claim("uuid", UUID.fullmatch(request_id), "the id is a UUID", e, request_id)
        yield claim("unique", request_id not in seen, "no two jobs share an id", e, request_id)
        seen.add(request_id)
        for link in LINKS:
            yield claim("urls", request_id in str(e.get(link)), f"{link} contains the id", e, e.get(link))
        yield equal("status", e.state, QUEUED, "a new job is IN_QUEUE", e)
        position = e.get("queue_position")
        is_position = type(position) is int and position >= 0
        yield claim("position", is_position, "the position is an integer of 0 or more", e, position)


@prop(
    2,
    "lifecycle unknown-path unknown-application ways",
    general=True,
    tier=2,
    evidence="PROTOCOL 3 (C), 4.1 (L-poll)",
)
def urls_contain_the_application_only(trace: Trace) -> Claims:
    """The URLs contain owner and application only, and can be used verbatim.

    The application of a namespace has three parts; the 404 for an unknown one shows it.
    """
    for e in trace.submits():
        base = f"{base_of(trace, e)}/{application(e.step.endpoint)}/requests/{e.get('request_id')}"
        urls = dict(zip(LINKS, (base, f"{base}/status", f"{base}/cancel"), strict=True))
        for link, url in urls.items():
            yield equal(link, e.get(link), url, f"{link} has no sub-path", e)
        for read in trace.of("status", e.step.job):
            if trace.is_plain(read) and read.ok:
                same = read.get("request_id"), e.get("request_id")
                yield equal("status-id", *same, "status_url leads to the job", read)
                links = [read.get(link) for link in LINKS], [e.get(link) for link in LINKS]
                yield equal("status-urls", *links, "the status repeats the URLs", read)
    for e in trace.of("submit"):
        if e.step.endpoint.startswith(("workflows/", "comfy/")):
            named = f'"{application(e.step.endpoint)}"' in str(e.get("detail"))
            yield claim("namespace", named, "a namespace keeps three parts", e, e.get("detail"))


@prop(19, "bad-timeout", live="V", tier=2, evidence="PROTOCOL 4.1, 11.1 (D-errors)")
def malformed_start_timeout_is_refused(trace: Trace) -> Claims:
    """A malformed start timeout is refused with 400 bad_request, and no job is created."""
    for e in trace.of("submit"):
        if e.step.header("x-fal-request-timeout"):
            yield equal("code", e.status, 400, "a malformed header is refused", e)
            yield equal("type", e.get("error_type"), "bad_request", "the error type is bad_request", e)
            yield claim("no-job", e.get("request_id") is None, "no job is created", e)
        else:
            yield equal("position", e.get("queue_position"), 0, "the next job has an empty queue ahead", e)


@prop(
    27,
    "malformed-bodies",
    live="V",
    tier=2,
    evidence="PROTOCOL 4.2, 14.1 (I): whether at submit or at the result is unknown",
)
def malformed_body_ends_in_4xx(trace: Trace) -> Claims:
    """A body that is not a JSON object ends in a 4xx with a detail, never in a 5xx."""
    for e in trace.of("submit"):
        answers = [e] if not e.ok else trace.final_results(e.step.job)
        yield claim("answer", answers, "an accepted body has a result", e)
        for answer in answers:
            yield claim("code", 400 <= answer.status < 500, "the body is refused", answer, answer.status)
            yield claim("detail", answer.get("detail"), "the refusal has a detail", answer, answer.body[:200])


@prop(
    49,
    "lifecycle cors early-result",
    general=True,
    tier=1,
    evidence="PROTOCOL 10.2, 11.2 (C, R 2026-04; expose list assumed)",
)
def headers_contain_the_request_id(trace: Trace) -> Claims:
    """Submit and result have the request id in x-fal-request-id, status and cancel do not; pages may call."""
    for e in trace.exchanges if trace.complete_headers else ():
        if e.step.do in ABOUT_A_JOB and (e.ok or _is_outcome(trace, e)):
            names_id = e.step.do in {"submit", "result"}
            known = e.get("request_id") if e.step.do == "submit" else e.request_id if names_id else None
            yield equal("id", e.headers.get("x-fal-request-id"), known, "the header has the request id", e)
            kind = e.headers.get("content-type", "").partition(";")[0]
            yield equal("json", kind, "application/json", "the answer is JSON", e)
        if "Origin" in e.step.headers:
            yield from _is_readable(e)


def _is_outcome(trace: Trace, e: Exchange) -> bool:
    """Return whether an answer is a final result, or the refusal of an early one."""
    return e.step.do == "result" and trace.is_plain(e) and e.state != NOT_FOUND["status"]


def _is_readable(e: Exchange) -> Claims:
    allowed = e.headers.get("access-control-allow-origin")
    yield equal("origin", allowed, e.step.headers["Origin"], "the origin is mirrored", e)
    if e.method == "OPTIONS":
        yield equal("preflight", e.status, 200, "the preflight is answered", e)
        requested = e.step.headers.get("Access-Control-Request-Headers", "")
        granted = e.headers.get("access-control-allow-headers", "").lower()
        yield claim("headers", granted == "*" or requested in granted, "its headers are allowed", e, granted)
    else:
        exposed = e.headers.get("access-control-expose-headers")
        yield equal("exposed", exposed, None, "the queue exposes no header to pages", e)
        sent = e.headers.get("access-control-allow-credentials")
        yield equal("credentials", sent, "true", "pages may send credentials", e)


@prop(53, "equal-submits", tier=3, evidence="PROTOCOL 4.1: no idempotency key exists")
def equal_submits_are_two_jobs(trace: Trace) -> Claims:
    """Two equal submits are two jobs."""
    ids = [e.get("request_id") for e in trace.submits()]
    if ids:
        yield claim("ids", len(ids) == len(set(ids)), "each submit creates a job", found=ids)
    urls = set()
    for job in trace.jobs():
        for e in trace.final_results(job)[:1]:
            yield equal("code", e.status, 200, "each job has a result", e)
            video = e.get("video")
            url = video.get("url") if isinstance(video, dict) else None
            yield claim("file", url not in urls, "each job has a separate file", e, url)
            urls.add(url)
