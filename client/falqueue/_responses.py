"""fal's HTTP responses as values and exceptions.

Status codes, headers and JSON keys decide. Texts are compared in three cases that fal distinguishes
by nothing else; they are the first three constants below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from falqueue import _errors as exceptions
from falqueue._errors import ProtocolError, Refused, RequestFailed
from falqueue._handle import REQUEST_ID, FieldError, Handle
from falqueue._requests import application
from falqueue._statuses import Completed, InProgress, LogEntry, Queued, Status
from falqueue._types import origin

if TYPE_CHECKING:
    import httpx

    from falqueue._requests import Job
    from falqueue._types import Json

T = TypeVar("T")

STILL_IN_PROGRESS: Final = "Request is still in progress"
UNKNOWN_PATH: Final = "Path "
LOCKED: Final = "User is locked"

GATEWAY_ERRORS: Final = frozenset({502, 503, 504})
TRUE: Final = frozenset({"1", "true", "yes"})
FALSE: Final = frozenset({"0", "false", "no"})

FILE_ERRORS: Final = (
    "image_too_small",
    "image_too_large",
    "image_aspect_ratio_error",
    "image_load_error",
    "face_detection_error",
    "file_too_large",
    "invalid_archive",
    "archive_file_count_below_minimum",
    "archive_file_count_exceeds_maximum",
    "audio_duration_too_long",
    "audio_duration_too_short",
    "video_duration_too_long",
    "video_duration_too_short",
    "unsupported_audio_format",
    "unsupported_image_format",
    "unsupported_video_format",
)
# PROTOCOL.md 14.2; any other type is an InputRejected
MODEL_ERRORS: Final[dict[str, type[RequestFailed]]] = {
    "internal_server_error": exceptions.RunnerFailed,
    "generation_timeout": exceptions.RunnerFailed,
    "downstream_service_error": exceptions.RunnerFailed,
    "downstream_service_unavailable": exceptions.RunnerFailed,
    "content_policy_violation": exceptions.ContentPolicyViolation,
    "no_media_generated": exceptions.NoMediaGenerated,
    "file_download_error": exceptions.FileDownloadFailed,
    **dict.fromkeys(FILE_ERRORS, exceptions.FileRejected),
}
CANCELLED: Final = frozenset({"client_cancelled", "client_disconnected"})
# PROTOCOL.md 14.3: the platform errors that another submit would meet again
PLATFORM_FINAL: Final = CANCELLED | {"bad_request"}


def json_object(response: httpx.Response, *, handle: Handle[Any] | None = None) -> Json:
    """Return the JSON object of a 2xx response; raise ProtocolError for anything else."""
    body = parsed_object(response)
    if response.is_success and body is not None:
        return body
    raise ProtocolError(f"HTTP {response.status_code} without a JSON object", handle=handle)


def parse_handle(body: Json, job: Job[T], *, queue: str) -> Handle[T]:
    """Return the handle that a submit response describes.

    The returned URLs are used if they are on the queue host, since an alias may be filed under another
    name. Others would get the key, so the URL is then built from the endpoint id.
    """
    request_id = body.get("request_id")
    if not isinstance(request_id, str) or not REQUEST_ID.fullmatch(request_id):
        raise ProtocolError("the response has no request id")
    built = f"{queue}/{application(job.endpoint)}/requests/{request_id}"
    returned = str(body.get("response_url", "")).rstrip("/").removesuffix("/response")
    siblings = (body.get("status_url"), body.get("cancel_url"))
    usable = (
        origin(returned) == origin(queue)
        and returned.endswith(f"/requests/{request_id}")
        and not {"?", "#"} & set(returned)
        and siblings == (f"{returned}/status", f"{returned}/cancel")
    )
    return Handle(job.endpoint, request_id, returned if usable else built, job.output)


def parse_status(body: Json, handle: Handle[Any]) -> Status:
    """Parse a status body (PROTOCOL.md 4.3); raise ProtocolError if it is malformed."""
    if body.get("request_id", handle.request_id) != handle.request_id:
        raise ProtocolError("the status is of another request", handle=handle)
    try:
        match body.get("status"):
            case "IN_QUEUE":
                return Queued(handle.request_id, int(body["queue_position"]))
            case "IN_PROGRESS":
                return InProgress(handle.request_id, _logs(body))
            case "COMPLETED":
                return Completed(handle.request_id, _logs(body), _inference_time(body))
            case other:
                raise exceptions.UnknownStatus(other, handle=handle)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise ProtocolError(f"the status is malformed: {error!r}", handle=handle) from error


def refusal(response: httpx.Response, *, handle: Handle[Any] | None = None) -> Refused | ProtocolError:
    """Return the exception for a response that concerns this call, not the outcome of a job."""
    code = response.status_code
    if code < 400:
        return ProtocolError(f"unexpected HTTP {code}", handle=handle)
    detail = _detail(response)
    by_code: dict[int, type[Refused]] = {
        400: exceptions.StillInProgress if detail == STILL_IN_PROGRESS else exceptions.InvalidRequest,
        401: exceptions.Unauthorized,
        402: exceptions.AccountLocked,
        403: exceptions.AccountLocked if str(detail).startswith(LOCKED) else Refused,
        404: exceptions.NotFound,
        405: exceptions.InvalidRequest,
        413: exceptions.InvalidRequest,
        422: exceptions.InvalidRequest,
        429: exceptions.RateLimited,
    }
    kind = by_code.get(code, exceptions.Unavailable if code >= 500 else Refused)
    errors = field_errors(detail)
    return kind(
        _message(code, detail, errors),
        status_code=code,
        handle=handle,
        request_id=response.headers.get("x-fal-request-id"),
        errors=errors,
    )


def failure(response: httpx.Response, *, handle: Handle[Any] | None = None) -> RequestFailed | None:
    """Return why the job failed, or None if the response does not say that it did.

    A bare 502, 503 or 504 does not: the gateway may have failed to deliver an output that exists. Asking
    again is free; another submit is not.
    """
    code, detail = response.status_code, _detail(response)
    if code < 400:
        return None  # an output may have any keys
    kind, error_type = _kind(response, detail)
    if kind is None:
        return None
    advice = wants_retry(response)
    errors = field_errors(detail)
    return kind(
        _message(code, detail, errors),
        status_code=code,
        error_type=error_type,
        retryable=_retryable(kind, error_type, advice=advice),
        handle=handle,
        request_id=response.headers.get("x-fal-request-id"),
        errors=errors,
    )


def webhook_failure(payload: Json, *, error: str | None, request_id: str) -> RequestFailed:
    """Return why the job failed, from the payload and `error` of an ERROR delivery."""
    detail = payload.get("detail")
    errors = field_errors(detail)
    kind: type[RequestFailed] = RequestFailed
    error_type: str | None = None
    if platform := payload.get("error_type"):
        error_type = str(platform)
        kind = exceptions.Cancelled if error_type in CANCELLED else exceptions.PlatformFailed
    elif errors:
        kind, error_type = _by_type(errors)
    elif str(detail).startswith(UNKNOWN_PATH):
        kind = exceptions.UnknownPath
    message = "; ".join(map(str, errors)) or detail or error or "the job failed"
    return kind(
        f"{message!s:.500}",
        status_code=None,
        error_type=error_type,
        retryable=_retryable(kind, error_type, advice=None),
        request_id=request_id,
        errors=errors,
    )


def wants_retry(response: httpx.Response) -> bool | None:
    """Return the value of `x-fal-needs-retry`, or of its older name; None if neither is sent."""
    value = response.headers.get("x-fal-needs-retry") or response.headers.get("x-fal-retryable") or ""
    return True if value.lower() in TRUE else False if value.lower() in FALSE else None


def is_from_runner(response: httpx.Response) -> bool:
    """Whether a runner gave this response, so that a job did run (PROTOCOL.md 11.2)."""
    return "x-fal-served-from" in response.headers


def field_errors(detail: object) -> tuple[FieldError, ...]:
    """Return the entries of a `detail` list, in any of fal's formats."""
    if not isinstance(detail, list):
        return ()
    return tuple(
        FieldError(
            loc=tuple(loc if isinstance(loc := entry.get("loc") or (), list | tuple) else [str(loc)]),
            message=str(entry.get("msg", "")),
            type=str(entry.get("type", "")),
            input=entry.get("input"),
            context=entry.get("ctx"),
        )
        for entry in detail
        if isinstance(entry, dict)
    )


