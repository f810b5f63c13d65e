"""A submit, as the queue and the run host both read it (PROTOCOL.md 4.1 and 11.1)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from falmock.engine.emulator import Submission
from falmock.engine.object_lifecycle import Lifecycle, LifecycleError
from falmock.engine.queue import LOW, NORMAL
from falmock.engine.webhooks import is_deliverable
from falmock.protocol import calls
from falmock.protocol.errors import BodyTooLarge, PlatformError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.datastructures import Headers, QueryParams
    from starlette.requests import Request

    from falmock.engine.keys import Caller
    from falmock.protocol.endpoints import Endpoint

MOST_DIGITS = 18  # of a content-length; Python refuses to read thousands
SHORTEST_START = 0.1  # seconds; fal's documentation asks for more than this
LONGEST_START = 365 * 86_400.0  # seconds; assumed
PREFERENCE = "X-Fal-Object-Lifecycle-Preference"


async def read(
    request: Request,
    endpoint: Endpoint,
    caller: Caller,
    *,
    max_body: int,
    objection: Callable[[str], Awaitable[str | None]],
) -> Submission:
    """Understand a submit.

    Args:
        request: the call.
        endpoint: that it is for.
        caller: who makes it.
        max_body: bytes that the body may have.
        objection: returns why nothing is to be posted to a URL, or None.

    Raises:
        PlatformError: `bad_request`, for a header or a query parameter that cannot be understood.
        BodyTooLarge: the body has more bytes than `max_body`.
    """
    call: calls.Call = request.scope["falmock.call"]
    headers, query = request.headers, request.query_params
    return Submission(
        endpoint=endpoint,
        caller=caller.key_id,
        test=call.test or calls.named_test(caller.key_id),
        origin=str(request.scope["falmock.origin"]),
        method=request.method,
        content_type=headers.get("content-type"),
        webhook=await _webhook(query, objection),
        priority=_priority(headers),
        start_within=_start_within(headers),
        retry=headers.get("x-fal-no-retry", "").strip().lower() not in {"1", "true", "yes"},
        store_io=headers.get("x-fal-store-io", "").strip() != "0",
        lifecycle=_lifecycle(headers),
        max_queue_length=_max_queue_length(query),
        faults=request.scope.get("falmock.faults.vocabulary", ()),
        parsed=request.scope.get("falmock.input"),
        body=await read_body(request, max_body),
    )


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body.

    Raises:
        BodyTooLarge: it has more bytes than `limit`; what follows them is not read.
    """
    declared = request.headers.get("content-length", "0").lstrip("0")
    if declared.isdecimal() and (len(declared) > MOST_DIGITS or int(declared) > limit):
        raise BodyTooLarge(limit)
    pieces: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        pieces.append(chunk)
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(limit)
    return b"".join(pieces)


def _bad(name: str) -> PlatformError:
    return PlatformError("bad_request", f"Invalid {name}")


async def _webhook(query: QueryParams, objection: Callable[[str], Awaitable[str | None]]) -> str | None:
    url = query.get("fal_webhook")
    if url is not None and not is_deliverable(url):
        raise _bad("fal_webhook parameter")
    if url is not None and (why := await objection(url)) is not None:
        raise _bad(f"fal_webhook parameter: {why}")
    return url


def _priority(headers: Headers) -> int:
    priorities = {"normal": NORMAL, "low": LOW}
    try:
        return priorities[headers.get("x-fal-queue-priority", "normal").strip().lower()]
    except KeyError:
        raise _bad("X-Fal-Queue-Priority header") from None


def _start_within(headers: Headers) -> float:
    text = headers.get("x-fal-request-timeout")
    if text is None:
        return math.inf
    try:
        seconds = float(text)
    except ValueError:
        raise _bad("X-Fal-Request-Timeout header") from None
    if not SHORTEST_START < seconds <= LONGEST_START:
        raise _bad("X-Fal-Request-Timeout header")
    return seconds


def _lifecycle(headers: Headers) -> str | None:
    text = headers.get(PREFERENCE)
    try:
        Lifecycle.parse(text)
    except LifecycleError:
        raise _bad(f"{PREFERENCE} header") from None
    return text


def _max_queue_length(query: QueryParams) -> float:
    text = query.get("fal_max_queue_length")
    if text is None:
        return math.inf
    if not (text.isascii() and text.isdecimal()):
        raise _bad("fal_max_queue_length parameter")
    return float(text)
