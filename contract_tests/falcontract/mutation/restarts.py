"""Mutants of what survives a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from falcontract.mutation.internals import emulator, rows, transitions, webhooks
from falcontract.mutation.patching import DONE, Patch, planted, replaces

if TYPE_CHECKING:
    from collections.abc import Callable


def _at_start(patch: Patch, change: Callable[[Any], object]) -> None:
    """Change the emulator's state whenever it starts; nothing is there at the first start."""

    def init(original: Any, core: Any, resources: Any) -> None:
        original(core, resources)
        change(core)

    patch.around(emulator.Emulator, "__init__", init)


@planted(_at_start)
def deliveries_begin_anew(core: Any) -> None:
    """After a restart, webhooks that were delivered are sent again."""
    engine = core._transitions
    with engine.transaction():
        for page in core.store.request_pages_before(None):
            for job in page:
                if core.store.delivery(job.id) is not None:
                    values = {"outcome": "pending", "next_at": core.clock.now(), "attempts": 0}
                    core.store.update(rows.Delivery, job.id, **values)
    engine.sender._reload()


def pending_deliveries_are_lost(patch: Patch) -> None:
    """A restart loses webhooks that wait for another attempt."""
    patch.around(webhooks.Sender, "_reload", lambda original, sender: None)


@replaces(transitions.Transitions, "_rebuild_queue")
def waiting_jobs_are_lost(original: Any, engine: Any, time: float) -> None:
    """A job that waits at a restart is never started."""
    original(engine, time)
    for job_id in list(engine.queue._jobs):
        if engine.queue._jobs[job_id].started_at is None:
            engine.queue.hold(job_id, time)


@replaces(transitions.Transitions, "resume")
def runs_are_lost(original: Any, engine: Any) -> None:
    """A job that runs at a restart never ends."""
    original(engine)
    for job_id, job in list(engine.queue._jobs.items()):
        if job.started_at is not None:
            engine.queue.hold(job_id, engine.clock.now())


def results_are_lost(patch: Patch) -> None:
    """A restart loses the results."""
    lost: set[str] = set()

    def output(original: Any, core: Any, job: Any) -> Any:
        return None if job.id in lost else original(core, job)

    def change(core: Any) -> None:
        lost.update(
            job.id for page in core.store.request_pages_before(None) for job in page if job.state == DONE
        )

    _at_start(patch, change)
    patch.around(emulator.Emulator, "output", output)
