"""Logs, and the status stream."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from falcontract import automaton
from falcontract.claims import Claims, claim, equal, member, prop
from falcontract.targets import STREAM_STEP

if TYPE_CHECKING:
    from falcontract.traces import Exchange, Trace

WANTED: Final = ("1", "true", "True")
LEVELS: Final = ("STDERR", "STDOUT", "ERROR", "INFO", "WARN", "WARNING", "DEBUG", "TRACE")
TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
HEARTBEAT: Final = 15.0  # seconds
STREAM: Final = "text/event-stream"


def wants_logs(e: Exchange) -> bool:
    """Tell whether a read asked for logs, in any of the clients' authorization_headers."""
    return parse_qs(e.step.query).get("logs", [""])[0] in WANTED


@prop(
    29,
    "Log lines come when they are asked for; the key is there always",
    "logs",
    general=True,
    tier=2,
    evidence="PROTOCOL 4.3 (C, E)",
)
def logs_on_demand(trace: Trace) -> Claims:
    """See the title: null when not asked for, a list when asked for and the job has started."""
    for job in trace.jobs():
        for _, told, e in trace.states(job):
            if told.get("status") not in automaton.STATES:
                continue
            yield claim("logs" in told, "the key is there", e, sorted(told))
            logs = told.get("logs")
            if not wants_logs(e):
                yield equal(logs, None, "nothing was asked for, nothing is told", e)
            elif told["status"] != automaton.QUEUED:
                yield claim(isinstance(logs, list), "a list was asked for and is told", e, logs)


@prop(
    30,
    "A log entry has timestamp, message and level; timestamps do not go back",
    "logs",
    "stream",
    tier=4,
    evidence="PROTOCOL 4.4 (D-queue, C)",
)
def log_entries_are_whole(trace: Trace) -> Claims:
    """Both shapes that clients read: flat, and with labels."""
    for job in trace.jobs():
        for _, told, e in trace.states(job):
            entries = _entries(told)
            for entry in entries:
                good = isinstance(entry, dict) and isinstance(entry.get("message"), str)
                yield claim(good, "an entry has a message", e, entry)
                stamp = entry.get("timestamp") if good else None
                yield claim(TIMESTAMP.fullmatch(str(stamp)), "an entry has an ISO 8601 time", e, stamp)
                yield member(entry.get("level") if good else None, LEVELS, "an entry has a level", e)
                labels = entry.get("labels") if good else None
                yield claim(isinstance(labels, dict) and "level" in labels, "an entry has labels", e, labels)
            stamps = [str(entry.get("timestamp")) for entry in entries if isinstance(entry, dict)]
            yield equal(stamps, sorted(stamps), "timestamps do not go back", e)


@prop(
    31,
    "The log of a job only grows: what two polls have in common is the same in both",
    "logs",
    mock="D",
    live="canary",
    tier=4,
    evidence="PROTOCOL 4.4 (cumulative); fal's own tests know a moving window",
)
def logs_are_windows_of_one_log(trace: Trace) -> Claims:
    """A poll may have dropped the oldest lines, but never changes or loses a line in between."""
    for job in trace.jobs():
        before: list[Any] | None = None
        last: Exchange | None = None
        for _, told, e in trace.states(job):
            if wants_logs(e) and e.step.do != "stream" and isinstance(told.get("logs"), list):
                now = told["logs"]
                if before is not None:
                    yield claim(_continues(before, now), "the log goes on where it was", e, [before, now])
                    yield claim(len(now) >= len(before), "nothing is forgotten in a minute", e, [before, now])
                before, last = now, e
        if before is not None:
            messages = [entry.get("message") for entry in before if isinstance(entry, dict)]
            yield claim(len(set(messages)) > 1, "a job that ran has written something", last, messages)


def _continues(before: list[Any], now: list[Any]) -> bool:
    """Whether some end of the old list is the beginning of the new one."""
    return any(
        now[: len(before) - gone] == before[gone:] for gone in range(len(before) + 1) if gone < len(before)
    ) or (not before)


def _entries(told: Any) -> list[Any]:
    logs = told.get("logs") if isinstance(told, dict) else None
    return logs if isinstance(logs, list) else []


@prop(
    32,
    "A status stream says what polling would, ends with COMPLETED by itself, and is never silent for long",
    "stream",
    "stream-long",
    "stream-cancelled",
    tier=4,
    evidence="PROTOCOL 4.5 (D-queue, C); comment every 15 s (NEEDS 2.2)",
)
def streams_say_what_polls_say(trace: Trace) -> Claims:
    """See the title."""
    for e in trace.of("stream"):
        if not trace.is_plain(e):
            continue
        yield equal(e.status, 200, "a stream is answered 200", e)
        kind = e.headers.get("content-type", "").partition(";")[0]
        yield equal(kind, STREAM, "it is an event stream", e)
        yield equal(e.error, "", "it closes by itself", e)
        told = [event.json for event in e.events if event.data is not None]
        yield claim(all(isinstance(one, dict) for one in told), "every message is a status object", e, told)
        states = [one.get("status") for one in told if isinstance(one, dict)]
        yield equal(states[-1:], [automaton.DONE], "the last message says COMPLETED", e)
        yield equal(states.count(automaton.DONE), 1, "and only the last", e)
        yield equal(
            _same(told[-1]) if told else None, _same(_after(trace, e)), "a poll afterwards says the same", e
        )
        yield from _never_silent(trace, e)
        yield from _each_line_once(trace, e, told)


def _never_silent(trace: Trace, e: Exchange) -> Claims:
    times = [e.at, *(event.at for event in e.events)]
    longest = max((b - a for a, b in pairwise(times)), default=0.0)
    slack = STREAM_STEP if trace.exact_time else 2.0
    yield claim(longest <= HEARTBEAT + slack, "there is a message or a comment every 15 s", e, longest)


def _each_line_once(trace: Trace, e: Exchange, told: list[Any]) -> Claims:
    if not wants_logs(e):
        return
    lines = [(entry["timestamp"], entry["message"]) for one in told for entry in _entries(one)]
    yield claim(len(lines) == len(set(lines)), "a stream tells each line once", e, lines)
    after = [(entry["timestamp"], entry["message"]) for entry in _entries(_after(trace, e, logs=True))]
    if after:
        yield equal(sorted(lines), sorted(after), "and all of them", e)


def _after(trace: Trace, e: Exchange, *, logs: bool = False) -> Any:
    later = trace.exchanges[trace.exchanges.index(e) + 1 :]
    reads = [r for r in later if r.step.do == "status" and r.step.job == e.step.job]
    return next((r.json for r in reads if wants_logs(r) == logs), None)


def _same(told: Any) -> Any:
    return {k: v for k, v in told.items() if k != "logs"} if isinstance(told, dict) else None


@prop(
    33,
    "A stream that is opened after the end says so once and closes",
    "stream-late",
    live="V",
    tier=2,
    evidence="PROTOCOL 4.5 (I)",
)
def late_streams_close(trace: Trace) -> Claims:
    """See the title."""
    for e in trace.of("stream"):
        states = [event.json.get("status") for event in e.events if isinstance(event.json, dict)]
        yield equal(states, [automaton.DONE], "there is one message, COMPLETED", e)
        yield equal(e.error, "", "it closes by itself", e)
        yield claim(e.done_at - e.at < HEARTBEAT, "it closes at once", e, e.done_at - e.at)
