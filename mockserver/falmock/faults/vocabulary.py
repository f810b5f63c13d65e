"""All faults: their names, their options, and the places where each can occur.

A fault is written as its name and options: `content_policy_violation`, `requeued times=3`,
`image_too_small min_width=512`. Names of errors are fal's own.

A place is the `job` itself, the answer to an operation, the `webhook`, or the `file` of the result.
`MatchContext` has the facts of a request or call there, which rules are matched with.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from falmock.protocol.errors import OUT_OF_BALANCE, PlatformError
from falmock.protocol.model_errors import MODEL_ERRORS, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

JOB: Final = "job"
WEBHOOK: Final = "webhook"
FILE: Final = "file"
OPERATIONS: Final = ("submit", "status", "stream", "result", "cancel", "run", "upload", "download")
PLATFORM: Final = "platform"  # a call of the platform API
OF_A_REQUEST: Final = (JOB, WEBHOOK, FILE)  # faults in these places are chosen when a request is accepted
PLACES: Final = (*OF_A_REQUEST, *OPERATIONS, PLATFORM)

OTHER_ERROR: Final = "model_error"  # with any type, message and location

OK: Final = "ok"  # in the sequence of a rule: no fault this time
ALWAYS: Final = "always"  # `times` of a rule for all matches

LONGEST_NAME: Final = 40  # characters of an unknown name that are compared with those of faults

YEAR: Final = 365 * 86_400  # seconds
HOUR: Final = 3600
LONGEST_TEXT: Final = 4096  # characters of an option
SHOWN: Final = 80  # characters of a text that an error quotes
EXACT: Final = 2**53  # above this, JSON readers round whole numbers


class FaultError(ValueError):
    """A fault that does not exist or has invalid options; the text is one line and says what to do."""


class ScenarioError(ValueError):
    """An unknown or invalid scenario; the text is one line and says what to do."""


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A fault that can be injected."""

    name: str
    group: str  # its heading in the documents
    says: str  # one line about its effect
    on: tuple[str, ...]  # the places where it occurs by default
    may: frozenset[str]  # the places that a rule may choose
    # Default values; the type of a value is the type of the option.
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault with a value for each of its options."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> FaultKind:
        return FAULTS[self.name]

    def option_texts(self) -> dict[str, str]:
        """Return the options as written."""
        return {name: _quoted(value) for name, value in self.options.items()}

    def __str__(self) -> str:
        given = (
            f"{name}={_quoted(value)}"
            for name, value in self.options.items()
            if value != self.kind.options[name]
        )
        return " ".join([self.name, *given])


@dataclass(frozen=True, slots=True)
class MatchContext:
    """A request or call to match rules with."""

    place: str  # one of `PLACES`
    endpoint: str | None = None  # the endpoint, or the application where only that is known
    caller: str | None = None  # the key id
    test: str | None = None
    request: str | None = None
    # Returns the input if that is a JSON object, otherwise an empty one.
    model_input: Callable[[], Mapping[str, Any]] = dict


def parse(text: str) -> Fault:
    """Parse a fault.

    Raises:
        FaultError: the fault or an option is unknown, or a value is invalid.
    """
    try:
        name, *options = shlex.split(text)
    except ValueError:
        quoted = repr(_brief(text))
        raise FaultError(f"{quoted} is no fault: write a name and options, as requeued times=3") from None
    kind = FAULTS.get(name)
    if kind is None:
        near = "".join(
            f", did you mean {each!r}?" for each in get_close_matches(name[:LONGEST_NAME], FAULTS, 1)
        )
        raise FaultError(
            f"there is no fault {_brief(name)!r}{near or ': falmock scenario faults lists them'}"
        )
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
    if not low <= value <= high:  # false for NaN, too
        raise FaultError(f"{name}={_brief(given)} of {kind.name} should be from {low} to {high}")
    return name, value + 0  # turns -0.0 into 0.0


def limits(fault: str, option: str) -> tuple[int, int]:
    """Return the minimum and the maximum of a numeric option."""
    return _LIMITS.get(f"{fault} {option}") or _LIMITS.get(option) or (-EXACT, EXACT)


