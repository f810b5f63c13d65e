"""Reads submissions to the queue and run host (PROTOCOL.md 4.1 and 11.1)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from falmock.engine.delivery import is_deliverable
from falmock.engine.files import Lifecycle, LifecycleError
from falmock.engine.queue import LOW, NORMAL
from falmock.engine.submission import Submission
from falmock.http.access import caller_of_application, existing
from falmock.http.context import query_of, read_body
from falmock.protocol.calls import named_test
from falmock.protocol.errors import PlatformError, UserLocked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.datastructures import QueryParams
    from starlette.requests import Request
    from starlette.types import Scope

    from falmock.engine.emulator import Emulator
    from falmock.engine.keys import Keyring
    from falmock.http.context import CallContext

SHORTEST_START: Final = 0.1  # seconds; fal's documentation requires more than this
LONGEST_START: Final = 365 * 86_400.0  # seconds; assumed
PREFERENCE: Final = "X-Fal-Object-Lifecycle-Preference"
WEBHOOK: Final = "fal_webhook"  # in the query
PRIORITIES: Final = {"normal": NORMAL, "low": LOW}


async def read(context: CallContext, request: Request, emulator: Emulator, keyring: Keyring) -> Submission:
    """Return a submission with its body, if its webhook may be delivered; see `parse`."""
    submitted = parse(context, request.scope, emulator, keyring)
    url = submitted.webhook
    if url is not None and (why := await emulator.dialler.objection(url)) is not None:
        raise _bad(f"{WEBHOOK} parameter: {why}")
    if context.body is None:
        return replace(submitted, body=await read_body(request, emulator.settings.max_body))
    return submitted


def parse(context: CallContext, scope: Scope, emulator: Emulator, keyring: Keyring) -> Submission:
    """Return a submission by the head of its call. Its body is that of the context, or empty.

    Raises:
        ApplicationNotFound, AccessDenied, UnknownKey: see `existing` and `caller_of_application`.
        UserLocked: the caller's account is locked.
        PlatformError: `bad_request`, for an invalid header or query parameter.
    """
    call, headers, query = context.call, context.headers, query_of(scope)
    endpoint = existing(emulator, call.parsed, call.endpoint or "")
    caller = caller_of_application(context, scope, keyring, endpoint.application)
    if caller.locked:
        raise UserLocked
    # `Call.test` is of keys, not of a key id that comes from a token
    of_token = None if caller.key_id == call.caller else named_test(caller.key_id)
    return Submission(
        endpoint=endpoint,
        caller=caller.key_id,
        test=call.test or of_token,
        origin=str(context.base_url),
        method=scope["method"],
        content_type=headers.get("content-type"),
        webhook=webhook_of(query),
        priority=_priority(headers),
        start_within=_start_within(headers),
        retry=headers.get("x-fal-no-retry", "").strip().lower() not in {"1", "true", "yes"},
        store_io=headers.get("x-fal-store-io", "").strip() != "0",
        lifecycle=_lifecycle(headers),
        max_queue_length=_max_queue_length(query),
        faults=context.later,
        parsed=context.model_input,
        body=context.body or b"",
    )


def webhook_of(query: QueryParams) -> str | None:
    """Return the URL for the webhook of a submission, or None. It must be a URL to deliver to."""
    url = query.get(WEBHOOK)
    if url is not None and not is_deliverable(url):
        raise _bad(f"{WEBHOOK} parameter")
    return url


def _bad(name: str) -> PlatformError:
    return PlatformError("bad_request", f"Invalid {name}")


def _priority(headers: Mapping[str, str]) -> int:
    try:
        return PRIORITIES[headers.get("x-fal-queue-priority", "normal").strip().lower()]
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
