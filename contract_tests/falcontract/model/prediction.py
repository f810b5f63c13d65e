"""Timetables of a trace: the state that an exactly timed target must report at each moment.

`Trace.facts` has the input: runners, concurrency, queue_seconds, run_seconds, run_timeout,
rejection_seconds (how long a runner takes to reject an input), and what becomes of a cancelled run.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from falcontract.model import fields, published
from falcontract.model.models import MODELS
from falcontract.model.timetable import ScheduledJob, schedule_jobs
from falcontract.steps import FAULTS, HOSTS

if TYPE_CHECKING:
    from falcontract.traces import Exchange, Trace

NAMESPACES: Final = ("workflows", "comfy")
REQUESTED: Final = "CANCELLATION_REQUESTED"
INSTANT: Final = 1e-6  # seconds between calls at the same time: more than rounding, less than any wait
SLOW: Final = "slow"  # the fault that extends a run
KNOWN_FAULTS: Final = (SLOW, "content_policy_violation", "webhook_", "media_")  # to the timetable


def application(endpoint: str) -> str:
    """Return the part of an endpoint id that the queue uses (PROTOCOL.md 3)."""
    parts = endpoint.strip("/").split("/")
    return "/".join(parts[: 3 if parts[0] in NAMESPACES else 2])


def base_of(trace: Trace, e: Exchange) -> str:
    """Return the start of the URLs in an answer: they lead back the way of the call (`Step.via`)."""
    root = trace.base.removesuffix(f"/{HOSTS['queue']}")
    return {"": trace.base, "host": f"http://{HOSTS['queue']}"}.get(e.step.via, root)


class Timetables:
    """The jobs of a trace with their computed start and end.

    A cancel changes the future, so there is one timetable for each time between two cancels.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._cancels = [
            (n, e) for n, e in enumerate(trace.exchanges) if e.step.do == "cancel" and e.state == REQUESTED
        ]
        self._known: dict[int, list[ScheduledJob]] = {}

    def before(self, e: Exchange) -> list[ScheduledJob]:
        """Return the timetable at the time of a call, with the jobs that existed then."""
        at = self._trace.exchanges.index(e)
        earlier = {id(exchange) for exchange in self._trace.exchanges[:at]}
        known = sum(id(submit) in earlier for submit in self._trace.submits())
        return self._with(sum(n < at for n, _ in self._cancels))[:known]

    def of(self, e: Exchange) -> ScheduledJob:
        """Return the entry of a call's job at the time of the call."""
        return next(entry for entry in self.before(e) if entry.name == e.step.job)

    def final(self) -> list[ScheduledJob]:
        return self._with(len(self._cancels))

    def _with(self, cancels: int) -> list[ScheduledJob]:
        if cancels not in self._known:
            seen = [e for _, e in self._cancels[:cancels]]
            jobs = [
                _scheduled_job(self._trace, e, seen, delay=_delay(self._trace, order))
                for order, e in enumerate(self._trace.submits())
            ]
            facts = self._trace.facts
            schedule_jobs(jobs, runners=facts["runners"], concurrency=facts["concurrency"])
            self._known[cancels] = jobs
        return self._known[cancels]


def has_timetable(trace: Trace) -> bool:
    """Return whether the timetable knows all that happens: no re-runs, locks or unknown faults."""
    rules = trace.program.setup.get(FAULTS, ())
    known = all(rule["fault"].startswith(KNOWN_FAULTS) for rule in rules)
    locks = any(step.do == "lock" for step in trace.program.steps)
    return trace.exact_time and bool(trace.facts) and known and not locks and not may_run_again(trace)


def may_run_again(trace: Trace) -> bool:
    """Return whether a job may be re-run: the platform retries some failures (PROTOCOL.md 4.8)."""
    rules = trace.program.setup.get(FAULTS, ())
    if any(rule["fault"].partition(" ")[0] in {"requeued", *published.RERUN} for rule in rules):
        return True
    limited = trace.facts.get("run_timeout") is not None
    return limited and any(e.step.header("x-fal-no-retry") is None for e in trace.submits())


def _delay(trace: Trace, order: int) -> float:
    """Return the seconds that faults add to the run of the job with this number."""
    rules = trace.program.setup.get(FAULTS, ())
    faults = [rule["fault"] for rule in rules if rule.get("after", 0) == order]
    return sum(float(fault.partition("seconds=")[2]) for fault in faults if fault.startswith(SLOW))


def _scheduled_job(trace: Trace, e: Exchange, cancels: list[Exchange], *, delay: float) -> ScheduledJob:
    facts = trace.facts
    run_seconds = float(facts["run_seconds"]) + delay
    if is_rejected(e):
        run_seconds = min(run_seconds, facts["rejection_seconds"])
    elif facts["run_timeout"] is not None:
        run_seconds = min(run_seconds, facts["run_timeout"])
    return ScheduledJob(
        name=e.step.job,
        application=application(e.step.endpoint),
        caller=e.step.key,
        submitted=_time_of(trace, e),
        ready=e.at + facts["queue_seconds"],
        run_seconds=run_seconds,
        low=e.step.header("x-fal-queue-priority") == "low",
        start_by=e.at + _start_within(e),
        honours_cancel=facts["cancel"] == "honoured",
        cancelled=min((_time_of(trace, c) for c in cancels if c.step.job == e.step.job), default=math.inf),
    )


def _start_within(e: Exchange) -> float:
    """Return the seconds that a submit leaves fal to start. A target may accept a text that is no number."""
    try:
        return float(e.step.header("x-fal-request-timeout") or "inf")
    except ValueError:
        return math.inf


def _time_of(trace: Trace, e: Exchange) -> float:
    """Return the time of a call, made distinct: after earlier calls and after everything due by then."""
    return e.at + INSTANT * (trace.exchanges.index(e) + 1)


def is_rejected(e: Exchange) -> bool:
    """Return whether the runner rejects a submit before the model runs."""
    if e.step.endpoint not in MODELS:
        return True
    kind = {name.lower(): value for name, value in e.request_headers.items()}.get("content-type")
    return fields.body_errors(MODELS[e.step.endpoint], e.request_body, kind) != []
