"""What can go wrong, by name: the vocabulary of scenarios. Nothing here happens; it is looked up.

A fault is written as its name and, if need be, options: `content_policy_violation`,
`requeued times=3`, `image_too_small min_width=512`. The names of errors are fal's own.

Where a fault strikes is its place: the `job` itself, an answer to one of the operations, or the
`webhook`. Each kind has places of its own, and the first thing that a rule may do is to name another.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from falmock.protocol.errors import ModelError, PlatformError

if TYPE_CHECKING:
    from collections.abc import Mapping

JOB: Final = "job"
WEBHOOK: Final = "webhook"
FILE: Final = "file"
OPERATIONS: Final = ("submit", "status", "stream", "result", "cancel", "run", "upload", "download")
PLACES: Final = (JOB, WEBHOOK, FILE, *OPERATIONS)

OK: Final = "ok"  # in a sequence: this time nothing goes wrong

YEAR: Final = 365 * 86_400  # seconds
HOUR: Final = 3600
LONGEST_TEXT: Final = 4096  # characters of an option
SHOWN: Final = 80  # characters of a text that an error quotes
EXACT: Final = 2**53  # above this, JSON readers round whole numbers


class FaultError(ValueError):
    """A fault that there is not, or not so; the text is one line that says what to do."""


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A way to go wrong.

    Attributes:
        name: as written.
        group: under which documents list it.
        says: one line on what happens.
        on: where it strikes, unless a rule says otherwise.
        may: where a rule may have it strike.
        options: what can be set, with the value that it has otherwise; the value's type is the option's.
    """

    name: str
    group: str
    says: str
    on: tuple[str, ...]
    may: frozenset[str]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind with its options, all of them."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> FaultKind:
        """What it is an instance of."""
        return FAULTS[self.name]

    def spoken(self) -> dict[str, str]:
        """Return the options as people write them."""
        return {name: _quoted(value) for name, value in self.options.items()}

    def __str__(self) -> str:
        given = (
            f"{name}={_quoted(value)}"
            for name, value in self.options.items()
            if value != self.kind.options[name]
        )
        return " ".join([self.name, *given])


def parse(text: str) -> Fault:
    """Read a fault as people write it.

    Raises:
        FaultError: there is none of that name, or it has no such option.
    """
    try:
        name, *options = shlex.split(text)
    except ValueError:
        told = _brief(text)
        raise FaultError(f"{told!r} is no fault: write a name and options, as requeued times=3") from None
    kind = FAULTS.get(name)
    if kind is None:
        raise FaultError(f"there is no fault {_brief(name)!r}: falmock scenario faults lists them")
    return Fault(name, {**kind.options, **dict(_option(kind, option) for option in options)})


def _option(kind: FaultKind, text: str) -> tuple[str, Any]:
    name, equals, given = text.partition("=")
    if not equals or name not in kind.options:
        known = ", ".join(kind.options) or "none"
        raise FaultError(f"{kind.name} has no option {_brief(name)!r}: it has {known}")
    default = kind.options[name]
    _check_text(kind, name, given)
    if isinstance(default, str):
        return name, given
    if isinstance(default, list):
        return name, given.split(",")
    try:
        value = type(default)(given)
    except ValueError:
        raise FaultError(f"{name}={_brief(given)} of {kind.name} should be like {name}={default}") from None
    low, high = limits(kind.name, name)
    if not low <= value <= high:  # NaN is not either
        raise FaultError(f"{name}={_brief(given)} of {kind.name} should be from {low} to {high}")
    return name, value + 0  # no negative zero


def limits(fault: str, option: str) -> tuple[int, int]:
    """Return the minimum and the maximum of a numeric option."""
    return _LIMITS.get(f"{fault} {option}") or _LIMITS.get(option) or (-EXACT, EXACT)


_LIMITS: Final = {
    "seconds": (0, YEAR),
    "webhook_old_timestamp seconds": (-YEAR, YEAR),  # below 0 the timestamp lies ahead
    "webhook_slow seconds": (0, HOUR),  # of real time
    "media_slow seconds": (0, HOUR),
    "position": (0, 1_000_000),
    "times": (0, 1_000),
    "lines": (0, 1_000),
    "limit": (0, 1_000_000),
}


