"""The status of a job: its values, its order, its position, and that only time changes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from falcontract.model.automaton import DONE, QUEUED, RUNNING, STATES, judgements
from falcontract.model.prediction import Timetables, has_timetable, may_run_again
from falcontract.model.timetable import ScheduledJob, position_of
from falcontract.properties.claims import Claim, Claims, claim, equal, member, prop
from falcontract.targets.base import STREAM_STEP

if TYPE_CHECKING:
    from falcontract.traces import Trace


@prop(
    3,
    "lifecycle cancel-queued cancel-running broken-input",
    general=True,
    tier=2,
    evidence="PROTOCOL 4.3 (C, L)",
)
def status_is_one_of_three(trace: Trace) -> Claims:
    """A status is IN_QUEUE, IN_PROGRESS or COMPLETED, and nothing else."""
    for _, status, e in trace.states():
        yield member("status", status.get("status"), STATES, "the status is one of three", e)


@prop(4, "lifecycle", general=True, tier=2, evidence="PROTOCOL 4.3 (S, E)")
def code_follows_status(trace: Trace) -> Claims:
    """A status is answered 202 until COMPLETED, and then 200."""
    for e in trace.of("status"):
        if e.ok and trace.is_plain(e):
            code = 200 if e.state == DONE else 202
            yield equal("code", e.status, code, f"{e.state} comes with {code}", e)


@prop(5, "lifecycle cancel-queued cancel-running", general=True, tier=2, evidence="PROTOCOL 4.3 (C)")
def completed_is_final(trace: Trace) -> Claims:
    """COMPLETED is final: every later read reports it too."""
    for job in trace.jobs():
        done = False
        for _, status, e in trace.states(job):
            if done:
                yield equal("status", status.get("status"), DONE, "a completed job stays COMPLETED", e)
            done = done or status.get("status") == DONE


@prop(
    6,
    "lifecycle queue cancel-running rerun",
    general=True,
    mock="D",
    tier=4,
    evidence="PROTOCOL 4.3, 4.8; on fal a re-run may lead back",
)
def states_come_in_order(trace: Trace) -> Claims:
    """A job goes from IN_QUEUE through IN_PROGRESS to COMPLETED.

    The automaton accepts all answers. On an exact clock without re-runs no edge leads back.
    """
    reruns = not trace.exact_time or may_run_again(trace)
    for problem, e in judgements(trace, reruns=reruns):
        text = "the automaton accepts the answer" + (f": {problem}" if problem else "")
        yield claim("order", problem is None, text, e, e.body[:200])


@prop(7, "lifecycle queue", general=True, mock="D", live="S", tier=3, evidence="PROTOCOL 4.3 (C, L-poll)")
def position_only_in_queue(trace: Trace) -> Claims:
    """A status has a queue position exactly while IN_QUEUE, and it never rises."""
    for job in trace.jobs():
        before = None
        submit = trace.submitted(job)
        may_rise = (
            submit is None or submit.step.header("x-fal-queue-priority") == "low" or may_run_again(trace)
        )
        for _, status, e in trace.states(job):
            has = "queue_position" in status
            queued = status.get("status") == QUEUED
            yield equal("present", has, queued, "the status has a position while IN_QUEUE", e)
            if has and isinstance(status["queue_position"], int):
                if before is not None and not may_rise:
                    falls = status["queue_position"] <= before
                    yield claim("falls", falls, "the position does not rise", e, status)
                before = status["queue_position"]


@prop(
    8,
    "queue queue-low-priority queue-cancelled",
    mock="D",
    live="canary",
    tier=4,
    needs=("stand-still",),
    evidence="PROTOCOL 4.8 (D)",
)
def position_counts_the_jobs_ahead(trace: Trace) -> Claims:
    """The position is the number of jobs ahead, first come first served."""
    if not trace.exact_time:
        return
    timetables = Timetables(trace)
    for at, status, e in trace.states():
        if status.get("status") == QUEUED:
            entry, entries = timetables.of(e), timetables.before(e)
            ahead = position_of(entry, entries, at)
            text = f"{ahead} jobs are ahead of {entry.name}"
            yield equal("position", status.get("queue_position"), ahead, text, e)


@prop(
    9,
    "repeated-polls",
    general=True,
    tier=2,
    needs=("stand-still",),
    evidence="PROTOCOL 4.3; in emulators, jobs that move when polled mislead tests",
)
def reads_change_nothing(trace: Trace) -> Claims:
    """Reads change nothing: two reads at the same time are equal."""
    if not trace.exact_time:
        return
    last: dict[tuple[str, str, str], tuple[float, bytes]] = {}
    for e in trace.exchanges:
        if e.step.do in {"submit", "cancel"}:
            last.clear()
        elif e.step.do in {"status", "until"} and trace.is_plain(e):
            key = (e.step.job, e.step.query, e.step.key)
            if key in last and last[key][0] == e.at:
                yield equal("repeat", e.body, last[key][1], "two reads at the same time are equal", e)
            last[key] = (e.at, e.body)


@prop(
    75,
    "repeated-polls repeated-results queue queue-low-priority start-timeout cancel-running",
    general=True,
    tier=4,
    live="canary",
    needs=("stand-still",),
    evidence="PROTOCOL 4.3, 4.8 (D, R): the state follows from time, limits, priority and cancels",
)
def states_are_on_schedule(trace: Trace) -> Claims:
    """Jobs start and end when the timetable says: by limits, priorities, deadlines and cancels."""
    if not has_timetable(trace):
        return
    timetables = Timetables(trace)
    for at, status, e in trace.states():
        entry = timetables.of(e)
        allowed = _states_in_stream(entry, at) if e.step.do == "stream" else {entry.state(at)}
        text = f"after {at:g} s {entry.name} is {entry.state(at)}"
        found = status.get("status")
        yield Claim("schedule", found in allowed, text, e, entry.state(at), found)


def _states_in_stream(entry: ScheduledJob, at: float) -> set[str]:
    """Return the states that a stream may report: it is read in steps, and a run may be shorter than one."""
    passed = {RUNNING} if at - STREAM_STEP <= entry.started <= at else set()
    return {entry.state(at - STREAM_STEP), entry.state(at)} | passed


@prop(28, "trailing-slash", tier=1, evidence="PROTOCOL 3 (S: fal.apps sends them)")
def trailing_slash_changes_nothing(trace: Trace) -> Claims:
    """A trailing slash changes nothing.

    The step with a slash follows the one without.
    """
    for plain, slashed in zip(trace.exchanges, trace.exchanges[1:], strict=False):
        if slashed.step.path.endswith("/"):
            yield equal("code", slashed.status, plain.status, "the code is the same with a slash", slashed)
            yield equal("body", slashed.body, plain.body, "the body is the same with a slash", slashed)


@prop(40, "over-limit", live="canary", tier=4, evidence="PROTOCOL 4.8 (D-conc)")
def jobs_over_the_limit_wait(trace: Trace) -> Claims:
    """At most the limit of jobs runs; the rest waits and is never refused.

    Compares the statuses of all jobs at the same time.
    """
    for e in trace.of("submit"):
        yield equal("submit", e.status, 200, "a submit over the limit is accepted", e)
    for e in trace.of("status"):
        yield claim("status", e.ok, "a status over the limit is answered", e, e.status)
    limit = trace.facts.get("concurrency")
    times: dict[float, dict[str, str]] = {}
    for at, status, e in trace.states():
        times.setdefault(at, {})[e.step.job] = str(status.get("status"))
    if limit is None:
        return
    for at, states in times.items():
        running = list(states.values()).count(RUNNING)
        found = json.dumps(states)
        yield claim("limit", running <= limit, f"after {at:g} s at most {limit} jobs run", found=found)
        if len(states) > limit and running:
            used = running == limit or QUEUED not in states.values()
            yield claim("used", used, f"after {at:g} s no job waits while a place is free", found=found)
