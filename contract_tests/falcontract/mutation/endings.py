"""Mutants of how jobs end: metrics, re-runs, places, cancels of a run, locks, moments of a stream."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from falcontract.mutation.internals import emulator, logs, outcomes, queue, queue_host, steps, transitions
from falcontract.mutation.patching import DONE, Patch, change_settings, change_status, planted, replaces

if TYPE_CHECKING:
    from collections.abc import Callable


def statuses_have_a_gateway_id(patch: Patch) -> None:
    """A status has gateway_request_id, as a documented example has."""
    change_status(patch, lambda status, job: status.update(gateway_request_id=job.id))


@planted(change_status)
def positions_come_first(status: dict[str, Any], _: Any) -> None:
    """The position is the second member of a status."""
    if "queue_position" in status:
        rest = dict(status)
        status.clear()
        status.update(status=rest.pop("status"), queue_position=rest.pop("queue_position"), **rest)


def statuses_have_an_endpoint(patch: Patch) -> None:
    """A completed status has one more member."""
    change_status(patch, lambda s, job: s.update(endpoint=job.endpoint) if s["status"] == DONE else None)


def _metrics(patch: Patch, change: Callable[[Any, dict[str, Any]], Any]) -> None:
    patch.around(queue_host, "_metrics", lambda original, job: change(job, original(job)))


def metrics_count_from_the_submit(patch: Patch) -> None:
    """inference_time has the time in the queue."""
    _metrics(patch, lambda job, found: found and {"inference_time": job.completed_at - job.submitted_at})


def metrics_are_rounded(patch: Patch) -> None:
    """inference_time is an integer."""
    _metrics(patch, lambda _, found: found and {"inference_time": round(found["inference_time"])})


def metrics_grow_while_it_runs(patch: Patch) -> None:
    """metrics has an inference_time of 0 before the end."""
    _metrics(patch, lambda _, found: found or {"inference_time": 0.0})


def cancelled_jobs_have_metrics(patch: Patch) -> None:
    """A job that never ran has an inference_time."""
    _metrics(patch, lambda job, found: found or ({"inference_time": 0.0} if job.completed_at else {}))


@replaces(queue.Queue, "settle")
def rejections_take_a_second(
    original: Any, line: Any, job_id: str, now: float, *, due: float | None = None
) -> None:
    """A runner takes a second to reject a field."""
    early = due is not None and due < now + 0.5
    original(line, job_id, now, due=now + 1 if early else due)


@replaces(outcomes.Outcome, "__init__")
def broken_files_are_rejected_at_once(original: Any, outcome: Any, *args: Any, **more: Any) -> None:
    """A file that cannot be read is rejected as fast as a field."""
    if more.get("seconds") is not None:
        more["seconds"] = outcomes.REJECTION
    original(outcome, *args, **more)


def _run_again(patch: Patch, *statuses: int) -> None:
    patch.set(transitions, "RERUN", frozenset(statuses))


def server_errors_run_again(patch: Patch) -> None:
    """A 500 of a runner runs again."""
    _run_again(patch, 500, 503, 504)


def incomplete_responses_run_again(patch: Patch) -> None:
    """A 502 of a runner runs again."""
    _run_again(patch, 502, 503, 504)


def lost_connections_do_not_run_again(patch: Patch) -> None:
    """A lost connection to a runner ends the request."""
    _run_again(patch, 504)


def timeouts_do_not_run_again(patch: Patch) -> None:
    """A 504 ends the request."""
    _run_again(patch, 503)


def rejections_run_again(patch: Patch) -> None:
    """A model's refusal runs again."""
    _run_again(patch, 422, 503, 504)


def cancelled_runs_keep_their_place(patch: Patch) -> None:
    """The place of a run that was cancelled is not given back."""
    _keep_place(patch, lambda event: event.event.value == "cancel")


def finished_runs_keep_their_place(patch: Patch) -> None:
    """The place of every second run that ends is not given back."""
    seen: list[Any] = []

    def applies(event: Any) -> bool:
        seen.append(event)
        return event.event.value == "finish" and len(seen) % 2 == 0

    _keep_place(patch, applies)


@replaces(queue.Queue, "_carry_out")
def start_timeouts_take_a_place(original: Any, line: Any, event: Any) -> None:
    """A job that did not start in time takes a place of its account."""
    original(line, event)
    if event.event.value == "start_timeout":
        line._running_of[event.job.caller] += 1


def _keep_place(patch: Patch, applies: Callable[[Any], bool]) -> None:
    def carry_out(original: Any, line: Any, event: Any) -> None:
        ran = event.job.started_at is not None
        original(line, event)
        if ran and applies(event):
            line._running_of[event.job.caller] += 1

    patch.around(queue.Queue, "_carry_out", carry_out)


def cancels_end_runs(patch: Patch) -> None:
    """A cancel ends a run at once, though the application does not honour it."""
    change_settings(patch, lambda _: {"cancel": "honoured"})


def cancels_are_not_honoured(patch: Patch) -> None:
    """A cancel never ends a run, not even of an application that honours it."""
    change_settings(patch, lambda _: {"cancel": "ignored"})


def cancelled_runs_are_free(patch: Patch) -> None:
    """A run that was cancelled is not billed."""
    cancelled: set[str] = set()

    def cancel(original: Any, core: Any, job: Any) -> None:
        cancelled.add(job.id)
        original(core, job)

    def complete(original: Any, writer: Any, request: Any, event: Any, *args: Any) -> None:
        outcome, at = args
        if request.id in cancelled:
            outcome = dataclasses.replace(outcome, headers=outcome.headers | {"x-fal-billable-units": "0"})
        original(writer, request, event, outcome, at)

    patch.around(emulator.Emulator, "cancel", cancel)
    patch.around(steps.Steps, "complete", complete)


def locked_accounts_run_on(patch: Patch) -> None:
    """The waiting jobs of a locked account start."""
    patch.around(
        queue.Queue, "_may_start", lambda original, line, caller: line._running_of[caller] < line._concurrency
    )


def unlocked_jobs_wait_on(patch: Patch) -> None:
    """The jobs of an account that was unlocked wait on."""
    seen: list[tuple[Any, str]] = []  # queues, so that the next emulator is not affected

    def may_start(original: Any, line: Any, caller: str) -> bool:
        if line._is_locked(caller):
            seen.append((line, caller))
        waits = any(queue is line and name == caller for queue, name in seen)
        return not waits and bool(original(line, caller))

    patch.around(queue.Queue, "_may_start", may_start)


def _events(patch: Patch, change: Callable[[Any, Any], Any]) -> None:
    """Change the events of streams; `change` gets their iterator and the clock."""

    def events(original: Any, host: Any, *args: Any, **kwargs: Any) -> Any:
        return change(original(host, *args, **kwargs), host._emulator.clock)

    patch.around(queue_host.QueueHost, "_events", events)


@planted(_events)
async def streams_begin_late(events: Any, clock: Any) -> Any:
    """The first message of a stream comes after a second."""
    await clock.sleep_until(clock.now() + 1)
    async for event in events:
        yield event


@planted(_events)
async def streams_look_every_two_seconds(events: Any, clock: Any) -> Any:
    """A stream reports changes every two seconds only."""
    async for event in events:
        await clock.sleep_until(-(-clock.now() // 2) * 2)
        yield event


def streams_send_lines_at_changes(patch: Patch) -> None:
    """A stream sends log lines only when the state changes."""
    patch.around(logs, "next_at", lambda original, *args: float("inf"))
