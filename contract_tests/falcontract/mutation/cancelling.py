"""Mutants of cancels."""

from __future__ import annotations

import dataclasses
from typing import Any

from falcontract.mutation.internals import effects, emulator, errors, transitions
from falcontract.mutation.patching import (
    DONE,
    Patch,
    answers_500,
    change_answer,
    replaces,
    with_body,
)


def cancel_answers_200(patch: Patch) -> None:
    """A cancel is answered 200 with success."""
    change_answer(patch, "_cancel", lambda r, _: with_body(r, {"success": True}, 200))


def cancel_answers_cancelled(patch: Patch) -> None:
    """A cancel is answered with an unknown word."""
    change_answer(patch, "_cancel", lambda r, _: with_body(r, {"status": "CANCELLED"}))


@replaces(emulator.Emulator, "cancel")
def late_cancels_are_accepted(original: Any, core: Any, job: Any) -> None:
    """A cancel after the end is accepted."""
    if job.state != DONE:
        original(core, job)


def late_cancels_are_409(patch: Patch) -> None:
    """A cancel after the end is a 409."""
    patch.set(errors.AlreadyCompleted, "status", 409)


@answers_500
def late_cancels_are_500(patch: Patch) -> None:
    """A cancel after the end is a 500."""
    patch.set(errors.AlreadyCompleted, "status", 500)


@replaces(emulator.Emulator, "cancel")
def cancelled_runs_hang(original: Any, core: Any, job: Any) -> None:
    """A run that is cancelled never ends."""
    if job.state != "IN_PROGRESS":
        original(core, job)
    elif core._transitions.queue.has(job.id):
        core._transitions.queue.cancel(job.id, core.clock.now())
        core._transitions.stop(job.id)


@replaces(emulator.Emulator, "cancel")
def cancels_in_the_queue_are_ignored(original: Any, core: Any, job: Any) -> None:
    """A cancel in the queue is accepted, but the job runs."""
    if job.state != "IN_QUEUE":
        original(core, job)


@replaces(transitions.Transitions, "end")
def cancelled_jobs_are_billed(original: Any, engine: Any, job_id: str, outcome: Any, *args: Any) -> None:
    """A cancelled job is billed."""
    if outcome.status == 499:
        outcome = dataclasses.replace(outcome, headers=outcome.headers | {"x-fal-billable-units": "5"})
    original(engine, job_id, outcome, *args)


def second_cancels_change_the_result(patch: Patch) -> None:
    """A cancel after the end changes the result."""

    def cancel(original: Any, core: Any, job: Any) -> None:
        if job.state == DONE:
            core.__dict__.setdefault("_cancelled_twice", set()).add(job.id)
        original(core, job)

    def output(original: Any, core: Any, job: Any) -> Any:
        twice = job.id in core.__dict__.get("_cancelled_twice", ())
        return b'{"detail":"Cancelled again"}' if twice else original(core, job)

    patch.around(emulator.Emulator, "cancel", cancel)
    patch.around(emulator.Emulator, "output", output)


@replaces(emulator.Emulator, "cancel")
def cancel_ends_another_job(original: Any, core: Any, job: Any) -> None:
    """A cancel ends another job of the application too."""
    others = [other for other in core._transitions.queue._jobs if other != job.id]
    original(core, job)
    if others:
        core._transitions.end(others[0], effects.ended(errors.PlatformError("client_cancelled")))
