"""Every refusal that fal's API knows, each with its status and its body on the wire.

    Refusal                       the gateway says no, at once
    ├── ApplicationNotFound       404  before anything else is looked at
    ├── AccessDenied              401  no credentials, or none that fal could read
    ├── UnknownKey                401  well-formed credentials of nobody
    ├── AuthorizationRequired     401  the rest host's wording for no credentials
    ├── MalformedKey              401  the rest host's wording for unreadable ones
    ├── InvalidToken              401  an upload without a token of this emulator's
    ├── UserLocked                403
    ├── RequestNotFound           404  {"status": "NOT_FOUND"}, on purpose without "detail"
    ├── StillInProgress           400  the result was asked for too early
    ├── AlreadyCompleted          400  the cancel came too late
    ├── NotFound                  404  no such path on this host
    ├── FileNotServed             403, 404  what the access list of a file decides
    ├── MethodNotAllowed          405
    ├── BodyTooLarge              413
    ├── InvalidBody               422  a list of pydantic's errors
    ├── UnparseableBody           400
    ├── QueueTooLong              429
    ├── RateLimited               429  only when a fault says so
    ├── ConcurrencyLimit          429  only on the run host; the queue lets the surplus wait
    ├── GatewayTimeout            504  only when a fault says so
    ├── StorageUnavailable        503  the emulator cannot write
    │   └── StorageFull           507  the disk is full
    ├── PlatformError             400..504, typed by fal's `error_type`
    └── PlatformApiError          400, 401, 404, in the platform API's own envelope
    ModelError                    what a runner answers; it ends as the *result* of a request

Statuses and texts are those of PROTOCOL.md 2.2, 4, 13 and 14. What nobody has seen on the wire is
marked "assumed" here and in the fidelity table.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar, Final

Json = dict[str, Any]

ERROR_DOCS: Final = "https://docs.fal.ai/errors#"


def compact(body: object) -> bytes:
    """Return JSON as most of fal's hosts write it: UTF-8, no spaces."""
    return _json(body, separators=(",", ":"))


def spaced(body: object) -> bytes:
    """Return JSON with a space after each colon and comma, as fal's key checks write it."""
    return _json(body, separators=(", ", ": "))


def _json(body: object, separators: tuple[str, str]) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=separators).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which UTF-8 cannot say but JSON's escapes can
        return json.dumps(body, allow_nan=False, separators=separators).encode()


