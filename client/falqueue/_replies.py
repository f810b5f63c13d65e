"""What an HTTP answer of fal's means: an exception of the right family, or a JSON object.

Everything is read from statuses, headers and JSON keys. No number and no word is searched for in a text,
but for the three sentences by which alone fal tells things apart; they are named below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from falqueue._errors import (
    AccountLocked,
    Cancelled,
    ContentPolicyViolation,
    FieldError,
    FileDownloadFailed,
    FileRejected,
    InputRejected,
    InvalidRequest,
    NoMediaGenerated,
    NotFound,
    PlatformFailed,
    ProtocolError,
    RateLimited,
    Refused,
    RequestFailed,
    RunnerFailed,
    StartTimedOut,
    StillInProgress,
    Unauthorized,
    Unavailable,
    UnknownPath,
)

if TYPE_CHECKING:
    import httpx

    from falqueue._handle import Handle
    from falqueue._requests import Json

STILL_IN_PROGRESS: Final = "Request is still in progress"
UNKNOWN_PATH: Final = "Path "
LOCKED: Final = "User is locked"

GATEWAY_TROUBLE: Final = frozenset({502, 503, 504})
WORTH_ANOTHER_TRY: Final = frozenset({408, 409, 429, 500}) | GATEWAY_TROUBLE
YES: Final = frozenset({"1", "true", "yes"})
NO: Final = frozenset({"0", "false", "no"})

# PROTOCOL.md 14.2; what is not listed here is an InputRejected
MODEL_ERRORS: Final[dict[str, type[RequestFailed]]] = {
    "internal_server_error": RunnerFailed,
    "generation_timeout": RunnerFailed,
    "downstream_service_error": RunnerFailed,
    "downstream_service_unavailable": RunnerFailed,
    "content_policy_violation": ContentPolicyViolation,
    "no_media_generated": NoMediaGenerated,
    "file_download_error": FileDownloadFailed,
    "image_too_small": FileRejected,
    "image_too_large": FileRejected,
    "image_aspect_ratio_error": FileRejected,
    "image_load_error": FileRejected,
    "face_detection_error": FileRejected,
    "file_too_large": FileRejected,
    "invalid_archive": FileRejected,
    "archive_file_count_below_minimum": FileRejected,
    "archive_file_count_exceeds_maximum": FileRejected,
    "audio_duration_too_long": FileRejected,
    "audio_duration_too_short": FileRejected,
    "video_duration_too_long": FileRejected,
    "video_duration_too_short": FileRejected,
    "unsupported_audio_format": FileRejected,
    "unsupported_image_format": FileRejected,
    "unsupported_video_format": FileRejected,
}
# PROTOCOL.md 14.3: of the platform's error types, those where another submit would meet the same end
PLATFORM_FINAL: Final = frozenset({"bad_request", "client_cancelled", "client_disconnected"})


def json_object(reply: httpx.Response, *, handle: Handle[Any] | None = None) -> Json:
    """Return the JSON object in a 2xx answer.

    Raises:
        ProtocolError: it is something else.
    """
    body = _object(reply)
    if reply.is_success and body is not None:
        return body
    raise ProtocolError(f"HTTP {reply.status_code} without a JSON object in it", handle=handle)


def refusal(reply: httpx.Response, *, handle: Handle[Any] | None = None) -> Refused | ProtocolError:
    """Return the exception for an answer that is about the call, not about the outcome of a job."""
    code = reply.status_code
    if code < 400:
        return ProtocolError(f"HTTP {code} where fal does not answer so", handle=handle)
    detail = _detail(reply)
    by_code: dict[int, type[Refused]] = {
        400: StillInProgress if detail == STILL_IN_PROGRESS else InvalidRequest,
        401: Unauthorized,
        402: AccountLocked,
        403: AccountLocked if str(detail).startswith(LOCKED) else Refused,
        404: NotFound,
        405: InvalidRequest,
        413: InvalidRequest,
        422: InvalidRequest,
        429: RateLimited,
    }
    kind = by_code.get(code, Unavailable if code >= 500 else Refused)
    errors = field_errors(detail)
    return kind(
        _words(code, detail, errors), status_code=code, handle=handle, request_id=_id(reply), errors=errors
    )


def verdict(reply: httpx.Response, *, handle: Handle[Any] | None = None) -> RequestFailed | None:
    """Return why the job failed, None if `reply` says nothing about that.

    A bare 502, 503 or 504 says nothing: the output may be there although the gateway did not hand it out,
    so asking again costs nothing and a new submit would be paid for twice.
    """
    code, detail = reply.status_code, _detail(reply)
    if code < 400:
        return None  # an output may have any keys
    kind, error_type = _kind(reply, detail)
    if kind is None:
        return None
    errors = field_errors(detail)
    return kind(
        _words(code, detail, errors),
        status_code=code,
        error_type=error_type,
        retryable=_retryable(reply, kind, error_type),
        handle=handle,
        request_id=_id(reply),
        errors=errors,
    )


def _kind(reply: httpx.Response, detail: Any) -> tuple[type[RequestFailed] | None, str | None]:
    code = reply.status_code
    platform = (_object(reply) or {}).get("error_type") or reply.headers.get("x-fal-error-type")
    if code == 504 and reply.headers.get("x-fal-request-timeout-type") == "user":
        return StartTimedOut, platform or "request_timeout"
    if code == 499:
        return Cancelled, platform or "client_cancelled"
    if platform:
        return PlatformFailed, str(platform)
    if errors := field_errors(detail):
        return _by_type(errors)
    if not isinstance(detail, str) or detail == STILL_IN_PROGRESS or _is_gateways(code, detail):
        return None, None
    own = {404: UnknownPath, 422: InputRejected, 500: RunnerFailed}
    return own.get(code, RequestFailed), None


def _by_type(errors: tuple[FieldError, ...]) -> tuple[type[RequestFailed], str]:
    types = [error.type for error in errors]
    decisive = next((name for name in types if name in MODEL_ERRORS), types[0])
    return MODEL_ERRORS.get(decisive, InputRejected), decisive


def outcome_kind(body: Json) -> tuple[type[RequestFailed], str | None, tuple[FieldError, ...]]:
    """Return the class, fal's type and the field errors of an error body that came without an HTTP status."""
    errors = field_errors(body.get("detail"))
    if error_type := body.get("error_type"):
        kind = Cancelled if error_type == "client_cancelled" else PlatformFailed
        return kind, str(error_type), errors
    return (*_by_type(errors), errors) if errors else (RequestFailed, None, ())


