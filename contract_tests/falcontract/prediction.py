"""From a trace to its timetable: what an exactly timed target must have said at each moment."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from falcontract import published
from falcontract.steps import FAULTS, VEO2
from falcontract.timetable import Entry, schedule_jobs

if TYPE_CHECKING:
    from falcontract.traces import Exchange, Trace

NAMESPACES = ("workflows", "comfy")
REQUESTED = "CANCELLATION_REQUESTED"
INSTANT = 1e-6  # seconds between two questions at the same time: more than rounding, less than any wait
SLOW = "slow"  # the fault that makes a run longer


def application(endpoint: str) -> str:
    """Return the part of an endpoint id that the queue knows (PROTOCOL.md 3)."""
    parts = endpoint.strip("/").split("/")
    return "/".join(parts[: 3 if parts[0] in NAMESPACES else 2])


class Timetables:
    """The jobs of a trace with the times at which they must have started and ended.

    A cancel changes what is to come, so there is a timetable for each moment between two cancels.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._cancels = [
            (n, e) for n, e in enumerate(trace.exchanges) if e.step.do == "cancel" and e.state == REQUESTED
        ]
        self._known: dict[int, list[Entry]] = {}

    def before(self, e: Exchange) -> list[Entry]:
        """Return the timetable as it was when a question was asked: of the jobs that were there by then."""
        at = self._trace.exchanges.index(e)
        there = {id(one) for one in self._trace.exchanges[:at]}
        known = sum(id(one) in there for one in self._trace.submits())
        return self._with(sum(n < at for n, _ in self._cancels))[:known]

    def final(self) -> list[Entry]:
        """Return the timetable as it was in the end."""
        return self._with(len(self._cancels))

    def _with(self, cancels: int) -> list[Entry]:
        if cancels not in self._known:
            heard = [e for _, e in self._cancels[:cancels]]
            entries = [
                _entry(self._trace, e, heard, delay=_delay(self._trace, order))
                for order, e in enumerate(self._trace.submits())
            ]
            facts = self._trace.facts
            schedule_jobs(entries, runners=facts["runners"], concurrency=facts["concurrency"])
            self._known[cancels] = entries
        return self._known[cancels]


def may_run_again(trace: Trace) -> bool:
    """Tell whether some job may be run again: a time limit ends in a 504, which the platform tries again."""
    limited = trace.facts.get("run_timeout") is not None
    return limited and any("X-Fal-No-Retry" not in e.step.headers for e in trace.submits())


def _delay(trace: Trace, order: int) -> float:
    """Return the seconds by which a fault makes a run longer: of the job before which there were `order`."""
    rules = trace.program.setup.get(FAULTS, ())
    struck = [rule["fault"] for rule in rules if rule.get("after", 0) == order]
    return sum(float(fault.partition("seconds=")[2]) for fault in struck if fault.startswith(SLOW))


def _entry(trace: Trace, e: Exchange, cancels: list[Exchange], *, delay: float) -> Entry:
    headers = {name.lower(): value for name, value in e.sent.items()}
    facts = trace.facts
    takes = float(facts["run_seconds"]) + delay
    if rejected_at_once(e):
        takes *= facts["rejection_share"]
    elif facts["run_timeout"] is not None:
        takes = min(takes, facts["run_timeout"])
    return Entry(
        name=e.step.job,
        line=application(e.step.endpoint),
        caller=e.step.key,
        submitted=_moment(trace, e),
        ready=e.at + facts["queue_seconds"],
        takes=takes,
        low=headers.get("x-fal-queue-priority") == "low",
        start_by=e.at + float(headers.get("x-fal-request-timeout", "inf")),
        cancelled=min((_moment(trace, c) for c in cancels if c.step.job == e.step.job), default=math.inf),
    )


def _moment(trace: Trace, e: Exchange) -> float:
    """Return when something was asked: after what was due by then, and after what was asked before."""
    return e.at + INSTANT * (trace.exchanges.index(e) + 1)


def rejected_at_once(e: Exchange) -> bool:
    """Tell whether the runner refuses a submit before the model is asked."""
    if e.step.endpoint != VEO2:
        return True
    kind = {name.lower(): value for name, value in e.sent.items()}.get("content-type")
    return published.body_errors(e.content, kind) != frozenset()
