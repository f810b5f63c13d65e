"""The faults chosen for a request, and their effects on it, its run, its webhook and its file."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from falmock.faults.vocabulary import OTHER_ERROR, model_error, parse, platform_error
from falmock.protocol.errors import PlatformError, compact
from falmock.protocol.model_errors import MODEL_ERRORS
from falmock.protocol.outcomes import UNBILLED, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import BaseModel

    from falmock.faults.vocabulary import Fault

LONGEST_CACHED: Final = 500  # characters of stored faults

# Faults that take effect when the request is accepted
AT_ONCE: Final = (
    "stuck_in_queue",
    "stuck_running",
    "deep_queue",
    "slow",
    "log_window",
    "starts_at_once",
    "locks_account",
)
AT_SUCCESS: Final = ("media_expired", "file_null", "file_missing")  # and when the model succeeds
RESERIALIZED: Final = "webhook_reserialized"
OF_ATTEMPTS: Final = (  # these shape an attempt of a webhook, or lead to another one
    "webhook_slow",
    "webhook_old_timestamp",
    "webhook_rotated_key",
    "webhook_bad_signature",
    RESERIALIZED,
    "webhook_twice",
)
BYPASSING: Final = frozenset({"stuck_in_queue", "deep_queue"})  # later requests need not wait for these
HALF: Final = 0.5  # of the time in a deep queue; the queue may grow until then
SHORTEST: Final = 0.1  # seconds between two positions that a stream shows, if there are very many
FORGED: Final = frozenset(  # a receiver must reject these
    {"webhook_bad_signature", "webhook_old_timestamp", RESERIALIZED}
)


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault chosen for one request or call, and the id of its rule; 0 if the call asks for it."""

    fault: Fault
    rule: int = 0


class Injections(dict[str, Injection]):
    """Injections by the name of their fault. Of several with one name, the last counts."""

    def __init__(self, injections: Iterable[Injection] = ()) -> None:
        super().__init__((injection.fault.name, injection) for injection in injections)

    @classmethod
    def parse(cls, text: str | None) -> Injections:
        """Read what `dump` returned.

        Raises:
            ValueError: the text is not valid, or this version has no such fault.
        """
        if not text:
            return NONE
        return _parse(text) if len(text) <= LONGEST_CACHED else _parse.__wrapped__(text)

    def seconds(self, name: str) -> float:
        """Return the `seconds` of a fault, or 0 without it."""
        injection = self.get(name)
        return 0.0 if injection is None else float(injection.fault.options["seconds"])

    def chosen(self, *names: str) -> tuple[Injection, ...]:
        """Return those of some names that are there."""
        return tuple(self[name] for name in names if name in self)

    def dump(self) -> str | None:
        """Return JSON for the store: `[[rule id, fault], ...]`; None without injections."""
        pairs = [[injection.rule, str(injection.fault)] for injection in self.values()]
        return json.dumps(pairs) if pairs else None


NONE: Final = Injections()


@lru_cache(maxsize=1024)
def _parse(text: str) -> Injections:
    try:
        return Injections(Injection(parse(fault), rule) for rule, fault in json.loads(text))
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a list of rules and faults: {error}") from None


# The request and its run


def ready_at(injections: Injections, usual: float, now: float) -> float:
    """Return when a runner may take a request that is accepted now."""
    if "stuck_in_queue" in injections:
        return math.inf
    if "starts_at_once" in injections:
        return now
    return max(usual, now + injections.seconds("deep_queue"))


def run_seconds(injections: Injections, usual: float) -> float:
    """Return how long a request runs."""
    return math.inf if "stuck_running" in injections else usual + injections.seconds("slow")


def bypasses_queue(injections: Injections, attempts: int) -> bool:
    """Return whether others may pass a request that waits after this number of runs."""
    return attempts == 0 and not BYPASSING.isdisjoint(injections)


def phantom_requests(injections: Injections, submitted_at: float, ready_at: float, now: float) -> int:
    """Return how many phantom requests `deep_queue` puts ahead of one that waits for its first run."""
    if "deep_queue" not in injections or ready_at <= submitted_at:
        return 0
    left = 1.0 if math.isinf(ready_at) else (ready_at - now) / (ready_at - submitted_at)
    first, peak = _positions(injections)
    if peak <= first:
        ahead = first * left
    elif left > HALF:
        ahead = first + (peak - first) * (1 - left) / HALF
    else:
        ahead = peak * left / HALF
    return max(0, math.ceil(ahead))


def seconds_of_a_position(injections: Injections, submitted_at: float, ready_at: float) -> float:
    """Return how long `deep_queue` keeps a position where it changes fastest, at least `SHORTEST`."""
    if "deep_queue" not in injections or not submitted_at < ready_at < math.inf:
        return math.inf
    first, peak = _positions(injections)
    positions = peak / HALF if peak > first else first
    return max(SHORTEST, (ready_at - submitted_at) / positions) if positions else math.inf