class Refusal(Exception):
    """The gateway says no. Subclasses give `status` and the body."""

    status: int

    def __init__(self, body: Json, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(str(body.get("detail") or body.get("status")))
        self.body = body
        self.headers = headers or {}

    def content(self) -> bytes:
        """The body on the wire."""
        return compact(self.body)


class ApplicationNotFound(Refusal):
    """No such application. Where the owner exists fal names the alias alone."""

    status = 404

    def __init__(self, name: str) -> None:
        super().__init__({"detail": f'Application "{name}" not found'})


class AccessDenied(Refusal):
    """No credentials, or a scheme or key text that fal cannot read."""

    status = 401

    def __init__(self, application: str) -> None:
        why = "Authentication is required to access this application."
        super().__init__({"detail": f'Cannot access application "{application}". {why}'})


class UnknownKey(Refusal):
    """A well-formed pair that belongs to nobody."""

    status = 401

    def __init__(self) -> None:
        super().__init__({"detail": "No user found for Key ID and Secret"})

    def content(self) -> bytes:
        """Captured with spaces, unlike most of fal's bodies."""
        return spaced(self.body)


class AuthorizationRequired(Refusal):
    """The rest host got no Authorization header."""

    status = 401

    def __init__(self) -> None:
        super().__init__({"detail": "Authorization header is required"})


class MalformedKey(Refusal):
    """The rest host got a key without a colon."""

    status = 401

    def __init__(self) -> None:
        detail = "Invalid Key Authorization header format. Expected '<key_id>:<key_secret>'."
        super().__init__({"detail": detail})

    def content(self) -> bytes:
        """Captured with spaces, unlike most of fal's bodies."""
        return spaced(self.body)


class InvalidToken(Refusal):
    """An upload came without a token that this emulator gave out. Assumed."""

    status = 401

    def __init__(self) -> None:
        super().__init__({"detail": "Invalid or expired token"})


class UserLocked(Refusal):
    """The account is locked, most often for want of balance."""

    status = 403

    def __init__(
        self, reason: str = "Exhausted balance. Top up your balance at fal.ai/dashboard/billing."
    ) -> None:
        super().__init__({"detail": f"User is locked. Reason: {reason}"})


class RequestNotFound(Refusal):
    """Unknown request id, or one of another caller or application."""

    status = 404

    def __init__(self) -> None:
        super().__init__({"status": "NOT_FOUND"})


class StillInProgress(Refusal):
    """The result was asked for before the request was completed."""

    status = 400

    def __init__(self, links: Json) -> None:
        super().__init__({"detail": "Request is still in progress", **links})


class AlreadyCompleted(Refusal):
    """The cancel came after the end."""

    status = 400

    def __init__(self) -> None:
        super().__init__({"status": "ALREADY_COMPLETED"})


class NotFound(Refusal):
    """No such path on this host (the hosts' root paths answer so; the text is assumed)."""

    status = 404

    def __init__(self) -> None:
        super().__init__({"detail": "Not Found"})


class FileNotServed(Refusal):
    """The access list of a file says forbid (403) or hide (404); the texts are assumed."""

    def __init__(self, decision: str) -> None:
        self.status = 403 if decision == "forbid" else 404
        super().__init__({"detail": "Forbidden" if decision == "forbid" else "Not Found"})


class MethodNotAllowed(Refusal):
    """FastAPI's default body."""

    status = 405

    def __init__(self, *allowed: str) -> None:
        super().__init__({"detail": "Method Not Allowed"}, headers={"allow": ", ".join(allowed)})


class BodyTooLarge(Refusal):
    """Limit and text are assumed: neither has been published."""

    status = 413

    def __init__(self, limit: int) -> None:
        super().__init__({"detail": f"Request body exceeds the maximum allowed size of {limit} bytes"})


class InvalidBody(Refusal):
    """A host of FastAPI's kind refuses a body: pydantic's list of errors."""

    status = 422

    def __init__(self, errors: list[Json]) -> None:
        super().__init__({"detail": errors})


class UnparseableBody(Refusal):
    """FastAPI's words for a body that its JSON reader gave up on."""

    status = 400

    def __init__(self) -> None:
        super().__init__({"detail": "There was an error parsing the body"})


class QueueTooLong(Refusal):
    """`fal_max_queue_length` was exceeded; the text is assumed."""

    status = 429

    def __init__(self, length: int, limit: int) -> None:
        super().__init__({"detail": f"Queue length {length} exceeds the maximum of {limit}"})


class ConcurrencyLimit(Refusal):
    """Too many direct runs of one account. The queue never answers so; there the surplus waits."""

    status = 429

    def __init__(self, limit: int) -> None:
        super().__init__(
            {
                "detail": f"Reached concurrent requests limit of {limit}",
                "type": "concurrent_requests_limit",
                "data": {"limit": limit},
            },
            headers={"x-fal-needs-retry": "1"},
        )


class RateLimited(Refusal):
    """Too many calls; the text is assumed, for none has been published."""

    status = 429

    def __init__(self) -> None:
        super().__init__({"detail": "Rate limit exceeded"})


class GatewayTimeout(Refusal):
    """The gateway lost patience with its own store; users saw it on results. The text is assumed."""

    status = 504

    def __init__(self) -> None:
        super().__init__({"detail": "Gateway Timeout"})


class PlatformError(Refusal):
    """A request-level error: `detail`, `error_type`, and the header that repeats the type.

    Args:
        error_type: one of `STATUS`.
        detail: the text; without it the type's own. All but "Request timed out" and "Runner
            disconnected" are assumed.
    """

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
        "client_cancelled": "Request cancelled by the client.",
        "client_disconnected": "Client disconnected",
        "internal_error": "Internal Server Error",
    }

    def __init__(
        self, error_type: str, detail: str | None = None, *, headers: dict[str, str] | None = None
    ) -> None:
        self.status = self.STATUS[error_type]
        self.error_type = error_type
        self.detail = detail or self.DETAIL.get(error_type) or error_type.replace("_", " ").capitalize()
        super().__init__(
            {"detail": self.detail, "error_type": error_type},
            headers={"x-fal-error-type": error_type, **(headers or {})},
        )


class StorageUnavailable(Refusal):
    """The emulator cannot write at the moment; nothing has changed. fal has no such error.

    Args:
        reason: a short text about the missing resource.
    """

    status = 503
    error_type: ClassVar[str] = "storage_unavailable"

    def __init__(self, reason: str, detail: str | None = None) -> None:
        super().__init__(
            {
                "detail": detail or f"The emulator cannot write ({reason}): send this again later",
                "error_type": self.error_type,
            },
            headers={"x-fal-error-type": self.error_type},
        )
        self.reason = reason


class StorageFull(StorageUnavailable):
    """The emulator's disk is full."""

    status = 507
    error_type: ClassVar[str] = "storage_full"

    def __init__(self, reason: str = "the disk is full") -> None:
        super().__init__(reason, "The emulator's disk is full: make room and send this again")


class PlatformApiError(Refusal):
    """The platform API's own envelope (PROTOCOL.md 15).

    Args:
        kind: one of `ANSWER`.
    """

    ANSWER: ClassVar[dict[str, tuple[int, str]]] = {
        "authorization_error": (401, "Authentication required"),
        "not_found": (404, "Resource not found"),
        "validation_error": (400, "Invalid request parameters"),
    }

    def __init__(self, kind: str) -> None:
        self.status, message = self.ANSWER[kind]
        super().__init__({"error": {"type": kind, "message": message}})


