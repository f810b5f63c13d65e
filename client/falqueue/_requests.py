"""Jobs, and the options that travel beside their input in headers and query."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypedDict, TypeVar

from falqueue._errors import InvalidInput
from falqueue._handle import ENDPOINT, UsageError
from falqueue._types import Json, TypedRequest, as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from falqueue._statuses import Status

T = TypeVar("T")

NAMESPACES: Final = ("workflows", "comfy")
IGNORED_BY_FAL: Final = frozenset({"webhook_url", "webhookUrl", "webhook", "fal_webhook"})


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """How many seconds fal keeps a file (None: the account's setting), and the access to it.

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
    """Options of every job.

    `start_timeout`: seconds (above 0.1) after which a job that has not started fails with `StartTimedOut`.
    `no_retry`: do not run the job again if a runner fails.
    `hint`: the name of a preferred runner.
    `lifecycle`: of the files that the job makes.
    """

    start_timeout: float
    no_retry: bool
    hint: str
    lifecycle: Lifecycle


class RunOptions(JobOptions, total=False):
    """Options of `run`. `timeout`: seconds without a byte of the answer; unlimited by default."""

    timeout: float | None


class SubmitOptions(JobOptions, total=False):
    """Options of `submit`.

    `priority`: "low" waits behind every "normal" job of the endpoint.
    `webhook_url`: receives the outcome as a POST.
    `max_queue_length`: raise `RateLimited` instead of waiting behind more jobs than this.
    """

    priority: Literal["normal", "low"]
    webhook_url: str
    max_queue_length: int


class WaitOptions(TypedDict, total=False):
    """Options of `wait`.

    `timeout`: seconds after which the job is cancelled and `TookTooLong` raised; unlimited by default.
    `logs`: fetch the runner's log entries.
    `on_update`: called with each status.
    """

    timeout: float | None
    logs: bool
    on_update: Callable[[Status], object]


class SubscribeOptions(SubmitOptions, WaitOptions, total=False):
    """Options of `subscribe`: those of `submit` and `wait`."""


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """An endpoint, its input, and the function that parses its output."""

    endpoint: str
    arguments: Mapping[str, Any]
    output: Callable[[Json], T]


def job_of(request: TypedRequest[Any] | str, arguments: Mapping[str, Any] | None) -> Job[Any]:
    """Return the job that the arguments of `submit` describe."""
    if not isinstance(request, str):
        return Job(request.endpoint, request.arguments(), request.output)
    if arguments is None:
        raise UsageError("an endpoint id needs arguments")
    if ignored := sorted(IGNORED_BY_FAL & arguments.keys()):
        raise InvalidInput(f"fal ignores {ignored[0]} inside the input: pass webhook_url= to submit instead")
    return Job(request, arguments, as_json)


def application(endpoint: str) -> str:
    """Return the `[namespace/]owner/alias` of an endpoint id, as used in request URLs (PROTOCOL.md 3).

    >>> application("fal-ai/veo2/image-to-video"), application("workflows/me/clip/run")
    ('fal-ai/veo2', 'workflows/me/clip')
    """
    if not ENDPOINT.fullmatch(endpoint) or {".", ".."} & set(endpoint.split("/")):
        raise UsageError(f"{endpoint!r:.80} is not an endpoint id such as fal-ai/veo2/image-to-video")
    parts = endpoint.split("/")
    return "/".join(parts[: 3 if parts[0] in NAMESPACES else 2])


def known_options(options: Mapping[str, Any], kind: Any) -> dict[str, Any]:
    """Return `options` without those that are None.

    Raise TypeError for an option that `kind` does not have: ignoring a misspelt `timeout` would cost money.
    """
    if unknown := sorted(options.keys() - kind.__optional_keys__):
        known = ", ".join(sorted(kind.__optional_keys__))
        raise TypeError(f"unexpected option {unknown[0]!r}; the options are {known}")
    return {name: value for name, value in options.items() if value is not None}


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
            raise UsageError("start_timeout must be above 0.1 seconds")
        headers["x-fal-request-timeout"] = str(seconds)
    if options.get("no_retry"):
        headers["x-fal-no-retry"] = "1"
    if "hint" in options:
        hint: str = options["hint"]
        if not (hint.isascii() and hint.isprintable()):
            raise UsageError("hint must be printable ASCII")
        headers["x-fal-runner-hint"] = hint
    if "lifecycle" in options:
        headers["x-fal-object-lifecycle-preference"] = options["lifecycle"].header()
    return headers


def query_of(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the query of a submit (PROTOCOL.md 4.1)."""
    names = {"webhook_url": "fal_webhook", "max_queue_length": "fal_max_queue_length"}
    return {name: str(options[option]) for option, name in names.items() if option in options}


def encode(arguments: Mapping[str, Any]) -> bytes:
    """Return `arguments` as JSON in ASCII, which can carry any text, lone surrogates included."""
    try:
        return json.dumps(arguments, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"the input cannot be written as JSON: {error}") from error
