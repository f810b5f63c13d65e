"""What a submit answers, and what it does not look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from falcontract.claims import Claims, claim, equal, member, prop
from falcontract.prediction import application
from falcontract.published import UUID

if TYPE_CHECKING:
    from falcontract.traces import Exchange, Trace

LINKS = ("response_url", "status_url", "cancel_url")
ACCEPTED = 200  # PROTOCOL.md 4.1


@prop(
    1,
    "A submit is answered 200 with a unique id, three URLs that contain it, IN_QUEUE and a position",
    "lifecycle",
    "equal-submits",
    general=True,
    tier=2,
    evidence="PROTOCOL 4.1 (C, L)",
)
def answers_with_a_ticket(trace: Trace) -> Claims:
    """See the title."""
    seen: set[str] = set()
    for e in trace.of("submit"):
        if not e.ok:
            continue
        request_id = e.get("request_id")
        yield equal(e.status, ACCEPTED, "a submit is answered 200", e)
        yield claim(
            isinstance(request_id, str) and UUID.fullmatch(request_id), "the id is a UUID", e, request_id
        )
        yield claim(request_id not in seen, "no two jobs share an id", e, request_id)
        seen.add(str(request_id))
        for link in LINKS:
            yield claim(str(request_id) in str(e.get(link)), f"{link} contains the id", e, e.get(link))
        yield equal(e.state, "IN_QUEUE", "a new job is IN_QUEUE", e)
        position = e.get("queue_position")
        yield claim(type(position) is int and position >= 0, "there is a position, 0 or more", e, position)


@prop(
    2,
    "The URLs name owner and application only, and can be used verbatim",
    "lifecycle",
    "unknown-path",
    "unknown-application",
    general=True,
    tier=2,
    evidence="PROTOCOL 3 (C), 4.1 (L-poll)",
)
def urls_name_the_application(trace: Trace) -> Claims:
    """See the title; namespaces keep three parts, which the 404 for such an application shows."""
    for e in trace.submits():
        base = f"{trace.base}/{application(e.step.endpoint)}/requests/{e.get('request_id')}"
        yield equal(e.get("response_url"), base, "response_url drops the sub-path", e)
        yield equal(e.get("status_url"), f"{base}/status", "status_url is response_url + /status", e)
        yield equal(e.get("cancel_url"), f"{base}/cancel", "cancel_url is response_url + /cancel", e)
        for read in trace.of("status", e.step.job):
            if trace.is_plain(read) and read.ok:
                found = read.get("request_id")
                yield equal(found, e.get("request_id"), "status_url leads to the job", read)
                links = [read.get(link) for link in LINKS]
                yield equal(links, [e.get(link) for link in LINKS], "the status repeats the URLs", read)
    for e in trace.of("submit"):
        if e.step.endpoint.startswith(("workflows/", "comfy/")):
            named = f'"{application(e.step.endpoint)}"'
            yield claim(named in str(e.get("detail")), "a namespace keeps three parts", e, e.get("detail"))


@prop(
    19,
    "A malformed start timeout is refused at once with 400 bad_request, and no job is made",
    "bad-timeout",
    live="V",
    tier=2,
    evidence="PROTOCOL 4.1, 11.1 (D-errors)",
)
def malformed_timeout_is_refused(trace: Trace) -> Claims:
    """See the title."""
    for e in trace.of("submit"):
        if "X-Fal-Request-Timeout" in e.step.headers:
            yield equal(e.status, 400, "a malformed header is refused", e)
            yield equal(e.get("error_type"), "bad_request", "the error is typed bad_request", e)
            yield claim(e.get("request_id") is None, "no job is made", e)
        elif e.ok:
            yield equal(e.get("queue_position"), 0, "nobody stands in line before the next job", e)


@prop(
    27,
    "A body that is no JSON object ends in a 4xx with a detail list, never in a 5xx",
    "malformed-bodies",
    live="V",
    tier=2,
    evidence="PROTOCOL 4.2, 14.1 (I): whether at submit or at the result is unknown",
)
def odd_bodies_end_in_4xx(trace: Trace) -> Claims:
    """See the title."""
    for e in trace.of("submit"):
        answers = [e] if not e.ok else trace.final_results(e.step.job)
        for answer in answers:
            yield claim(
                400 <= answer.status < 500, "a body that is no object is refused", answer, answer.status
            )
            yield claim(answer.get("detail"), "the refusal says why", answer, answer.body[:200])


@prop(
    53,
    "Two equal submits are two jobs",
    "equal-submits",
    tier=3,
    evidence="PROTOCOL 4.1: there is no idempotency key; NEEDS 1.4 (R)",
)
def equal_submits_are_two_jobs(trace: Trace) -> Claims:
    """See the title."""
    ids = [e.get("request_id") for e in trace.submits()]
    yield claim(len(ids) == len(set(ids)), "each submit makes a job of its own", found=ids)
    urls = set()
    for job in trace.jobs():
        for e in trace.final_results(job)[:1]:
            yield equal(e.status, 200, "each of them has a result", e)
            video = e.get("video")
            url = video.get("url") if isinstance(video, dict) else None
            yield claim(url not in urls, "each of them has a file of its own", e, url)
            urls.add(url)


@prop(
    49,
    "Every queue answer names the request in x-fal-request-id, is JSON, and may be read by a browser",
    "lifecycle",
    "cors",
    "early-result",
    general=True,
    tier=1,
    evidence="PROTOCOL 10.2, 11.2 (C; expose list assumed)",
)
def headers_name_the_request(trace: Trace) -> Claims:
    """See the title. Answers that are not about a known job have no id to name."""
    for e in trace.exchanges if trace.whole else ():
        if e.step.do in {"status", "until", "result", "cancel", "submit"} and (e.ok or _is_outcome(trace, e)):
            known = e.get("request_id") if e.step.do == "submit" else e.request_id
            yield equal(e.headers.get("x-fal-request-id"), known, "the answer names the request", e)
            kind = e.headers.get("content-type", "").partition(";")[0]
            yield equal(kind, "application/json", "the answer is JSON", e)
        if "Origin" in e.step.headers:
            allowed = e.headers.get("access-control-allow-origin")
            yield member(allowed, ("*", e.step.headers["Origin"]), "a browser may read it", e)
            if e.method == "OPTIONS":
                yield equal(e.status, 200, "the preflight is answered", e)
                asked = e.step.headers.get("Access-Control-Request-Headers", "")
                granted = e.headers.get("access-control-allow-headers", "").lower()
                yield claim(granted == "*" or asked in granted, "its headers are granted", e, granted)
            else:
                exposed = e.headers.get("access-control-expose-headers", "").lower()
                yield claim(exposed == "*" or "x-fal-request-id" in exposed, "the id is exposed", e, exposed)


def _is_outcome(trace: Trace, e: Exchange) -> bool:
    """A final result, whatever it is, or the "still in progress" of a job that is known."""
    return e.step.do == "result" and trace.is_plain(e) and e.state != "NOT_FOUND"