class ModelError(Exception):
    """What a model answers when it ran and could not: `{"detail": [{...}]}`.

    Args:
        error_type: fal's name for it, one of `TEXT`.
        loc: where in the input, as `("body", "image_url")`.
        value: the offending input, echoed; left out when None.
        ctx: facts for machines, as `{"max_size": 8388608}`, which the text tells too; left out when empty.
        msg: a text of its own in place of the type's.
    """

    # Live or toolkit wording where one is known (PROTOCOL.md 14.2), else that of fal's page of errors.
    TEXT: ClassVar[dict[str, str]] = {
        "internal_server_error": "Internal server error",
        "generation_timeout": "Generation timeout",
        "downstream_service_error": "Downstream service error",
        "downstream_service_unavailable": "Downstream service unavailable",
        "content_policy_violation": (
            "The content could not be processed because it contained material flagged by a content checker."
        ),
        "no_media_generated": "The model did not generate the expected output for this prompt.",
        "image_too_small": (
            "Image dimensions are too small. Minimum dimensions required: {min_width}x{min_height} pixels."
        ),
        "image_too_large": "Image too large",
        "image_aspect_ratio_error": (
            "The aspect ratio of the image should be between {min_aspect_ratio} and {max_aspect_ratio}."
        ),
        "image_load_error": (
            "Failed to load the image. "
            "Please ensure the image file is not corrupted and is in a supported format."
        ),
        "file_download_error": (
            "Failed to download the file. Please check if the URL is accessible and try again."
        ),
        "face_detection_error": "Could not detect face in the image",
        "file_too_large": (
            "File size exceeds the maximum allowed size of {max_size} bytes. Please upload a smaller file."
        ),
        "greater_than": "Input should be greater than {gt}",
        "greater_than_equal": "Input should be greater than or equal to {ge}",
        "less_than": "Input should be less than {lt}",
        "less_than_equal": "Input should be less than or equal to {le}",
        "multiple_of": "Input should be a multiple of {multiple_of}",
        "sequence_too_short": "Sequence should have at least {min_length} items",
        "sequence_too_long": "Sequence should have at most {max_length} items",
        "one_of": "Input should be {expected}",
        "feature_not_supported": "Feature not supported",
        "invalid_archive": (
            "Could not read or process the provided archive. Ensure it's a valid, non-corrupted archive."
        ),
        "archive_file_count_below_minimum": (
            "Too few files in the archive. Expected at least {min_count} files with extensions "
            "{supported_extensions}, found {provided_count}. Add more matching files to the archive."
        ),
        "archive_file_count_exceeds_maximum": (
            "Too many files in the archive. Maximum is {max_count} files with extensions "
            "{supported_extensions}, found {provided_count}. Remove some matching files from the archive."
        ),
        "audio_duration_too_long": (
            "Audio duration exceeds the maximum allowed. "
            "Maximum is {max_duration} seconds, provided is {provided_duration} seconds."
        ),
        "audio_duration_too_short": (
            "Audio duration is too short. "
            "Minimum is {min_duration} seconds, provided is {provided_duration} seconds."
        ),
        "video_duration_too_long": (
            "Video duration exceeds the maximum allowed. "
            "Maximum is {max_duration} seconds, provided is {provided_duration} seconds."
        ),
        "video_duration_too_short": (
            "Video duration is too short. "
            "Minimum is {min_duration} seconds, provided is {provided_duration} seconds."
        ),
        "unsupported_audio_format": "Unsupported audio format. Supported formats are {supported_formats}.",
        "unsupported_image_format": "Unsupported image format. Supported formats are {supported_formats}.",
        "unsupported_video_format": "Unsupported video format. Supported formats are {supported_formats}.",
        "invalid_request": "Invalid request",
    }
    STATUS: ClassVar[dict[str, int]] = {
        "internal_server_error": 500,
        "generation_timeout": 504,
        "downstream_service_error": 400,
        "downstream_service_unavailable": 500,
    }

    def __init__(
        self,
        error_type: str,
        loc: tuple[str, ...],
        value: object = None,
        ctx: Json | None = None,
        msg: str | None = None,
    ) -> None:
        self.status = self.STATUS.get(error_type, 422)
        self.error_type = error_type
        spoken = {name: _spoken(name, fact) for name, fact in (ctx or {}).items()}
        entry: Json = {
            "loc": list(loc),
            "msg": msg or self.TEXT[error_type].format(**spoken),
            "type": error_type,
            "url": ERROR_DOCS + error_type,
        }
        if ctx:
            entry["ctx"] = ctx
        if value is not None:
            entry["input"] = value
        self.body: Json = {"detail": [entry]}
        super().__init__(entry["msg"])


def _spoken(name: str, fact: object) -> str:
    """Return a fact as error texts say it: `'a' or 'b'` for a choice, `.jpg, .png` for other lists."""
    if not isinstance(fact, list):
        return str(fact)
    if name == "expected":
        *others, last = map(repr, fact)
        return f"{', '.join(others)} or {last}" if others else last
    return ", ".join(map(str, fact))
