"""Mutants of cancels."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from falcontract.mutation.internals import effects, emulator, errors, transitions
from falcontract.mutation.patching import (
    DONE,
    Patch,
    answers_500,
    change_answer,
    with_body,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def _around_cancel(patch: Patch, cancel: Callable[[Any, Any, Any], None]) -> None:
    """Replace the cancel of the emulator; `cancel` gets the original, the emulator and the request."""
    patch.around(emulator.Emulator, "cancel", cancel)


def cancel_answers_200(patch: Patch) -> None:
    """A cancel is answered 200 with success."""
    change_answer(patch, "_cancel", lambda r, _: with_body(r, {"success": True}, 200))


def cancel_answers_cancelled(patch: Patch) -> None:
    """A cancel is answered with an unknown word."""
    change_answer(patch, "_cancel", lambda r, _: with_body(r, {"status": "CANCELLED"}))


def late_cancels_are_accepted(patch: Patch) -> None:
    """A cancel after the end is accepted."""

    def cancel(original: Any, core: Any, job: Any) -> None:
        if job.state != DONE:
            original(core, job)

    _around_cancel(patch, cancel)


def late_cancels_are_409(patch: Patch) -> None:
    """A cancel after the end is a 409."""
    patch.set(errors.AlreadyCompleted, "status", 409)


@answers_500
def late_cancels_are_500(patch: Patch) -> None:
    """A cancel after the end is a 500."""
    patch.set(errors.AlreadyCompleted, "status", 500)


def cancelled_runs_hang(patch: Patch) -> None:
    """A run that is cancelled never ends."""

    def cancel(original: Any, core: Any, job: Any) -> None:
        if job.state != "IN_PROGRESS":
            original(core, job)
        elif core._transitions.queue.has(job.id):
            core._transitions.queue.cancel(job.id, core.clock.now())
            core._transitions.stop(job.id)

    _around_cancel(patch, cancel)


def cancels_in_the_queue_are_ignored(patch: Patch) -> None:
    """A cancel in the queue is accepted, but the job runs."""

    def cancel(original: Any, core: Any, job: Any) -> None:
        if job.state != "IN_QUEUE":
            original(core, job)

    _around_cancel(patch, cancel)


def cancelled_jobs_are_billed(patch: Patch) -> None:
    """A cancelled job is billed."""

    def end(original: Any, engine: Any, job_id: str, outcome: Any, *args: Any) -> None:
        if outcome.status == 499:
            outcome = dataclasses.replace(outcome, headers=outcome.headers | {"x-fal-billable-units": "5"})
        original(engine, job_id, outcome, *args)

    patch.around(transitions.Transitions, "end", end)


def second_cancels_change_the_result(patch: Patch) -> None:
    """A cancel after the end changes the result."""

    def cancel(original: Any, core: Any, job: Any) -> None:
        if job.state == DONE:
            core.__dict__.setdefault("_cancelled_twice", set()).add(job.id)
        original(core, job)

    def output(original: Any, core: Any, job: Any) -> Any:
        twice = job.id in core.__dict__.get("_cancelled_twice", ())
        return b'{"detail":"Cancelled again"}' if twice else original(core, job)

    _around_cancel(patch, cancel)
    patch.around(emulator.Emulator, "output", output)


def cancel_ends_another_job(patch: Patch) -> None:
    """A cancel ends another job of the application too."""

    def cancel(original: Any, core: Any, job: Any) -> None:
        others = [other for other in core._transitions.queue._jobs if other != job.id]
        original(core, job)
        if others:
            core._transitions.end(others[0], effects.ended(errors.PlatformError("client_cancelled")))

    _around_cancel(patch, cancel)
