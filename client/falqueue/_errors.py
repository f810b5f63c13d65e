"""The exceptions, a class for each case that you may want to handle differently.

docs/falqueue.md shows them as a tree. If there is a job, the exception has its `handle`: with it, the output
can still be fetched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from falqueue._handle import FalqueueError, UsageError

if TYPE_CHECKING:
    from falqueue._handle import Handle
    from falqueue._statuses import Cancellation


class MissingCredentials(UsageError):
    """No key was given, or the text cannot be a key."""


class InvalidInput(UsageError):
    """The model's documentation rules the input out; `errors` lists each reason."""


class Unreachable(FalqueueError):
    """fal could not be reached, or did not answer."""


class NotSent(Unreachable):
    """No connection was made, so fal did not receive the request."""


class AnswerLost(Unreachable):
    """The connection failed after fal may have received the request."""


class SubmitUnconfirmed(FalqueueError):
    """fal may have accepted a submit or run, but did not confirm it. It is not sent again."""


class ProtocolError(FalqueueError):
    """An answer that fal does not give: a proxy's page, a malformed body, another service."""


class UnknownStatus(ProtocolError):
    """A status other than IN_QUEUE, IN_PROGRESS and COMPLETED."""

    def __init__(self, status: object, *, handle: Handle[Any] | None = None) -> None:
        super().__init__(f"fal has no status {status!r:.80}", handle=handle)
        self.status = status


class Refused(FalqueueError):
    """fal refused this call. If it was a submit, there is no job."""

    def __init__(self, message: str, *, status_code: int, **details: Any) -> None:
        super().__init__(message, **details)
        self.status_code = status_code


class Unauthorized(Refused):
    """401: no key, a malformed key, or an unknown one."""


class AccountLocked(Refused):
    """403 or 402: the account may not submit, usually because its balance is exhausted."""


class NotFound(Refused):
    """404: unknown application or request."""


class StillInProgress(Refused):
    """The job has no result yet."""


class InvalidRequest(Refused):
    """The request itself is invalid; no model has seen it."""


class RateLimited(Refused):
    """429: too many requests, or a queue longer than `max_queue_length`."""


class Unavailable(Refused):
    """The gateway kept failing. A job that exists is not affected."""


class RequestFailed(FalqueueError):
    """The job ended without an output.

    `status_code` is None if a webhook reported the failure. `error_type` is fal's name for it. If
    `retryable`, another submit may succeed; it would be a new, billed job, so falqueue leaves it to you.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None,
        error_type: str | None = None,
        retryable: bool = False,
        **details: Any,
    ) -> None:
        super().__init__(message, **details)
        self.status_code = status_code
        self.error_type = error_type
        self.retryable = retryable


class InputRejected(RequestFailed):
    """The model rejects the input; `errors` names the fields and reasons."""


class ContentPolicyViolation(InputRejected):
    """A content checker flagged the prompt or the image."""


class NoMediaGenerated(InputRejected):
    """The model ran without making anything, often because of its safety filters."""


class FileDownloadFailed(InputRejected):
    """fal could not download a file that the input names."""


class FileRejected(InputRejected):
    """A file of the input is too large, too small, unreadable or of the wrong format."""


class UnknownPath(RequestFailed):
    """The application exists, but does not have this path."""


class RunnerFailed(RequestFailed):
    """The model itself failed."""


class PlatformFailed(RequestFailed):
    """fal could not run the model (PROTOCOL.md 14.3); see `error_type`."""


class StartTimedOut(PlatformFailed):
    """The job did not start within `start_timeout`."""


class Cancelled(RequestFailed):
    """The job was cancelled before it had an output."""


class TookTooLong(FalqueueError, TimeoutError):
    """Your timeout passed. `cancellation` is fal's answer to the cancel, None if the cancel failed."""

    def __init__(self, message: str, *, handle: Handle[Any], cancellation: Cancellation | None) -> None:
        super().__init__(message, handle=handle)
        self.cancellation = cancellation


class TransferFailed(FalqueueError):
    """A file could not be downloaded completely. The next download continues with the part on disk."""


class WebhookRejected(FalqueueError):
    """Not sent by fal. Answer 401 without details."""


class HeaderMissing(WebhookRejected):
    """One of the four `X-Fal-Webhook-*` headers is missing."""


class TimestampRejected(WebhookRejected):
    """The timestamp is not a number, or too far from now."""


class SignatureMismatch(WebhookRejected):
    """None of fal's keys made this signature for this request."""