def _kind(response: httpx.Response, detail: Any) -> tuple[type[RequestFailed] | None, str | None]:
    code = response.status_code
    platform = (parsed_object(response) or {}).get("error_type") or response.headers.get("x-fal-error-type")
    if code == 504 and response.headers.get("x-fal-request-timeout-type") == "user":
        return exceptions.StartTimedOut, platform or "request_timeout"
    if code == 499:
        return exceptions.Cancelled, platform or "client_cancelled"
    if platform:
        return exceptions.PlatformFailed, str(platform)
    if errors := field_errors(detail):
        return _by_type(errors)
    if not isinstance(detail, str) or detail == STILL_IN_PROGRESS or _is_from_gateway(response, detail):
        return None, None
    untyped = {404: exceptions.UnknownPath, 422: exceptions.InputRejected, 500: exceptions.RunnerFailed}
    return untyped.get(code, RequestFailed), None


def _by_type(errors: tuple[FieldError, ...]) -> tuple[type[RequestFailed], str]:
    types = [error.type for error in errors]
    decisive = next((name for name in types if name in MODEL_ERRORS), types[0])
    return MODEL_ERRORS.get(decisive, exceptions.InputRejected), decisive


def _is_from_gateway(response: httpx.Response, detail: str) -> bool:
    """Whether a response without an error type may come from before the runner."""
    code = response.status_code
    if code in {401, 402, 403, 408, 409, 429}:
        return not is_from_runner(response)
    return code in GATEWAY_ERRORS or (code == 404 and not detail.startswith(UNKNOWN_PATH))


