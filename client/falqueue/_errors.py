"""Everything that can go wrong, by whose fault it was.

    FalqueueError
    ├── UsageError                 yours: found before anything was sent
    │   ├── MissingCredentials     no key given, or a text that can be no key
    │   ├── InvalidInput           an input that the model's documentation rules out    .errors
    │   └── InvalidHandle          no handle's text, or another service's
    ├── Unreachable                the network's
    │   ├── NotSent                fal provably never got it: nothing was made, nothing is billed
    │   └── AnswerLost             it may have arrived, its answer did not
    ├── SubmitUnconfirmed          nobody knows whether a job was made: look before you pay twice
    ├── ProtocolError              an answer that fal does not give
    │   └── UnknownStatus          a status other than the three that fal has             .status
    ├── Refused                    fal said no                                            .status_code
    │   ├── Unauthorized           401: no key, or nobody's
    │   ├── AccountLocked          403 (402): most often an exhausted balance
    │   ├── NotFound               404: no such application, no such request
    │   ├── StillInProgress        400: the result was asked for too early
    │   ├── InvalidRequest         400, 422: of the request itself                        .errors
    │   ├── RateLimited            429
    │   └── Unavailable            5xx of the gateway; what was asked for may still be had
    ├── RequestFailed              the job is over and there is no output                 .retryable
    │   ├── InputRejected          422: the model does not take this input                .errors
    │   │   ├── ContentPolicyViolation
    │   │   ├── NoMediaGenerated
    │   │   ├── FileDownloadFailed
    │   │   └── FileRejected       too large, too small, unreadable, wrong format
    │   ├── UnknownPath            404: the application has no such sub-path
    │   ├── RunnerFailed           5xx of the model itself
    │   ├── PlatformFailed         fal could not run it                                   .error_type
    │   │   └── StartTimedOut      the deadline to start, which the caller had set, passed
    │   └── Cancelled              499
    ├── TookTooLong                your own timeout passed                                .cancellation
    ├── TransferFailed             a file could not be fetched whole
    └── WebhookRejected            not a delivery of fal's; each part that can fail has a class
        ├── HeaderMissing
        ├── TimestampRejected
        └── SignatureMismatch

Wherever a job exists the exception carries its `handle`, and its text names the request: with the
handle the output can still be fetched, so nothing needs to be paid for twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from falqueue._handle import Handle
    from falqueue._statuses import Cancellation


@dataclass(frozen=True, slots=True)
class FieldError:
    """One entry of fal's `detail` list (PROTOCOL.md 14.1, 14.2).

    `input` is what was objected to. fal echoes whole inputs, images included, so it is kept out of the text.

    >>> str(FieldError(("body", "duration"), "Input should be '5s'", "literal_error"))
    "duration: Input should be '5s' [literal_error]"
    """

    loc: tuple[str | int, ...]
    message: str
    type: str
    input: Any = field(default=None, repr=False)
    context: Any = field(default=None, repr=False)

    def __str__(self) -> str:
        place = ".".join(map(str, self.loc[1:] if self.loc[:1] == ("body",) else self.loc))
        return f"{place or 'input'}: {self.message} [{self.type}]"


class FalqueueError(Exception):
    """The root: `except FalqueueError` catches all that this package raises on purpose.

    `handle` is the job it happened to, where there is one; `request_id` is fal's id of the request.
    """

    def __init__(
        self, message: str, *, handle: Handle[Any] | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.handle = handle
        self._request_id = request_id

    @property
    def request_id(self) -> str | None:
        """fal's id of the request, where it is known."""
        return self.handle.request_id if self.handle else self._request_id

    def __str__(self) -> str:
        return f"{self.message} (request {self.request_id})" if self.request_id else self.message


class UsageError(FalqueueError, ValueError):
    """The call makes no sense; nothing was sent."""


class MissingCredentials(UsageError):
    """No key was given, or one that cannot travel in a header."""