def _positions(injections: Injections) -> tuple[int, int]:
    options = injections["deep_queue"].fault.options
    return int(options["position"]), int(options["peak"])


def failure(injections: Injections, attempts: int, given: BaseModel) -> tuple[Injection, Outcome] | None:
    """Return how a run with valid input fails, or None. The number of runs includes this one."""
    requeued = injections.get("requeued")
    if requeued is not None and attempts <= requeued.fault.options["times"]:
        return requeued, ended(PlatformError("runner_disconnected"))
    for injection in injections.values():
        if (outcome := outcome_of(injection.fault, given.model_dump())) is not None:
            return injection, outcome
    return None


def outcome_of(fault: Fault, given: Mapping[str, Any]) -> Outcome | None:
    """Return the outcome for an error of the model or the platform; None for other faults."""
    if fault.name in MODEL_ERRORS or fault.name == OTHER_ERROR:
        error = model_error(fault, given)
        return Outcome(error.status, compact(error.body), UNBILLED, seconds=error.seconds)
    if fault.name in PlatformError.STATUS:
        return ended(platform_error(fault))
    return None


def ended(error: PlatformError) -> Outcome:
    """Return the outcome of a request that the platform ends."""
    return Outcome(error.status, error.content(), dict(error.headers), error.detail, error.error_type)


# The status, the result and the file


def result(injections: Injections, output: dict[str, Any]) -> dict[str, Any]:
    """Return an output with some fields of its files null or missing."""
    null = injections.get("file_null")
    missing = injections.get("file_missing")
    if null is None and missing is None:
        return output
    nulls = null.fault.options["fields"] if null else ()
    gone = missing.fault.options["fields"] if missing else ()

    def changed(value: Any) -> Any:
        if isinstance(value, list):
            return [changed(item) for item in value]
        if not isinstance(value, dict):
            return value
        fields = {name: changed(item) for name, item in value.items()}
        if "url" not in fields:  # not a file
            return fields
        return {name: None if name in nulls else item for name, item in fields.items() if name not in gone}

    changed_output: dict[str, Any] = changed(output)
    return changed_output


def visible_logs(injections: Injections, lines: list[Any]) -> list[Any]:
    """Return the log lines that a status has."""
    window = injections.get("log_window")
    return lines if window is None else lines[max(0, len(lines) - window.fault.options["lines"]) :]


def file_expires_at(injections: Injections, usual: float | None, now: float) -> float | None:
    """Return when a file that is made now expires; None for never."""
    return now + injections.seconds("media_expired") if "media_expired" in injections else usual


# The webhook


@dataclass(frozen=True, slots=True)
class DeliveryEffect:
    """How faults change a delivery, with all of its attempts."""

    delay: float  # seconds until the first attempt
    waits_for_next: bool  # it is sent early if a later delivery to the same URL succeeds
    null_payload: bool  # deliver null instead of the result
    observed: tuple[Injection, ...]  # the faults behind this


def on_delivery(injections: Injections) -> DeliveryEffect:
    """Return the effect of faults on the webhook of a completed request."""
    return DeliveryEffect(
        delay=injections.seconds("webhook_late") + injections.seconds("webhook_out_of_order"),
        waits_for_next="webhook_out_of_order" in injections,
        null_payload="webhook_null_payload" in injections,
        observed=injections.chosen("webhook_null_payload", "webhook_late", "webhook_out_of_order"),
    )


@dataclass(frozen=True, slots=True)
class AttemptEffect:
    """How faults change one POST of a webhook."""

    pause: float  # real seconds between the halves of the body
    timestamp_age: float  # seconds between the timestamp and now
    rotate_key: bool  # sign with a new key
    wrong_signature: bool  # sign other bytes
    reserialized: bool  # send the same JSON in other bytes, with the signature of the usual bytes
    observed: tuple[Injection, ...]  # the faults behind this


def on_attempt(injections: Injections) -> AttemptEffect:
    """Return the effect of faults on an attempt."""
    return AttemptEffect(
        pause=injections.seconds("webhook_slow"),
        timestamp_age=injections.seconds("webhook_old_timestamp"),
        rotate_key="webhook_rotated_key" in injections,
        wrong_signature="webhook_bad_signature" in injections,
        reserialized=RESERIALIZED in injections,
        observed=injections.chosen(*OF_ATTEMPTS[:-1]),  # the last one takes effect later
    )


def second_delivery_at(injections: Injections, now: float) -> float | None:
    """Return when a webhook that was delivered now is delivered again; None for never."""
    return now + injections.seconds("webhook_twice") if "webhook_twice" in injections else None


def fault_of_attempt(injections: Injections, *, repeated: bool) -> str | None:
    """Return the fault that the journal names for an attempt: a forgery before any other.

    It is `repeated` if an earlier attempt was successful.
    """
    names = [name for name in injections if name.startswith("webhook_")]
    if not repeated:
        names = [name for name in names if name != "webhook_twice"]
    return min(names, key=lambda name: name not in FORGED, default=None)