def _retryable(kind: type[RequestFailed], error_type: str | None, *, advice: bool | None) -> bool:
    if issubclass(kind, exceptions.StartTimedOut | exceptions.Cancelled):
        return False
    if advice is not None:
        return advice
    if issubclass(kind, exceptions.PlatformFailed):
        return error_type not in PLATFORM_FINAL
    return issubclass(kind, exceptions.RunnerFailed)


def parsed_object(response: httpx.Response) -> Json | None:
    """Return the JSON object of a response with any status code, or None."""
    try:
        body = response.json()
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _detail(response: httpx.Response) -> Any:
    body = parsed_object(response) or {}
    return body.get("detail") or body.get("status")


def _message(code: int, detail: object, errors: tuple[FieldError, ...]) -> str:
    """Return fal's text, shortened, without the input that fal echoes."""
    text = "; ".join(map(str, errors)) if errors else detail if isinstance(detail, str) else ""
    return f"HTTP {code}: {text:.500}" if text else f"HTTP {code}"


def _logs(body: Json) -> tuple[LogEntry, ...]:
    return tuple(_log_entry(entry) for entry in body.get("logs") or ())


def _log_entry(entry: Json) -> LogEntry:
    level = entry.get("level") or (entry.get("labels") or {}).get("level") or ""
    return LogEntry(str(entry["message"]), str(entry.get("timestamp", "")), str(level))


def _inference_time(body: Json) -> float | None:
    seconds = (body.get("metrics") or {}).get("inference_time")
    return None if seconds is None else float(seconds)