class InvalidInput(UsageError):
    """An input that the model's documentation rules out; each fault is in `errors`."""

    def __init__(self, message: str, *, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(message)
        self.errors = tuple(errors)


class InvalidHandle(UsageError):
    """A text that is no handle, or a handle of a service this client does not talk to."""


class Unreachable(FalqueueError):
    """fal was not reached, or did not answer."""


class NotSent(Unreachable):
    """No connection came about: fal has not seen the request."""


class AnswerLost(Unreachable):
    """The connection broke after the request may have arrived."""


class SubmitUnconfirmed(FalqueueError):
    """A submit or run that fal may have taken, though nothing said so. It is never sent again by itself."""


class ProtocolError(FalqueueError):
    """An answer that fal does not give: a proxy's page, a broken body, another service."""


class UnknownStatus(ProtocolError):
    """A status other than IN_QUEUE, IN_PROGRESS and COMPLETED, the only ones that fal has."""

    def __init__(self, status: object, *, handle: Handle[Any] | None = None) -> None:
        super().__init__(f"fal has no status {status!r:.80}", handle=handle)
        self.status = status


class Refused(FalqueueError):
    """fal said no to this call. If it was a submit, no job was made."""

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        handle: Handle[Any] | None = None,
        request_id: str | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        super().__init__(message, handle=handle, request_id=request_id)
        self.status_code = status_code
        self.errors = tuple(errors)


class Unauthorized(Refused):
    """401: no key, an unreadable one, or nobody's."""


class AccountLocked(Refused):
    """The account may not submit, most often because its balance is exhausted."""


class NotFound(Refused):
    """404: fal has no such application, or no such request."""


class StillInProgress(Refused):
    """The result was asked for before there was one."""


class InvalidRequest(Refused):
    """400 or 422 for the request itself, before any model saw it."""


class RateLimited(Refused):
    """429: too many at once, or a queue longer than `max_queue_length`."""


class Unavailable(Refused):
    """The gateway is in trouble and stayed so. The job, if there is one, is not touched by it."""


class RequestFailed(FalqueueError):
    """The job is over and has no output.

    `status_code` is what the result was answered with, None if a webhook told. `error_type` is fal's word
    for the failure; `retryable` says whether another submit may succeed. That would be a new job with a bill
    of its own, so this package leaves it to you.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None,
        error_type: str | None = None,
        retryable: bool = False,
        handle: Handle[Any] | None = None,
        request_id: str | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        super().__init__(message, handle=handle, request_id=request_id)
        self.status_code = status_code
        self.errors = tuple(errors)
        self.error_type = error_type
        self.retryable = retryable


class InputRejected(RequestFailed):
    """The model does not take this input; `errors` says which field and why."""


class ContentPolicyViolation(InputRejected):
    """A content checker flagged the prompt or the image."""


class NoMediaGenerated(InputRejected):
    """The model ran and made nothing, often because of its safety filters."""


class FileDownloadFailed(InputRejected):
    """fal could not fetch a file that the input names."""


class FileRejected(InputRejected):
    """A file of the input is too large, too small, unreadable or of the wrong kind."""


class UnknownPath(RequestFailed):
    """The application exists, its sub-path does not."""


class RunnerFailed(RequestFailed):
    """The model itself broke."""


class PlatformFailed(RequestFailed):
    """fal could not run the model (PROTOCOL.md 14.3); `error_type` says what happened."""


class StartTimedOut(PlatformFailed):
    """The job had not started when `start_timeout` passed."""


class Cancelled(RequestFailed):
    """The job was cancelled before it had an output."""


class TookTooLong(FalqueueError, TimeoutError):
    """Your timeout passed. `cancellation` is what fal answered to the cancel, None if it did not answer."""

    def __init__(self, message: str, *, handle: Handle[Any], cancellation: Cancellation | None) -> None:
        super().__init__(message, handle=handle)
        self.cancellation = cancellation


class TransferFailed(FalqueueError):
    """A file could not be fetched whole; the part that arrived is kept and resumed next time."""


class WebhookRejected(FalqueueError):
    """Not a delivery of fal's. Answer the sender 401 and nothing more, whichever part it was."""


class HeaderMissing(WebhookRejected):
    """One of the four `X-Fal-Webhook-*` headers is not there."""


class TimestampRejected(WebhookRejected):
    """The timestamp is no number or too far from now."""


class SignatureMismatch(WebhookRejected):
    """No key of fal's made this signature for this request."""