def _is_gateways(code: int, detail: str) -> bool:
    """Whether an untyped answer may come from before the runner: keys, locks, limits, trouble."""
    return code in {401, 402, 403, 429} | GATEWAY_TROUBLE or (
        code == 404 and not detail.startswith(UNKNOWN_PATH)
    )


def _retryable(reply: httpx.Response, kind: type[RequestFailed], error_type: str | None) -> bool:
    if kind is StartTimedOut or issubclass(kind, Cancelled):
        return False
    said = wants_retry(reply)
    if said is not None:
        return said
    if issubclass(kind, PlatformFailed):
        return error_type not in PLATFORM_FINAL
    return issubclass(kind, RunnerFailed)


def wants_retry(reply: httpx.Response) -> bool | None:
    """Return what `x-fal-needs-retry`, or its older name, says; None if neither is there."""
    said = reply.headers.get("x-fal-needs-retry") or reply.headers.get("x-fal-retryable") or ""
    return True if said.lower() in YES else False if said.lower() in NO else None


def worth_asking_again(reply: httpx.Response) -> bool:
    """Whether the same read, sent again, may be answered better (PROTOCOL.md 10, 11.2)."""
    if reply.status_code < 400 or "x-fal-request-timeout-type" in reply.headers:
        return False
    said = wants_retry(reply)
    return reply.status_code in WORTH_ANOTHER_TRY if said is None else said


def field_errors(detail: object) -> tuple[FieldError, ...]:
    """Return the entries of a `detail` list, whichever of fal's generations wrote them."""
    if not isinstance(detail, list):
        return ()
    return tuple(
        FieldError(
            loc=tuple(entry.get("loc") or ()),
            message=str(entry.get("msg", "")),
            type=str(entry.get("type", "")),
            input=entry.get("input"),
            context=entry.get("ctx"),
        )
        for entry in detail
        if isinstance(entry, dict)
    )


def _object(reply: httpx.Response) -> Json | None:
    try:
        body = reply.json()
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _detail(reply: httpx.Response) -> Any:
    body = _object(reply) or {}
    return body.get("detail") or body.get("status")


def _words(code: int, detail: object, errors: tuple[FieldError, ...]) -> str:
    """Return fal's own words, short, and never the input that it echoes."""
    said = "; ".join(map(str, errors)) if errors else detail if isinstance(detail, str) else ""
    return f"HTTP {code}: {said:.500}" if said else f"HTTP {code}"


def _id(reply: httpx.Response) -> str | None:
    found: str | None = reply.headers.get("x-fal-request-id")
    return found
