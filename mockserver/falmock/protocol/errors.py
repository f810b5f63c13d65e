"""Refusals of fal's API: a status and a JSON body for each reason.

Sources: PROTOCOL.md 2.2, 4, 13 and 15. Texts marked "assumed" have never been seen on the wire. Errors of
models are in `model_errors`.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar, Final

Json = dict[str, Any]

OUT_OF_BALANCE: Final = "Exhausted balance. Top up your balance at fal.ai/dashboard/billing."


def compact(body: object) -> bytes:
    """Return JSON in UTF-8 without spaces, as most fal hosts write it."""
    return _json(body, _COMPACT)


def spaced(body: object) -> bytes:
    """Return JSON with a space after each colon and comma, as fal's key checks write it."""
    return _json(body, _SPACED)


_COMPACT: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_SPACED: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(", ", ": "))


def _json(body: object, encoder: json.JSONEncoder) -> bytes:
    text = encoder.encode(body)
    try:
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate: UTF-8 cannot encode it, but JSON can escape it
        separators = (encoder.item_separator, encoder.key_separator)
        return json.dumps(body, allow_nan=False, separators=separators).encode()


class Refusal(Exception):
    """A call is refused.

    Each subclass is one row of a table: a `status`, and a `text` for `{"detail": text}` or another body.

    Args:
        facts: fill the placeholders of the text.
        body: replaces `{"detail": text}`.
    """

    status: int
    text: ClassVar[str]
    error_type: str | None = None  # in the body and in a header
    has_spaces: ClassVar[bool] = False  # in the JSON

    def __init__(
        self, *facts: object, body: Json | None = None, headers: dict[str, str] | None = None
    ) -> None:
        self.body: Json = {"detail": self.text.format(*facts)} if body is None else body
        self.headers = headers or {}
        if self.error_type is not None:
            self.body["error_type"] = self.error_type
            self.headers = {"x-fal-error-type": self.error_type, **self.headers}
        super().__init__(str(self.body.get("detail") or self.body.get("status")))

    def content(self) -> bytes:
        """Return the body on the wire."""
        return spaced(self.body) if self.has_spaces else compact(self.body)


class ApplicationNotFound(Refusal):
    """No such application, or alias of a known owner; checked before anything else."""

    status, text = 404, 'Application "{}" not found'


class AccessDenied(Refusal):
    """No credentials, or credentials that cannot be parsed."""

    status = 401
    text = 'Cannot access application "{}". Authentication is required to access this application.'


class UnknownKey(Refusal):
    """Well-formed credentials of no account."""

    status, text, has_spaces = 401, "No user found for Key ID and Secret", True


class AuthorizationRequired(Refusal):
    """No Authorization header, on the rest host."""

    status, text = 401, "Authorization header is required"


class MalformedKey(Refusal):
    """A key without a colon, on the rest host."""

    status, has_spaces = 401, True
    text = "Invalid Key Authorization header format. Expected '<key_id>:<key_secret>'."


class InvalidToken(Refusal):
    """An upload without a valid token of this emulator. Assumed."""

    status, text = 401, "Invalid or expired token"


class UserLocked(Refusal):
    """The account is locked."""

    status, text = 403, "User is locked. Reason: {}"

    def __init__(self, reason: str = OUT_OF_BALANCE) -> None:
        super().__init__(reason)


class RequestNotFound(Refusal):
    """An unknown request id, or one of another caller or application. fal's body has no `detail`."""

    status = 404

    def __init__(self) -> None:
        super().__init__(body={"status": "NOT_FOUND"})


class StillInProgress(Refusal):
    """The result of a request that is not completed."""

    status = 400

    def __init__(self, links: Json) -> None:
        super().__init__(body={"detail": "Request is still in progress", **links})


class AlreadyCompleted(Refusal):
    """A request that is completed cannot be cancelled."""

    status = 400

    def __init__(self) -> None:
        super().__init__(body={"status": "ALREADY_COMPLETED"})


class NotFound(Refusal):
    """No such path on this host. The text is that of the hosts' root paths; elsewhere it is assumed."""

    status, text = 404, "Not Found"


class FileNotServed(Refusal):
    """The access list of a file forbids (403) or hides (404) it. Texts assumed."""

    text = "{}"

    def __init__(self, decision: str) -> None:
        self.status, detail = (403, "Forbidden") if decision == "forbid" else (404, "Not Found")
        super().__init__(detail)


class Unrouted(Refusal):
    """The router of the queue host does not know the path. There is no body (PROTOCOL.md 3)."""

    status, text = 404, "Not Found"

    def content(self) -> bytes:
        """Return the body on the wire: none."""
        return b""


