"""What is asked of fal: an endpoint, its arguments, and the settings that travel in headers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeAlias, TypedDict, TypeVar

from falqueue._errors import InvalidInput, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from falqueue._statuses import Status

Json: TypeAlias = dict[str, Any]
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

MISPLACED: frozenset[str] = frozenset({"webhook_url", "webhookUrl", "webhook", "fal_webhook"})


class TypedRequest(Protocol[T_co]):
    """What a class needs so that `submit` takes its instances and `result` returns its output.

    `Veo2ImageToVideo` is one; write your own for any other endpoint.

    >>> from falqueue import Veo2ImageToVideo
    >>> Veo2ImageToVideo.endpoint
    'fal-ai/veo2/image-to-video'
    """

    endpoint: ClassVar[str]

    def arguments(self) -> Mapping[str, Any]:
        """Return the input as fal takes it; pictures and files may still be paths, bytes or Pillow images."""

    def check(self) -> None:
        """Raise `InvalidInput` for what fal would refuse."""

    @staticmethod
    def output(body: Json) -> T_co:
        """Read the model's answer; KeyError, TypeError or ValueError says that it is malformed."""


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """How long fal keeps a file, in seconds (None: as the account is set), and who may read it at first.

    >>> Lifecycle(seconds=3600).header()
    '{"expiration_duration_seconds":3600}'
    """

    seconds: int | None = None
    access: Literal["allow", "forbid", "hide"] | None = None

    def header(self) -> str:
        """Return the JSON of PROTOCOL.md 8.4."""
        value: Json = {"expiration_duration_seconds": self.seconds} if self.seconds is not None else {}
        if self.access is not None:
            value["initial_acl"] = {"default": self.access, "rules": []}
        return json.dumps(value, separators=(",", ":"))


class JobOptions(TypedDict, total=False):
    """Settings of a job, whichever way it is sent.

    `start_timeout`: seconds within which it has to start, else it fails with `StartTimedOut`; above 0.1.
    `no_retry`: fal shall not run it a second time if a runner fails.
    `hint`: prefer a runner that answers to this name.
    `lifecycle`: of the files it makes.
    """

    start_timeout: float
    no_retry: bool
    hint: str
    lifecycle: Lifecycle


class RunOptions(JobOptions, total=False):
    """Settings of a job on the synchronous host.

    `timeout`: seconds without a byte of the answer; without it there is no limit.
    """

    timeout: float | None


class SubmitOptions(JobOptions, total=False):
    """Settings of a job in the queue.

    `priority`: "low" waits behind every "normal" one of the endpoint.
    `webhook_url`: where fal shall post the outcome.
    `max_queue_length`: refuse with `RateLimited` rather than wait behind more than this many.
    """

    priority: Literal["normal", "low"]
    webhook_url: str
    max_queue_length: int


class WaitOptions(TypedDict, total=False):
    """Settings of waiting.

    `timeout`: seconds after which the job is cancelled and `TookTooLong` raised; without it there is no end.
    `logs`: ask for the runner's log lines.
    `on_update`: called with each status that is read.
    """

    timeout: float | None
    logs: bool
    on_update: Callable[[Status], object]


class SubscribeOptions(SubmitOptions, WaitOptions, total=False):
    """Settings of a job that is submitted and waited for."""


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """An endpoint, its arguments, and how its answer is read."""

    endpoint: str
    arguments: Mapping[str, Any]
    output: Callable[[Json], T]


def job_of(request: TypedRequest[Any] | str, arguments: Mapping[str, Any] | None, *, check: bool) -> Job[Any]:
    """Return the job that the arguments of `submit` describe.

    Raises:
        InvalidInput: the input fails its check, or has a webhook address, which fal would silently ignore.
        UsageError: an endpoint without arguments.
    """
    if not isinstance(request, str):
        if check:
            request.check()
        return Job(request.endpoint, request.arguments(), request.output)
    if arguments is None:
        raise UsageError("an endpoint id needs arguments beside it")
    if misplaced := sorted(MISPLACED & arguments.keys()):
        raise InvalidInput(
            f"fal ignores {misplaced[0]} inside the input: pass webhook_url= to submit instead"
        )
    return Job(request, arguments, as_json)


def headers_of(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the request headers of PROTOCOL.md 11.1 for `options`.

    >>> headers_of({"priority": "low", "start_timeout": 30})
    {'x-fal-queue-priority': 'low', 'x-fal-request-timeout': '30.0'}
    """
    headers: dict[str, str] = {}
    if "priority" in options:
        headers["x-fal-queue-priority"] = options["priority"]
    if "start_timeout" in options:
        seconds = float(options["start_timeout"])
        if not 0.1 < seconds < float("inf"):
            raise UsageError("start_timeout is in seconds and above 0.1")
        headers["x-fal-request-timeout"] = str(seconds)
    if options.get("no_retry"):
        headers["x-fal-no-retry"] = "1"
    if "hint" in options:
        headers["x-fal-runner-hint"] = _printable(options["hint"])
    if "lifecycle" in options:
        headers["x-fal-object-lifecycle-preference"] = options["lifecycle"].header()
    return headers


def query_of(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the query of a submit (PROTOCOL.md 4.1)."""
    names = {"webhook_url": "fal_webhook", "max_queue_length": "fal_max_queue_length"}
    return {name: str(options[option]) for option, name in names.items() if option in options}


def encode(arguments: Mapping[str, Any]) -> bytes:
    """Return `arguments` as JSON in plain ASCII, which carries any text, broken surrogates included.

    Raises:
        InvalidInput: something in it has no form in JSON.
    """
    try:
        return json.dumps(arguments, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"the input has no form in JSON: {error}") from error


def as_json(body: Json) -> Json:
    """Return the answer as it is."""
    return body


def _printable(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise UsageError("a header takes printable ASCII only")
    return text
