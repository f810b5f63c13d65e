"""Applies events to the queue in memory and to the store; the only writer of the engine.

The queue, the outcomes and the running tasks are in memory; everything else is in the store. Both agree after
every transaction, even after one that failed. An error of one request ends that request and no other.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import sqlite3
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from falmock.engine.keys import Locks
from falmock.engine.lifecycle import Event, State
from falmock.engine.notifier import ANY, Notifier
from falmock.engine.queue import Job, Queue, QueueEvent
from falmock.engine.rows import Request
from falmock.engine.runs import Runs
from falmock.engine.steps import Steps
from falmock.engine.submission import accept
from falmock.engine.webhooks import Sender
from falmock.faults import effects
from falmock.faults.effects import Injections
from falmock.protocol.errors import PlatformError, StorageFull, StorageUnavailable
from falmock.system import transient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from falmock.engine.resources import Resources
    from falmock.engine.submission import Submission
    from falmock.protocol.outcomes import Outcome

log = logging.getLogger("falmock")

ATTEMPTS: Final = 10  # runs of one request, the first included (PROTOCOL.md 4.8)
RERUN: Final = frozenset({503, 504})  # statuses that the platform tries again


@dataclass(frozen=True, slots=True)
class Ending:
    """The known outcome of a run that has not ended yet."""

    outcome: Outcome
    known_at: float  # the run does not end earlier
    due: float | None  # a fixed end of the run; see `Queue.settle`


class Transitions:
    """Applies events.

    Attributes:
        queue: is replaced by another object when it is rebuilt from the store.
        locks: the accounts whose requests do not start.
        due: when the next event of the queue is due; infinity for never.
        wake: is set when the scheduler must look earlier than planned, and when `trouble` changes.
        changed: notifies with the id of a request that has changed or whose webhook attempt has ended, with
            the name of an application whose waiting requests have changed, and with `ANY` each time.
    """

    def __init__(self, resources: Resources) -> None:
        settings = resources.settings
        self._resources = resources
        self.clock = resources.clock
        self.store = resources.store
        self.locks = Locks(resources.store, settings.locked)
        self.wake = asyncio.Event()
        self.changed = Notifier()
        self.sender = Sender(
            resources, wake=self.wake.set, changed=self.changed.notify, transaction=self.transaction
        )
        self.steps = Steps(resources, self.sender)
        self.runs = Runs(resources, guarded=self._guarded, settle=self._settle, reschedule=self.reschedule)
        self._trouble: str | None = None  # why the store cannot write, or None
        self._in_step = True  # the queue agrees with the store
        self._outcomes: dict[str, Ending] = {}
        self._new_queue = partial(
            Queue, runners=settings.runners, concurrency=settings.concurrency, is_locked=self.locks.is_locked
        )
        self.queue = self._new_queue(now=resources.clock.now())
        self.due = math.inf
        self.resume()

    # Events that are due

    def advance(self) -> float:
        """Apply the due events; return the time. While the store cannot write, no event is applied."""
        now = self.clock.now()
        if now >= self.due and self._trouble is None:
            self._apply_due(now)
        return now

    def catch_up(self) -> float:
        """Do what `advance` does; after a failed write, try again."""
        if self._trouble is not None:
            self._apply_due(self.clock.now())
        return self.advance()

    @property
    def can_write(self) -> bool:
        """Whether the last transaction could write."""
        return self._trouble is None

    def trouble(self) -> str | None:
        """Return a short text about a missing resource such as disk space, or None."""
        return self._trouble or self.runs.trouble()

    def _apply_due(self, now: float) -> None:
        changed: set[str] = set()
        try:
            with self.transaction():
                if self._trouble is not None:
                    self.store.probe()
                for event in self.queue.advance(now):
                    changed |= {event.job.id, event.job.application}
                    self._guarded(event.job.id, event.at, self._apply, event)
        except StorageUnavailable:
            return  # `Timeline.tick` tries again
        self.reschedule()
        self.notify(*changed)

    def _apply(self, event: QueueEvent) -> None:
        job, at = event.job, event.at
        request = self.store.request(job.id)
        if request is None:
            raise LookupError(f"the queue has a request that the store does not have: {job.id}")
        if event.event is Event.START:
            self.start(request, at)
        elif event.event is Event.START_TIMEOUT:
            timeout = PlatformError("request_timeout", headers={"x-fal-request-timeout-type": "user"})
            self.steps.complete(request, Event.START_TIMEOUT, effects.ended(timeout), at)
        else:
            outcome = self._forget_ending(job.id).outcome
            if _runs_again(request, outcome):
                self.queue.add(job_of(self.steps.requeue(request, at)))
            else:
                self.steps.complete(request, Event.FINISH, outcome, at)

    def reschedule(self) -> None:
        before, self.due = self.due, self.queue.due()
        if self.due < before:
            self.wake.set()

    def notify(self, *changed: str) -> None:
        """Wake those that wait for a change of these requests and applications, and the scheduler."""
        self.changed.notify(ANY, *changed)
        self.wake.set()  # a result may expire earlier than any before

    # Events that callers cause

    def accept(self, submission: Submission, now: float, *, direct: bool) -> Request:
        """Create a request and put it into the queue."""
        with self.transaction(steers=False):
            request = accept(self._resources, submission, now, direct=direct)
        self.queue.add(job_of(request))
        self.reschedule()
        if self.queue.overtakes(request.id):
            self.changed.notify(request.application)
        return request

    def start(self, request: Request, at: float) -> None:
        """Write that a request started, and begin its run. The queue has started its job."""
        self.runs.begin(self.steps.start(request, at), at)

    def end(self, request_id: str, outcome: Outcome, event: Event = Event.CANCEL) -> None:
        """Complete a request now, unless it is completed."""
        request = self.store.request(request_id)
        if request is None or request.state == State.COMPLETED:
            return
        now = self.clock.now()
        with self.transaction():
            self.stop(request_id)
            self.queue.cancel(request_id, now)
            self.steps.complete(request, event, outcome, now)
        self.reschedule()
        self.notify(request_id, request.application)

    def stop(self, request_id: str) -> list[asyncio.Task[None]]:
        """Cancel a request's run and drop its outcome; return the cancelled tasks."""
        if request_id in self._outcomes:
            self._forget_ending(request_id)
        return self.runs.stop(request_id)

    def _settle(self, request: Request, outcome: Outcome, now: float, due: float | None) -> None:
        """Keep an outcome until the run ends: when its time is up, or at `due`."""
        early = request.injections.get("webhook_early")
        if early is not None and not _runs_again(request, outcome):
            end = max(now, due or 0, (request.started_at or 0) + request.run_seconds)
            completed = dataclasses.replace(request, status=int(outcome.status))
            self.steps.schedule_webhook(completed, outcome, end)
            self._resources.observed(early)
            due = end + early.fault.options["seconds"]
        self._outcomes[request.id] = Ending(outcome, now, due)
        self.store.on_rollback(lambda: self._outcomes.pop(request.id, None))
        self.queue.settle(request.id, now, due=due)

    def _forget_ending(self, request_id: str) -> Ending:
        ending = self._outcomes.pop(request_id)
        self.store.on_rollback(lambda: self._outcomes.__setitem__(request_id, ending))
        return ending

    # Memory and store

    @contextmanager
    def transaction(self, *, steers: bool = True) -> Iterator[None]:
        """Open a transaction of the store; memory and store agree after it, even if it fails.

        The queue changes immediately and is rebuilt from the store after a failure. Everything else
        changes in `Store.on_commit`, or is restored in `Store.on_rollback`.

        Args:
            steers: whether the block may change the queue.

        Raises:
            StorageUnavailable: the store cannot write.
        """
        if self.store.in_transaction:
            yield
            return
        time = self.queue.time
        try:
            if not self._in_step:
                self._rebuild_queue(time)
            with self.store.transaction():
                yield
        except BaseException as error:
            self._in_step = self._in_step and not steers
            reason = transient.reason(error)
            if reason is not None:
                self._note_trouble(reason)
            if not self._in_step:
                with suppress(sqlite3.DatabaseError):  # the next transaction tries again
                    self._rebuild_queue(time)
            if reason is not None:
                raise unavailable(reason) from error
            raise
        if self._trouble is not None:
            log.warning("falmock can write again")
            self._trouble = None
            self.reschedule()

    def _note_trouble(self, reason: str) -> None:
        if self._trouble != reason:
            log.error("falmock cannot write (%s): requests wait until it can", reason)
        self._trouble = reason
        self.wake.set()

    def _rebuild_queue(self, time: float) -> None:
        """Rebuild the queue from the store, with events applied up to `time`."""
        queue = self._new_queue(now=time)
        for request in self.store.open_requests():
            queue.add(job_of(request))
            ending = self._outcomes.get(request.id)
            if request.started_at is not None and ending is not None:
                queue.settle(request.id, ending.known_at, due=ending.due)
        self.queue = queue
        self._in_step = True
        self.reschedule()

    def resume(self) -> None:
        """Continue from the contents of the store: what another process or a snapshot left there."""
        self._outcomes.clear()
        self._drop_unreadable_faults()
        self._rebuild_queue(self.clock.now())
        for request in self.store.open_requests():
            if request.direct:  # its caller has lost the connection
                with suppress(StorageUnavailable):  # then the request goes on
                    self.end(request.id, effects.ended(PlatformError("client_disconnected")))
                    continue
            self.runs.begin_again(request)
        self.reschedule()

    def _drop_unreadable_faults(self) -> None:
        """Clear stored faults that this version does not accept, and end the open requests with them."""
        for text in self.store.all_faults():
            try:
                Injections.parse(text)
            except ValueError as error:
                with self.transaction(steers=False):
                    ids = self.store.drop_faults(text)
                log.error("faults %.80a cannot be read (%s): dropped from %s", text, error, ids)  # noqa: TRY400
                for request_id in ids:
                    self._abandon(request_id, self.clock.now())

    # An error of one request must not stop the others

    def _guarded(self, request_id: str, at: float, act: Callable[..., None], *arguments: Any) -> None:
        """Call `act`; if it raises, end the request with 500 and log one line.

        Raises:
            StorageUnavailable: the store cannot write.
        """
        with self.transaction():
            if (error := self._error_of(act, *arguments)) is not None:
                log.error("request %s failed and ends with 500: %r", request_id, error)
                log.debug("traceback of request %s", request_id, exc_info=error)
                self._abandon(request_id, at)

    def _error_of(self, act: Callable[..., None], *arguments: Any) -> Exception | None:
        """Call `act`; undo it and return its error if it raises, unless the store cannot write."""
        try:
            with self.store.savepoint():
                act(*arguments)
        except Exception as error:
            if transient.reason(error) is not None or not self.store.in_transaction:
                raise
            return error
        return None

    def _abandon(self, request_id: str, at: float) -> None:
        """End a request as an internal error, without its faults."""
        with self.transaction():
            self.stop(request_id)
            if self.queue.has(request_id):
                self.queue.cancel(request_id, at)
            if (error := self._error_of(self._complete_abandoned, request_id, at)) is not None:
                log.error("request %s is skipped, its row cannot be updated: %r", request_id, error)

    def _complete_abandoned(self, request_id: str, at: float) -> None:
        self.store.update(Request, request_id, faults=None)
        request = self.store.request(request_id)
        if request is None or request.state == State.COMPLETED:
            return
        if request.state == State.IN_QUEUE:
            request = self.steps.start(request, at)
        self.steps.complete(request, Event.FINISH, effects.ended(PlatformError("internal_error")), at)


def unavailable(reason: str) -> StorageUnavailable:
    """Return the error to answer with while something cannot be written."""
    return StorageFull(reason) if transient.is_full(reason) else StorageUnavailable(reason)


def job_of(request: Request) -> Job:
    return Job(
        id=request.id,
        application=request.application,
        caller=request.caller,
        order=request.seq,
        priority=request.priority,
        ready_at=request.ready_at,
        run_seconds=request.run_seconds,
        start_by=math.inf if request.start_by is None else request.start_by,
        started_at=request.started_at,
        bypass=request.faults is not None and effects.bypasses_queue(request.injections, request.attempts),
        held=bool(request.held),
        due_at=request.due_at,
    )


def _runs_again(request: Request, outcome: Outcome) -> bool:
    return outcome.status in RERUN and request.retry and request.attempts < ATTEMPTS
