"""What faults do to the course of a request. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from falmock.engine.runner import UNBILLED, Outcome, PreparedRun
from falmock.faults.rules import Injection, load
from falmock.faults.vocabulary import model_error, platform_error
from falmock.protocol.errors import ModelError, PlatformError, compact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from falmock.engine.rows import Request
    from falmock.faults.vocabulary import Fault

AT_ONCE = ("stuck_in_queue", "stuck_running", "deep_queue", "slow", "log_window")  # show from the start
ASIDE = ("stuck_in_queue", "deep_queue")  # those who come later need not wait for these


def ready_at(injections: Mapping[str, Injection], usual: float, now: float) -> float:
    """Return when a runner may take a request that is accepted now."""
    if "stuck_in_queue" in injections:
        return math.inf
    if (deep := injections.get("deep_queue")) is not None:
        return max(usual, now + float(deep.fault.options["seconds"]))
    return usual


def run_seconds(injections: Mapping[str, Injection], usual: float) -> float:
    """Return how long a request runs."""
    if "stuck_running" in injections:
        return math.inf
    slow = injections.get("slow")
    return usual + float(slow.fault.options["seconds"]) if slow else usual


def bypasses_queue(request: Request) -> bool:
    """Tell whether others may pass a waiting request."""
    return request.attempts == 0 and any(name in load(request.faults) for name in ASIDE)


def strangers(request: Request, now: float) -> int:
    """Return how many requests stand before a waiting one that are nobody's here."""
    deep = load(request.faults).get("deep_queue")
    if deep is None or request.attempts > 0 or request.ready_at <= request.submitted_at:
        return 0
    left = (request.ready_at - now) / (request.ready_at - request.submitted_at)
    return max(0, math.ceil(int(deep.fault.options["position"]) * left))


def failure(request: Request, prepared: PreparedRun) -> tuple[Injection, Outcome] | None:
    """Return what a run that could begin ends with instead of a video, or None."""
    injections = load(request.faults)
    requeued = injections.get("requeued")
    if requeued is not None and request.attempts <= requeued.fault.options["times"]:
        return requeued, ended(PlatformError("runner_disconnected"))
    for injection in injections.values():
        if (outcome := outcome_of(injection.fault, prepared.asked.model_dump())) is not None:
            return injection, outcome
    return None


def outcome_of(fault: Fault, asked: Mapping[str, Any]) -> Outcome | None:
    """Return what a request ends with for a fault that is an error of the model or the platform."""
    if fault.name in ModelError.TEXT:
        error = model_error(fault, asked)
        return Outcome(error.status, compact(error.body), UNBILLED)
    if fault.name in PlatformError.STATUS:
        return ended(platform_error(fault))
    return None


def ended(error: PlatformError) -> Outcome:
    """Return what a request ends with when the platform ends it."""
    return Outcome(error.status, error.content(), dict(error.headers), error.detail, error.error_type)