def _check_text(kind: FaultKind, name: str, text: str) -> None:
    if len(text) > LONGEST_TEXT:
        raise FaultError(f"{name} of {kind.name} has more than {LONGEST_TEXT} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise FaultError(f"{name}={_brief(text)} of {kind.name} is not valid Unicode") from None


def _brief(text: str) -> str:
    """Return the start of a text on one line, with escapes for unprintable characters."""
    short = text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
    return short if short.isprintable() else ascii(short)[1:-1]


def _quoted(value: Any) -> str:
    return shlex.quote(",".join(map(str, value)) if isinstance(value, list) else str(value))


def model_error(fault: Fault, asked: Mapping[str, Any]) -> ModelError:
    """Return what a model answers; `asked` is the whole input, defaults filled in."""
    options = dict(fault.options)
    loc = tuple(options.pop("loc").split("."))
    msg = options.pop("msg") or None
    # Of a prompt that was rejected, and at the level of the body, the live service echoes all of the input.
    value = asked if loc in {("body",), ("body", "prompt")} else asked.get(loc[-1])
    return ModelError(fault.name, loc, value, ctx=options, msg=msg)


def platform_error(fault: Fault) -> PlatformError:
    """Return what the platform answers."""
    return PlatformError(fault.name, fault.options["detail"] or None)


_LOC_OF: Final = {"image": "body.image_url", "audio": "body.audio_url", "video": "body.video_url"}
_CTX: Final[dict[str, dict[str, Any]]] = {
    "image_too_small": {"min_height": 720, "min_width": 1280},
    "image_too_large": {"max_height": 8192, "max_width": 8192},
    "image_aspect_ratio_error": {"min_aspect_ratio": 0.4, "max_aspect_ratio": 2.5},
    "file_too_large": {"max_size": 8_388_608},
    "greater_than": {"gt": 0},
    "greater_than_equal": {"ge": 0},
    "less_than": {"lt": 1},
    "less_than_equal": {"le": 20},
    "multiple_of": {"multiple_of": 8},
    "sequence_too_short": {"min_length": 1},
    "sequence_too_long": {"max_length": 4},
    "one_of": {"expected": ["5s", "6s", "7s", "8s"]},
    "invalid_archive": {"supported_extensions": [".zip", ".tar.gz"]},
    "archive_file_count_below_minimum": {
        "min_count": 10,
        "provided_count": 8,
        "supported_extensions": [".jpg", ".png"],
    },
    "archive_file_count_exceeds_maximum": {
        "max_count": 100,
        "provided_count": 150,
        "supported_extensions": [".jpg", ".png"],
    },
    "audio_duration_too_long": {"max_duration": 60, "provided_duration": 90},
    "audio_duration_too_short": {"min_duration": 10, "provided_duration": 7.2},
    "video_duration_too_long": {"max_duration": 60, "provided_duration": 90},
    "video_duration_too_short": {"min_duration": 5, "provided_duration": 2.0},
    "unsupported_audio_format": {"supported_formats": [".mp3", ".wav", ".ogg"]},
    "unsupported_image_format": {"supported_formats": [".jpg", ".jpeg", ".png", ".webp"]},
    "unsupported_video_format": {"supported_formats": [".mp4", ".mov", ".webm"]},
}
_LOC: Final = {
    "content_policy_violation": "body.prompt",
    "file_download_error": "body.image_url",
    "file_too_large": "body.image_url",
    "face_detection_error": "body.image_url",
    "unsupported_image_format": "body.image_url",
    "unsupported_audio_format": "body.audio_url",
    "unsupported_video_format": "body.video_url",
    "invalid_archive": "body.image_data_url",
    "archive_file_count_below_minimum": "body.image_data_url",
    "archive_file_count_exceeds_maximum": "body.image_data_url",
    "one_of": "body.duration",
    "multiple_of": "body.width",
    "greater_than": "body.seed",
    "greater_than_equal": "body.seed",
    "less_than": "body.seed",
    "less_than_equal": "body.seed",
    "sequence_too_short": "body.prompt",
    "sequence_too_long": "body.prompt",
}


def _loc(name: str) -> str:
    return _LOC.get(name) or _LOC_OF.get(name.partition("_")[0], "body")


def _model_errors() -> list[FaultKind]:
    return [
        FaultKind(
            name,
            "model errors",
            f"The result is {ModelError.STATUS.get(name, 422)}: the model ran and could not.",
            (JOB,),
            frozenset({JOB}),
            {"loc": _loc(name), "msg": "", **_CTX.get(name, {})},
        )
        for name in ModelError.TEXT
    ]


def _platform_errors() -> list[FaultKind]:
    return [
        FaultKind(
            name,
            "platform errors",
            f"The request ends with {status}"
            + (", after ten attempts." if status in {503, 504} else ".")
            + " With `on` it is the answer to that operation.",
            (JOB,),
            frozenset({JOB, *OPERATIONS}),
            {"detail": ""},
        )
        for name, status in PlatformError.STATUS.items()
    ]


def _account(name: str, says: str, *on: str, **options: Any) -> FaultKind:
    return FaultKind(name, "account", says, on, frozenset(OPERATIONS), options)


def _course(name: str, says: str, **options: Any) -> FaultKind:
    return FaultKind(name, "course of a request", says, (JOB,), frozenset({JOB}), options)


def _network(name: str, says: str, *on: str, **options: Any) -> FaultKind:
    return FaultKind(name, "network", says, on or OPERATIONS, frozenset(OPERATIONS), options)


def _webhook(name: str, says: str, **options: Any) -> FaultKind:
    return FaultKind(name, "webhooks", says, (WEBHOOK,), frozenset({WEBHOOK}), options)


def _file(name: str, says: str, **options: Any) -> FaultKind:
    return FaultKind(name, "files", says, (FILE,), frozenset({FILE, "download"}), options)


FAULTS: Final[dict[str, FaultKind]] = {
    kind.name: kind
    for kind in (
        *_model_errors(),
        *_platform_errors(),
        _account(
            "locked",
            "403: the account is locked. Statuses and results are still answered.",
            "submit",
            "run",
            "upload",
            reason="Exhausted balance. Top up your balance at fal.ai/dashboard/billing.",
        ),
        _account("rate_limited", "429, with a text that is assumed.", "submit", "run"),
        _account("concurrency_limit", "429 of the run host: too many requests run at once.", "run", limit=20),
        _course("stuck_in_queue", "It waits for ever."),
        _course("stuck_running", "It runs for ever."),
        _course(
            "deep_queue",
            "`position` requests stand before it, and are gone after `seconds`.",
            position=500,
            seconds=600.0,
        ),
        _course("slow", "It runs `seconds` longer.", seconds=600.0),
        _course("requeued", "A runner is lost `times` times, and each time it waits again.", times=3),
        _course("log_window", "The status shows only the last `lines` lines of its log.", lines=2),
        _course("result_expired", "The result is gone `seconds` after the end.", seconds=0.0),
        _network("answer_lost", "The call is carried out, and its answer never arrives.", "submit"),
        _network("connection_reset", "The connection breaks before the call is read."),
        _network("hang", "No answer comes for as long as the caller waits."),
        _network("truncated_body", "The connection breaks in the middle of the answer."),
        _network("bad_gateway", "502 from an nginx before fal: HTML, and no request id."),
        _network("gateway_timeout", "504 with a request id, though the request is fine.", "result", "status"),
        _webhook("webhook_lost", "It never leaves."),
        _webhook("webhook_late", "It leaves `seconds` late.", seconds=60.0),
        _webhook("webhook_twice", "It arrives, and `seconds` later it arrives again.", seconds=1.0),
        _webhook(
            "webhook_out_of_order",
            "It waits for the next one to the same receiver, at most `seconds`.",
            seconds=60.0,
        ),
        _webhook("webhook_early", "It arrives `seconds` before the status says COMPLETED.", seconds=2.0),
        _webhook("webhook_bad_signature", "Its signature is of other bytes."),
        _webhook("webhook_old_timestamp", "Its timestamp is `seconds` old, and signed.", seconds=600.0),
        _webhook("webhook_rotated_key", "It is signed with a key that the key set has only from now on."),
        _webhook("webhook_null_payload", "Its payload is null, with a `payload_error`."),
        _webhook("webhook_slow", "Its body takes `seconds` of real time to arrive.", seconds=2.0),
        _file("media_missing", "The file of the result answers 404."),
        _file("media_expired", "The file of the result is gone `seconds` after the end.", seconds=0.0),
        _file("media_slow", "The file takes `seconds` of real time to arrive.", seconds=3.0),
        _file("media_truncated", "The file breaks off in the middle."),
    )
}
