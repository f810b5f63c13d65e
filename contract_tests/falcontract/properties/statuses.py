"""What a status may say, when, and what moves it: time alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from falcontract import automaton
from falcontract.claims import Claim, Claims, claim, equal, member, prop, refuted, shown
from falcontract.prediction import Timetables, may_run_again
from falcontract.targets import STREAM_STEP
from falcontract.timetable import Entry, position_of

if TYPE_CHECKING:
    from falcontract.traces import Trace


@prop(
    3,
    "A status is IN_QUEUE, IN_PROGRESS or COMPLETED, and nothing else ever",
    "lifecycle",
    "cancel-queued",
    "cancel-running",
    "broken-input",
    general=True,
    tier=2,
    evidence="PROTOCOL 4.3 (C, L)",
)
def three_states_only(trace: Trace) -> Claims:
    """See the title."""
    for job in trace.jobs():
        for _, told, e in trace.states(job):
            yield member(told.get("status"), automaton.STATES, "the status is one of three", e)


@prop(
    4,
    "A status is answered 202 until COMPLETED, and then 200",
    "lifecycle",
    general=True,
    tier=2,
    evidence="PROTOCOL 4.3 (S, E)",
)
def code_follows_state(trace: Trace) -> Claims:
    """See the title."""
    for e in trace.of("status"):
        if e.ok and trace.is_plain(e):
            expected = 200 if e.state == automaton.DONE else 202
            yield equal(e.status, expected, f"{e.state} comes with {expected}", e)


@prop(
    5,
    "COMPLETED is the end: every later read says so too",
    "lifecycle",
    "cancel-queued",
    "cancel-running",
    general=True,
    tier=2,
    evidence="PROTOCOL 4.3 (C)",
)
def completed_is_absorbing(trace: Trace) -> Claims:
    """See the title."""
    for job in trace.jobs():
        done = False
        for _, told, e in trace.states(job):
            state = told.get("status")
            if done:
                yield equal(state, automaton.DONE, "what was COMPLETED stays so", e)
            done = done or state == automaton.DONE


@prop(
    6,
    "A job goes from IN_QUEUE over IN_PROGRESS to COMPLETED",
    "lifecycle",
    "queue",
    "cancel-running",
    "rerun",
    general=True,
    mock="D",
    live="H",
    tier=4,
    evidence="PROTOCOL 4.3, 4.8; on fal a re-run may lead back",
)
def states_come_in_order(trace: Trace) -> Claims:
    """The automaton accepts what was said; an emulator that does not re-run never goes back."""
    reruns = not trace.exact_time or may_run_again(trace)
    wrong = list(automaton.rejections(trace, reruns=reruns))
    for text, e in wrong:
        yield refuted(f"the automaton accepts the course of events: {text}", e, e.body[:200])
    if trace.jobs() and not wrong:
        yield shown("the automaton accepts the course of events")


@prop(
    7,
    "There is a queue position exactly while IN_QUEUE, and it never rises",
    "lifecycle",
    "queue",
    general=True,
    mock="D",
    live="S",
    tier=3,
    evidence="PROTOCOL 4.3 (C, L-poll)",
)
def position_only_while_queued(trace: Trace) -> Claims:
    """See the title."""
    for job in trace.jobs():
        before = None
        submitted = trace.submitted(job)
        overtaken = submitted is not None and "low" in submitted.sent.values()  # who is in no hurry
        for _, told, e in trace.states(job):
            has = "queue_position" in told
            yield equal(has, told.get("status") == automaton.QUEUED, "a position is told while IN_QUEUE", e)
            if has and isinstance(told["queue_position"], int):
                if before is not None and not overtaken and not may_run_again(trace):
                    yield claim(told["queue_position"] <= before, "the position does not rise", e, told)
                before = told["queue_position"]


@prop(
    8,
    "The position counts those who stand before, first come first served",
    "queue",
    "queue-low-priority",
    "queue-cancelled",
    mock="D",
    live="canary",
    tier=4,
    needs=("stand-still",),
    evidence="PROTOCOL 4.8 (D)",
)
def position_counts_those_ahead(trace: Trace) -> Claims:
    """The timetable knows who stands in line."""
    if not trace.exact_time:
        return
    timetables = Timetables(trace)
    for job in trace.jobs():
        for at, told, e in trace.states(job):
            if told.get("status") == automaton.QUEUED:
                entries = timetables.before(e)
                ahead = position_of(next(entry for entry in entries if entry.name == job), entries, at)
                yield equal(told.get("queue_position"), ahead, f"{ahead} stand before {job}", e)


@prop(
    9,
    "Reads change nothing: what a status says follows from the time alone",
    "repeated-polls",
    "repeated-results",
    general=True,
    tier=2,
    needs=("stand-still",),
    evidence="PROTOCOL 4.3; NEEDS 2.2 (an emulator that moves jobs by polling misleads every test)",
)
def reads_are_pure(trace: Trace) -> Claims:
    """Two reads at one moment say the same, and where the clock is exact, the timetable says what."""
    if not trace.exact_time:
        return
    last: dict[tuple[str, str, str], tuple[float, bytes]] = {}
    for e in trace.exchanges:
        if e.step.do in {"submit", "cancel"}:
            last.clear()
        elif e.step.do in {"status", "until"} and trace.is_plain(e):
            key = (e.step.job, e.step.query, e.step.key)
            if key in last and last[key][0] == e.at:
                yield equal(e.body, last[key][1], "two reads at one moment say the same", e)
            last[key] = (e.at, e.body)
    if may_run_again(trace):
        return
    timetables = Timetables(trace)
    for job in trace.jobs():
        for at, told, e in trace.states(job):
            state = told.get("status")
            entry = next(entry for entry in timetables.before(e) if entry.name == job)
            held = _held(entry, at) if e.step.do == "stream" else {entry.state(at)}
            text = f"{at:g} s after the beginning {job} is {entry.state(at)}"
            yield Claim(state in held, text, e, entry.state(at), state)


def _held(entry: Entry, at: float) -> set[str]:
    """Return the states that a stream may tell at a time: it is read in strides, and a run may take none."""
    passed_through = {automaton.RUNNING} if at - STREAM_STEP <= entry.started <= at else set()
    return {entry.state(at - STREAM_STEP), entry.state(at)} | passed_through


@prop(
    28,
    "A trailing slash changes nothing",
    "trailing-slash",
    tier=1,
    evidence="PROTOCOL 3 (S: fal.apps sends them)",
)
def trailing_slash_changes_nothing(trace: Trace) -> Claims:
    """The step with a slash comes right after the one without."""
    for plain, slashed in zip(trace.exchanges, trace.exchanges[1:], strict=False):
        if slashed.step.path.endswith("/"):
            yield equal(slashed.status, plain.status, "the code is the same with a slash", slashed)
            yield equal(slashed.body, plain.body, "the body is the same with a slash", slashed)


@prop(
    40,
    "No more run than the limit allows; the surplus waits and is never refused",
    "over-limit",
    live="canary",
    tier=4,
    evidence="PROTOCOL 4.8 (D-conc)",
)
def surplus_waits(trace: Trace) -> Claims:
    """Statuses of all jobs at one moment, as the program reads them."""
    limit = trace.facts.get("concurrency")
    for e in trace.of("submit"):
        yield equal(e.status, 200, "a submit over the limit is taken", e)
    moments: dict[float, dict[str, str]] = {}
    for job in trace.jobs():
        for at, told, e in trace.states(job):
            yield claim(e.status != 429, "a status over the limit is told", e)
            moments.setdefault(at, {})[job] = str(told.get("status"))
    if limit is None:
        return
    for at, states in moments.items():
        running = list(states.values()).count(automaton.RUNNING)
        yield claim(running <= limit, f"at {at:g} s at most {limit} run", found=json.dumps(states))
        if len(states) > limit and automaton.RUNNING in states.values():
            queued = list(states.values()).count(automaton.QUEUED)
            done = list(states.values()).count(automaton.DONE)
            yield claim(
                running == limit or queued == 0,
                f"at {at:g} s the free places are taken",
                found=json.dumps([states, done]),
            )
