"""Reads submissions for the queue and the run host (PROTOCOL.md 4.1 and 11.1)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from falmock.engine.delivery import is_deliverable
from falmock.engine.files import Lifecycle, LifecycleError
from falmock.engine.queue import LOW, NORMAL
from falmock.engine.submission import Submission
from falmock.http.context import context_of, query_of
from falmock.protocol.calls import named_test
from falmock.protocol.errors import BodyTooLarge, PlatformError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.datastructures import QueryParams
    from starlette.requests import Request
    from starlette.types import Scope

    from falmock.engine.emulator import Emulator
    from falmock.engine.keys import Caller
    from falmock.http.context import CallContext
    from falmock.protocol.calls import Call
    from falmock.protocol.endpoints import Endpoint

MOST_DIGITS = 18  # of a content-length; Python does not parse thousands of digits
SHORTEST_START = 0.1  # seconds; fal's documentation requires more than this
LONGEST_START = 365 * 86_400.0  # seconds; assumed
PREFERENCE = "X-Fal-Object-Lifecycle-Preference"


async def read(request: Request, endpoint: Endpoint, caller: Caller, emulator: Emulator) -> Submission:
    """Read a submission.

    Raises:
        PlatformError: `bad_request`, for an invalid header or query parameter.
        BodyTooLarge: the body has more bytes than `Settings.max_body`.
    """
    context = context_of(request)
    url = webhook_of(request.scope)
    if url is not None and (why := await emulator.dialler.objection(url)) is not None:
        raise _bad(f"fal_webhook parameter: {why}")
    submission = parse(context, request.scope, endpoint, caller, webhook=url)
    if context.body is None:
        return replace(submission, body=await read_body(request, emulator.settings.max_body))
    return submission


def wants_webhook(scope: Scope) -> bool:
    return "fal_webhook" in query_of(scope)


def webhook_of(scope: Scope) -> str | None:
    """Return the URL for the webhook of a submission, or None.

    Raises:
        PlatformError: `bad_request`: it is not a URL to deliver to.
    """
    url = query_of(scope).get("fal_webhook")
    if url is not None and not is_deliverable(url):
        raise _bad("fal_webhook parameter")
    return url


def parse(
    context: CallContext, scope: Scope, endpoint: Endpoint, caller: Caller, *, webhook: str | None
) -> Submission:
    """Parse the headers and the query of a submission. Its body is that of the context, or empty.

    Raises:
        PlatformError: `bad_request`, for an invalid header or query parameter.
    """
    headers = context.headers
    return Submission(
        endpoint=endpoint,
        caller=caller.key_id,
        test=context.call.test or _test_of(context.call, caller),
        origin=str(context.base_url),
        method=scope["method"],
        content_type=headers.get("content-type"),
        webhook=webhook,
        priority=_priority(headers),
        start_within=_start_within(headers),
        retry=headers.get("x-fal-no-retry", "").strip().lower() not in {"1", "true", "yes"},
        store_io=headers.get("x-fal-store-io", "").strip() != "0",
        lifecycle=_lifecycle(headers),
        max_queue_length=_max_queue_length(query_of(scope)),
        faults=context.later,
        parsed=context.model_input,
        body=context.body or b"",
    )


def _test_of(call: Call, caller: Caller) -> str | None:
    """Return the test in a key id that comes from a token; `Call.test` covers keys only."""
    return None if caller.key_id == call.caller else named_test(caller.key_id)


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body.

    Raises:
        BodyTooLarge: it has more bytes than `limit`. The rest is not read.
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


def _priority(headers: Mapping[str, str]) -> int:
    priorities = {"normal": NORMAL, "low": LOW}
    try:
        return priorities[headers.get("x-fal-queue-priority", "normal").strip().lower()]
    except KeyError:
        raise _bad("X-Fal-Queue-Priority header") from None


def _start_within(headers: Mapping[str, str]) -> float:
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


def _lifecycle(headers: Mapping[str, str]) -> str | None:
    text = headers.get(PREFERENCE.lower())
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