_LIMITS: Final = {
    "seconds": (0, YEAR),
    "webhook_old_timestamp seconds": (-YEAR, YEAR),  # a negative value is a timestamp in the future
    "webhook_slow seconds": (0, HOUR),  # of real time
    "media_slow seconds": (0, HOUR),
    "position": (0, 1_000_000),
    "times": (0, 1_000),
    "lines": (0, 1_000),
    "limit": (0, 1_000_000),
    "peak": (0, 1_000_000),
    "status": (400, 599),
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


def model_error(fault: Fault, given: Mapping[str, Any]) -> ModelError:
    """Return the error that a model raises; `given` is the whole input with its defaults."""
    options = dict(fault.options)
    path = options.pop("loc")
    parts = path.split("/" if "/" in path else ".")
    loc = tuple(int(part) if part.isdecimal() else part for part in parts)
    msg = options.pop("msg") or None
    error_type = options.pop("type", fault.name)
    status = options.pop("status", None)
    # The live service echoes the whole input for a rejected prompt and for errors about the body.
    value = given if loc in {("body",), ("body", "prompt")} else _found(given, parts[1:] or parts)
    return ModelError(error_type, loc, value, ctx=options, msg=msg, status=status)


def _found(given: Any, path: Sequence[str]) -> Any:
    """Return the value at a path in an input; None if there is none."""
    for part in path:
        if isinstance(given, dict):
            given = given.get(part)
        elif isinstance(given, list) and part.isdecimal() and int(part) < len(given):
            given = given[int(part)]
        else:
            return None
    return given


def platform_error(fault: Fault) -> PlatformError:
    return PlatformError(fault.name, fault.options["detail"] or None)


def _model_errors() -> list[FaultKind]:
    return [
        FaultKind(
            name,
            "model errors",
            f"The model runs and fails; the result is {error.status}.",
            (JOB,),
            frozenset({JOB}),
            {"loc": error.loc, "msg": "", **error.facts},
        )
        for name, error in MODEL_ERRORS.items()
    ] + [
        FaultKind(
            OTHER_ERROR,
            "model errors",
            "The model runs and fails, with a `type` and a text that fal does not document.",
            (JOB,),
            frozenset({JOB}),
            {
                "type": "unexpected_error",
                "loc": "body",
                "msg": "Unexpected result from the model.",
                "status": 422,
            },
        )
    ]


def _platform_errors() -> list[FaultKind]:
    return [
        FaultKind(
            name,
            "platform errors",
            f"The request ends with {status}{', after ten attempts' if status in {503, 504} else ''}."
            " With `on`, that operation is answered so instead.",
            (JOB,),
            frozenset({JOB, *OPERATIONS}),
            {"detail": ""},
        )
        for name, status in PlatformError.STATUS.items()
    ]


def _account(name: str, says: str, *on: str, **options: Any) -> FaultKind:
    return FaultKind(name, "account", says, on, frozenset(OPERATIONS), options)


def _request(name: str, says: str, **options: Any) -> FaultKind:
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
            reason=OUT_OF_BALANCE,
        ),
        FaultKind(
            "rate_limited",
            "account",
            "429: of the platform API as recorded, elsewhere with an assumed text.",
            ("submit", "run"),
            frozenset({*OPERATIONS, PLATFORM}),
        ),
        _account("storage_type_refused", "400: the storage type is invalid.", "upload"),
        _account("concurrency_limit", "429 of the run host: too many requests run at once.", "run", limit=20),
        _request("stuck_in_queue", "The request waits forever."),
        _request("stuck_running", "The request runs forever."),
        _request(
            "deep_queue",
            "`position` requests are ahead in the queue; they are gone after `seconds`. In the first half of "
            "that time they grow to `peak`, if that is more.",
            position=500,
            peak=0,
            seconds=600.0,
        ),
        _request(
            "starts_at_once",
            "If a runner is free, the request starts at once, and its submit is answered with IN_PROGRESS.",
        ),
        _request("slow", "The run takes `seconds` longer.", seconds=600.0),
        _request("requeued", "The runner is lost `times` times; each time the request waits again.", times=3),
        _request("log_window", "The status has only the last `lines` log lines.", lines=2),
        _request(
            "locks_account",
            "The account is locked when the request is accepted: it waits until the account is unlocked.",
        ),
        _request(
            "pydantic_1",
            "An invalid input is reported in the words of pydantic 1, as some of fal's models do.",
        ),
        _request(
            "file_null", "The `fields` of files in the result are null.", fields=["file_name", "file_size"]
        ),
        _request(
            "file_missing",
            "The `fields` of files in the result are missing.",
            fields=["content_type", "file_name", "file_size"],
        ),
        _request("result_expired", "The result expires `seconds` after the end.", seconds=0.0),
        _network("answer_lost", "The call is carried out, but its answer is lost.", "submit"),
        _network("connection_reset", "The connection breaks before the call is read."),
        _network("hang", "There is no answer for as long as the caller waits."),
        _network("truncated_body", "The connection breaks in the middle of the answer."),
        _network("bad_gateway", "502 from an nginx in front of fal: HTML, no request id."),
        _network("gateway_timeout", "504 with a request id; the request itself is fine.", "result", "status"),
        _network("no_cors", "The answer has no CORS headers, so a page cannot read it."),
        _network("no_reason", "The status line of the answer has no reason phrase, as with HTTP/2."),
        _webhook("webhook_lost", "The webhook is never sent."),
        _webhook("webhook_late", "The webhook is sent `seconds` late.", seconds=60.0),
        _webhook("webhook_twice", "The webhook is delivered again after `seconds`.", seconds=1.0),
        _webhook(
            "webhook_out_of_order",
            "The webhook waits until the next one to the same URL is delivered, at most `seconds`.",
            seconds=60.0,
        ),
        _webhook("webhook_early", "The webhook is sent `seconds` before the end.", seconds=2.0),
        _webhook("webhook_bad_signature", "The signature does not match the body."),
        _webhook(
            "webhook_reserialized",
            "The body is the same JSON in other bytes, under the signature of the usual ones.",
        ),
        _webhook("webhook_old_timestamp", "The timestamp is `seconds` old, and signed.", seconds=600.0),
        _webhook("webhook_rotated_key", "The webhook is signed with a key that is new in the key set."),
        _webhook("webhook_null_payload", "The payload is null, with a `payload_error`."),
        _webhook("webhook_slow", "The body takes `seconds` of real time to arrive.", seconds=2.0),
        _file("media_missing", "The file of the result answers 404."),
        _file("media_expired", "The file of the result expires `seconds` after the end.", seconds=0.0),
        _file("media_slow", "The file takes `seconds` of real time to arrive.", seconds=3.0),
        _file("media_truncated", "The connection breaks in the middle of the file."),
    )
}
