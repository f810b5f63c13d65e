"""Mutants of logs and status streams."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from falcontract.mutation.internals import errors, logs, queue_host
from falcontract.mutation.patching import DONE, Patch, change_answer, planted, replaces, with_members

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response


def _change_logs(patch: Patch, change: Callable[[list[Any]], list[Any]]) -> None:
    patch.around(logs, "entries", lambda original, *args, **kwargs: change(original(*args, **kwargs)))


def _change_labels(patch: Patch, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    _change_logs(patch, lambda lines: [one | {"labels": change(one["labels"])} for one in lines])


def _change_stream(patch: Patch, change: Callable[[Any, Any, str], Any]) -> None:
    """Change the events of streams; `change` gets their iterator, the emulator and the request id."""

    def events(original: Any, host: Any, context: Any, request_id: str, **kwargs: Any) -> Any:
        return change(original(host, context, request_id, **kwargs), host._emulator, request_id)

    patch.around(queue_host.QueueHost, "_events", events)


@replaces(queue_host.QueueHost, "_describe")
def logs_come_without_a_request(original: Any, host: Any, context: Any, job: Any, **_: Any) -> dict[str, Any]:
    """Logs are always a list."""
    status: dict[str, Any] = original(host, context, job, lines=host._emulator.logs(job))
    return status


def logs_key_is_missing(patch: Patch) -> None:
    """A status has no key for logs unless they are requested."""

    def change(body: dict[str, Any]) -> None:
        if body["logs"] is None:
            del body["logs"]

    reshape = with_members(change)
    change_answer(patch, "_status", lambda response, _: reshape(response))


def logs_true_is_ignored(patch: Patch) -> None:
    """Only logs=1 requests logs; logs=true does not."""
    patch.set(queue_host, "_TRUE", frozenset({"1"}))


def logs_are_newest_first(patch: Patch) -> None:
    """The newest line comes first."""
    _change_logs(patch, lambda lines: lines[::-1])


def log_lines_have_flat_fields(patch: Patch) -> None:
    """A line has level and source beside its labels, as the JS types say."""
    _change_logs(patch, lambda lines: [{**one, "level": "INFO", "source": "USER"} for one in lines])


@replaces(logs, "entries")
def rejected_runs_have_no_access_line(
    original: Any, catalogue: Any, request: Any, *args: Any, **more: Any
) -> list[Any]:
    """The log of a rejected run ends before the access line."""
    lines: list[Any] = original(catalogue, request, *args, **more)
    return lines if request.status == 200 else [one for one in lines if "HTTP/1.1" not in one["message"]]


def log_lines_have_no_labels(patch: Patch) -> None:
    """A line has no labels, which two clients need."""
    _change_logs(patch, lambda lines: [{k: v for k, v in one.items() if k != "labels"} for one in lines])


def log_times_have_a_zone(patch: Patch) -> None:
    """The time of a line ends with Z."""
    _change_logs(patch, lambda lines: [one | {"timestamp": one["timestamp"] + "Z"} for one in lines])


def labels_have_no_level(patch: Patch) -> None:
    """The labels have no level."""
    _change_labels(patch, lambda labels: {k: v for k, v in labels.items() if k != "level"})


def labels_name_the_user_as_source(patch: Patch) -> None:
    """The source in the labels is USER."""
    _change_labels(patch, lambda labels: labels | {"source": "USER"})


def labels_name_the_endpoint(patch: Patch) -> None:
    """fal_endpoint has the whole endpoint id."""
    _change_labels(patch, lambda labels: labels | {"fal_endpoint": "fal-ai/veo2/image-to-video"})


def labels_are_not_sorted(patch: Patch) -> None:
    """The labels are in another order."""
    _change_labels(patch, lambda labels: dict(reversed(labels.items())))


def old_log_lines_disappear(patch: Patch) -> None:
    """Logs contain only the last two lines."""
    _change_logs(patch, lambda lines: lines[-2:])


def log_lines_change(patch: Patch) -> None:
    """Each line contains the number of lines."""
    _change_logs(
        patch, lambda lines: [one | {"message": f"{one['message']} ({len(lines)})"} for one in lines]
    )


@planted(_change_stream)
async def streams_never_close(events: Any, core: Any, _: str) -> Any:
    """A stream stays open after the end."""
    async for event in events:
        yield event
    await core.clock.sleep_until(math.inf)


@planted(_change_stream)
async def streams_end_early(events: Any, *_: Any) -> Any:
    """A stream ends before the last message."""
    async for event in events:
        if b'"COMPLETED"' not in event:
            yield event


def streams_have_no_heartbeat(patch: Patch) -> None:
    """A stream sends no comments."""
    patch.set(queue_host, "HEARTBEAT", 1e6)


@planted(_change_stream)
async def streams_repeat_logs(events: Any, *_: Any) -> Any:
    """Each message of a stream has all lines so far."""
    lines: list[Any] = []
    async for event in events:
        if not event.startswith(b"data: "):
            yield event
            continue
        status = json.loads(event[6:])
        lines += status["logs"] or []
        status["logs"] = status["logs"] and lines
        yield b"data: " + errors.compact(status) + b"\n\n"


@planted(_change_stream)
async def streams_repeat_the_end(events: Any, *_: Any) -> Any:
    """A stream sends the last message twice."""
    async for event in events:
        yield event
        if b'"COMPLETED"' in event:
            yield event


@planted(_change_stream)
async def late_streams_are_empty(events: Any, core: Any, request_id: str) -> Any:
    """A stream that is opened after the end sends nothing."""
    if core.request(request_id).state != DONE:
        async for event in events:
            yield event


@planted(change_answer, "_stream")
def streams_are_json(response: Response, _: Any) -> Response:
    """A stream has the content type application/json."""
    response.headers["content-type"] = "application/json"
    return response
