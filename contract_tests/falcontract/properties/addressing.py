"""Paths that name no request, and the ways to name a host."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from falcontract.properties.claims import Claims, equal, prop
from falcontract.steps import HOSTS

if TYPE_CHECKING:
    from falcontract.traces import Exchange, Trace

URL: Final = re.compile(r"https?://[^\s\"]*")


@prop(
    62,
    "wrong-paths wrong-paths-locked",
    tier=3,
    evidence="PROTOCOL 3 (R 2026-04), 2.1 (R 2026-07: before the lock; N 2026-09: before the key)",
)
def other_paths_are_for_post(trace: Trace) -> Claims:
    """A path that is not `A/requests/<id>` or its parts is for POST: else an empty 405, before the key.

    The full endpoint id of the documentation is such a path.
    """
    for e in trace.of("call"):
        yield equal("code", e.status, 405, "it is a 405", e)
        yield equal("allow", e.headers.get("allow"), "POST", "Allow names POST alone", e)
        yield equal("body", e.body, b"", "it has no body", e)
        yield equal("content-type", e.headers.get("content-type"), None, "it has no content type", e)
        if e.method != "HEAD":
            length = e.headers.get("content-length")
            yield equal("content-length", length, "0", "its length is 0", e)
    for e in trace.of("status"):
        yield equal("job", e.status, 202, "the job is not affected", e)


@prop(63, "one-segment", tier=0, evidence="PROTOCOL 3 (R 2026-04)")
def one_segment_is_not_found(trace: Trace) -> Claims:
    """A POST to a path of one segment is a 404 without a body, whatever the key."""
    for e in trace.of("call"):
        yield equal("code", (e.status, e.body), (404, b""), "it is a 404 without a body", e)
        yield equal("content-type", e.headers.get("content-type"), None, "it has no content type", e)


@prop(
    64,
    "ways",
    needs=("addressing",),
    evidence="PROTOCOL 1.1, 12: DNS, prefixes and fal's browser proxy lead to the same host",
)
def ways_lead_to_the_same_host(trace: Trace) -> Claims:
    """A call has the same answer however it names the host.

    The first of each group of equal calls has the host in its path.
    """
    first: Exchange | None = None
    for e in trace.exchanges:
        if e.step.do == "submit":
            continue
        if not e.step.via:
            first = e
        elif first is not None and replace(e.step, via="") == first.step:
            yield equal("code", e.status, first.status, "the code is that of the first way", e)
            yield equal("headers", _names(e), _names(first), "the headers are those of the first way", e)
            yield equal("body", _body(trace, e), _body(trace, first), "the body is that of the first way", e)


def _names(e: Exchange) -> list[str]:
    return sorted(e.headers.keys() - {"date", "content-length"})


def _body(trace: Trace, e: Exchange) -> str:
    """Return the body without the addresses of its URLs and the random parts of announced uploads."""
    root = trace.base.removesuffix(f"/{HOSTS['queue']}")
    text = e.body.decode(errors="replace")
    if e.step.host != "queue":
        return URL.sub("<url>", text)
    for start in (trace.base, f"http://{HOSTS['queue']}", root, "http:/"):
        text = text.replace(start, "")
    return text