class MethodNotAllowed(Unrouted):
    """The router of the queue host does not know the method for this path."""

    status, text = 405, "Method Not Allowed"

    def __init__(self, *allowed: str) -> None:
        super().__init__(headers={"allow": ", ".join(allowed)})


class BodyTooLarge(Refusal):
    """The body is over the limit. Limit and text assumed."""

    status, text = 413, "Request body exceeds the maximum allowed size of {} bytes"


class InvalidBody(Refusal):
    """A body that does not match its schema, with pydantic's list of errors as FastAPI has it."""

    status = 422

    def __init__(self, errors: list[Json]) -> None:
        super().__init__(body={"detail": errors})


class UnparseableBody(Refusal):
    """FastAPI's answer when its JSON parser fails."""

    status, text = 400, "There was an error parsing the body"


class QueueTooLong(Refusal):
    """More requests wait than `fal_max_queue_length` allows. Text assumed."""

    status, text = 429, "Queue length {} exceeds the maximum of {}"


class ConcurrencyLimit(Refusal):
    """Too many direct runs of one account. On the queue, surplus requests wait instead."""

    status = 429

    def __init__(self, limit: int) -> None:
        body = {
            "detail": f"Reached concurrent requests limit of {limit}",
            "type": "concurrent_requests_limit",
            "data": {"limit": limit},
        }
        super().__init__(body=body, headers={"x-fal-needs-retry": "1"})


class RateLimited(Refusal):
    """Too many calls. Text assumed."""

    status, text = 429, "Rate limit exceeded"


class InvalidStorageType(Refusal):
    """The REST host does not know the `storage_type` of an upload. One user has reported it for `gcs`."""

    status, text = 400, "Invalid storage type"


class GatewayTimeout(Refusal):
    """The gateway's own time-out, which users saw on results. Text assumed."""

    status, text = 504, "Gateway Timeout"


class PlatformError(Refusal):
    """An error of the platform.

    Args:
        error_type: a key of `STATUS`.
        detail: replaces the usual text. All usual texts are assumed, except "Request timed out", "Runner
            disconnected" and "Request was cancelled".
    """

    text = "{}"
    STATUS: ClassVar[dict[str, int]] = {
        "request_timeout": 504,
        "startup_timeout": 504,
        "runner_scheduling_failure": 503,
        "runner_connection_timeout": 503,
        "runner_disconnected": 503,
        "runner_connection_refused": 503,
        "runner_connection_error": 503,
        "runner_incomplete_response": 502,
        "runner_server_error": 500,
        "client_disconnected": 499,
        "client_cancelled": 499,
        "bad_request": 400,
        "internal_error": 500,
    }
    DETAIL: ClassVar[dict[str, str]] = {
        "request_timeout": "Request timed out",
        "client_cancelled": "Request was cancelled",
        "client_disconnected": "Client disconnected",
        "internal_error": "Internal Server Error",
    }

    def __init__(
        self, error_type: str, detail: str | None = None, *, headers: dict[str, str] | None = None
    ) -> None:
        self.status = self.STATUS[error_type]
        self.error_type = error_type
        self.detail = detail or self.DETAIL.get(error_type) or error_type.replace("_", " ").capitalize()
        super().__init__(self.detail, headers=headers)


class StorageUnavailable(Refusal):
    """The emulator cannot write at the moment, and nothing has changed. fal has no such error."""

    status, error_type = 503, "storage_unavailable"
    text = "The emulator cannot write ({}): send this again later"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StorageFull(StorageUnavailable):
    """The emulator's disk is full."""

    status, error_type = 507, "storage_full"
    text = "The emulator's disk is full: make room and send this again"


class TimeEnded(Refusal):
    """Emulated time is about to end, so a request would not. fal has no such error."""

    status, error_type = 503, "time_ended"
    text = (
        "Emulated time ends with the year 2999, and this is its last day: "
        "start the emulator again, with another --state, or --ephemeral"
    )


class PlatformApiError(Refusal):
    """An error of the platform API, in its own envelope (PROTOCOL.md 15); `kind` is a key of `KINDS`."""

    KINDS: ClassVar[dict[str, tuple[int, str]]] = {
        "authorization_error": (401, "Authentication required"),
        "not_found": (404, "Resource not found"),
        "validation_error": (400, "Invalid request parameters"),
    }

    def __init__(self, kind: str, message: str | None = None) -> None:
        self.status, usual = self.KINDS[kind]
        super().__init__(body={"error": {"type": kind, "message": message or usual}})


class PlatformRateLimited(Refusal):
    """Too many calls of the platform API. Its body has another form than the API's other errors."""

    status = 429

    def __init__(self) -> None:
        body = {"error": "Too Many Requests", "message": "Rate limit exceeded"}
        super().__init__(body=body, headers={"retry-after": "10"})
