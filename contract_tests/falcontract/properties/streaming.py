"""Logs and the status stream."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from falcontract.model.automaton import DONE, QUEUED, STATES
from falcontract.model.prediction import application
from falcontract.properties.claims import Claims, claim, equal, member, prop
from falcontract.targets.base import STREAM_STEP

if TYPE_CHECKING:
    from falcontract.traces import Exchange, Trace

TRUE: Final = ("1", "true", "True")  # as the clients spell it
LEVELS: Final = ("STDERR", "STDOUT", "ERROR", "INFO", "WARN", "WARNING", "DEBUG", "TRACE")
TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}")  # no zone
MEMBERS: Final = ["timestamp", "message", "labels"]
LABELS: Final = [  # sorted, as recorded
    *("app", "app_id", "fal_endpoint", "fal_env", "fal_job_id", "fal_multiplexing_app", "fal_node_id"),
    *("fal_public_logs", "fal_request_id", "fal_user_nickname", "fal_worker_id", "isolate_source", "level"),
    *("logged_at", "message", "source"),
]
ACCESS_LINE: Final = re.compile(r'INFO:     [\d.]+:\d+ - "POST /\S* HTTP/1\.1" \d{3} .+')
HEARTBEAT: Final = 15.0  # seconds
SLACK: Final = 2.0  # seconds, on a clock that is not exact
EVENT_STREAM: Final = "text/event-stream"


def wants_logs(e: Exchange) -> bool:
    """Return whether a call requests logs."""
    return parse_qs(e.step.query).get("logs", [""])[0] in TRUE


@prop(29, "logs", general=True, tier=2, evidence="PROTOCOL 4.3 (C, E)")
def logs_come_on_request(trace: Trace) -> Claims:
    """Logs come on request; the key is always present.

    Without a request the value is null; with one it is a list from the start of the run on.
    """
    for _, status, e in trace.states():
        if status.get("status") not in STATES:
            continue
        yield claim("present", "logs" in status, "the key is present", e, sorted(status))
        logs = status.get("logs")
        if not wants_logs(e):
            yield equal("null", logs, None, "logs are null unless requested", e)
        elif status["status"] != QUEUED:
            yield claim("list", isinstance(logs, list), "requested logs are a list", e, logs)


@prop(30, "logs stream", tier=4, evidence="PROTOCOL 4.4 (R 2026-02)", each="run")
def log_entries_are_complete(trace: Trace) -> Claims:
    """A log entry is exactly timestamp, message and labels; times have no zone, and do not decrease.

    Level and source are labels, not members.
    """
    for _, status, e in trace.states():
        entries = [entry if isinstance(entry, dict) else {} for entry in _entries(status)]
        for entry in entries:
            stamp = str(entry.get("timestamp"))
            yield claim("message", isinstance(entry.get("message"), str), "it has a message", e, entry)
            yield equal("members", list(entry), MEMBERS, "it has no other members", e)
            is_time = TIMESTAMP.fullmatch(stamp)
            yield claim("time", is_time, "its time has microseconds and no zone", e, stamp)
            yield member("level", _labels(entry).get("level"), LEVELS, "its labels have a level", e)
        for before, after in pairwise(str(entry.get("timestamp")) for entry in entries):
            yield claim("order", before <= after, "timestamps do not decrease", e, [before, after])


@prop(65, "logs stream", tier=4, evidence="PROTOCOL 4.4 (R 2026-02)", each="run")
def labels_are_those_of_the_gateway(trace: Trace) -> Claims:
    """The labels of a log entry are sorted, name request and application, and repeat message and time."""
    for _, status, e in trace.states():
        submit = trace.submitted(e.step.job)
        for entry in (entry for entry in _entries(status) if isinstance(entry, dict) and submit):
            labels = _labels(entry)
            yield equal("names", list(labels), LABELS, "the labels are those of fal, sorted", e)
            texts = all(isinstance(value, str) for value in labels.values())
            yield claim("texts", texts, "every label is a text", e, labels)
            known = {
                "fal_request_id": e.request_id,
                "fal_endpoint": application(submit.step.endpoint) if submit else "",
                "message": str(entry.get("message")).replace("|", "_"),
                "logged_at": f"{entry.get('timestamp')}+00:00",
                "fal_env": "prod",
                "isolate_source": "USER",
                "source": "gateway",
            }
            found = {name: labels.get(name) for name in known}
            yield equal("values", found, known, "they describe the request and the entry", e)


@prop(105, "logs logs-rejected stream", tier=4, evidence="PROTOCOL 4.4 (R 2026-02)", each="run")
def logs_end_with_the_access_line(trace: Trace) -> Claims:
    """The log of a finished run ends with the access line of the runner, whatever it answered."""
    for _, status, e in trace.states():
        if status.get("status") == DONE and "error_type" not in status and wants_logs(e):
            last = str(([{}, *_entries(status)][-1] or {}).get("message"))
            yield claim("last", ACCESS_LINE.fullmatch(last), "its last entry is an access line", e, last)


def _labels(entry: dict[str, Any]) -> dict[str, Any]:
    labels = entry.get("labels")
    return labels if isinstance(labels, dict) else {}


@prop(
    31,
    "logs",
    mock="D",
    live="canary",
    tier=4,
    evidence="PROTOCOL 4.4 (cumulative); fal's own tests use a moving window",
)
def log_only_grows(trace: Trace) -> Claims:
    """The log of a job only grows: lines that two polls have in common are the same in both.

    An exact target keeps all lines. Elsewhere the oldest may be missing, but none between the others.
    """
    for job in trace.jobs():
        before: list[Any] = []
        polled = False
        for _, status, e in trace.states(job):
            logs = status.get("logs")
            if not wants_logs(e) or e.step.do == "stream" or not isinstance(logs, list):
                continue
            if polled:
                kept = logs[: len(before)] == before if trace.exact_time else _continues(before, logs)
                yield claim("grows", kept, "the log continues the last one", e, [before, logs])
            before, polled = logs, True
        if polled:
            messages = [str(entry.get("message")) for entry in before if isinstance(entry, dict)]
            yield claim("lines", len(set(messages)) > 1, "a finished job has several lines", found=messages)


def _continues(before: list[Any], after: list[Any]) -> bool:
    """Return whether some end of the old list is the start of the new one."""
    ends = [before[n:] for n in range(len(before))] or [[]]
    return any(after[: len(end)] == end for end in ends)


def _entries(status: Any) -> list[Any]:
    logs = status.get("logs") if isinstance(status, dict) else None
    return logs if isinstance(logs, list) else []


@prop(
    32,
    "stream stream-long stream-cancelled",
    tier=4,
    evidence="PROTOCOL 4.5 (D-queue, C); a comment every 15 s is assumed",
    each="run",
)
def streams_report_the_same_as_polls(trace: Trace) -> Claims:
    """A status stream reports the same as polls, ends with COMPLETED, and is never silent for long."""
    for e in trace.of("stream"):
        if not trace.is_plain(e):
            continue
        yield equal("code", e.status, 200, "a stream is answered 200", e)
        kind = e.headers.get("content-type", "").partition(";")[0]
        yield equal("content-type", kind, EVENT_STREAM, "it is an event stream", e)
        yield equal("closes", e.error, "", "it closes", e)
        messages = [event.json for event in e.events if event.data is not None]
        are_objects = all(isinstance(message, dict) for message in messages)
        yield claim("objects", are_objects, "every message is a status object", e, messages)
        states = [message.get("status") for message in messages if isinstance(message, dict)]
        yield equal("last", states[-1:], [DONE], "the last message is COMPLETED", e)
        yield equal("once", states.count(DONE), 1, "only the last message is COMPLETED", e)
        last = _without_logs(messages[-1]) if messages else None
        yield equal("poll", last, _without_logs(_next_status(trace, e)), "a later poll reports the same", e)
        yield from _is_never_silent(trace, e)
        if wants_logs(e):
            yield from _has_each_line_once(trace, e, messages)


def _is_never_silent(trace: Trace, e: Exchange) -> Claims:
    times = [e.at, *(event.at for event in e.events)]
    longest = max((b - a for a, b in pairwise(times)), default=0.0)
    slack = STREAM_STEP if trace.exact_time else SLACK
    text = "a message or comment comes every 15 s"
    yield claim("heartbeat", longest <= HEARTBEAT + slack, text, e, longest)


def _has_each_line_once(trace: Trace, e: Exchange, messages: list[Any]) -> Claims:
    lines = [_line(entry) for message in messages for entry in _entries(message)]
    yield claim("line-once", len(lines) == len(set(lines)), "a stream has each line once", e, lines)
    polled = [_line(entry) for entry in _entries(_next_status(trace, e, logs=True))]
    if polled:
        yield equal("all-lines", sorted(lines), sorted(polled), "a stream has all lines", e)


def _line(entry: Any) -> tuple[str, str]:
    found = entry if isinstance(entry, dict) else {}
    return str(found.get("timestamp")), str(found.get("message"))


def _next_status(trace: Trace, e: Exchange, *, logs: bool = False) -> Any:
    reads = (r for r in trace.after(e) if r.step.do == "status" and r.step.job == e.step.job)
    return next((r.json for r in reads if wants_logs(r) == logs), None)


def _without_logs(status: Any) -> Any:
    return {k: v for k, v in status.items() if k != "logs"} if isinstance(status, dict) else None


@prop(33, "stream-late", live="V", tier=2, evidence="PROTOCOL 4.5 (I)")
def late_stream_closes(trace: Trace) -> Claims:
    """A stream that is opened after the end sends one COMPLETED and closes."""
    for e in trace.of("stream"):
        states = [event.json.get("status") for event in e.events if isinstance(event.json, dict)]
        yield equal("message", states, [DONE], "the only message is COMPLETED", e)
        yield equal("closes", e.error, "", "it closes", e)
        yield claim("soon", e.done_at - e.at < HEARTBEAT, "it closes soon", e, e.done_at - e.at)
