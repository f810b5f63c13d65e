"""Steers requests: hold, release, finish, fail; resets and restores the whole state."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

from falmock.engine.lifecycle import DeliveryState, Event, State
from falmock.engine.rows import Delivery
from falmock.faults import effects
from falmock.faults.effects import Injection, Injections
from falmock.faults.vocabulary import FaultError
from falmock.protocol.calls import TEST_KEY
from falmock.protocol.errors import AlreadyCompleted, RequestNotFound
from falmock.protocol.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from falmock.engine.resources import Resources
    from falmock.engine.rows import Request
    from falmock.engine.transitions import Transitions
    from falmock.faults.vocabulary import Fault


class Manual:
    """Steers requests, for the control API and for tests.

    Methods with a request id raise `RequestNotFound` for an unknown one, `AlreadyCompleted` for a request
    that has ended, and `StorageUnavailable`.
    """

    def __init__(self, resources: Resources, transitions: Transitions) -> None:
        self._resources = resources
        self._store = resources.store
        self._clock = resources.clock
        self._transitions = transitions

    def hold(self, request_id: str) -> Request:
        """Keep a request in its state: no runner takes it, or its run does not end.

        A cancel and a start deadline still take effect.
        """
        return self._set_held(request_id, held=True)

    def release(self, request_id: str) -> Request:
        """End a hold. Events that became due during the hold happen now."""
        return self._set_held(request_id, held=False)

    def finish(self, request_id: str) -> Request:
        """End a request now with its own outcome, or as soon as that is rendered.

        A waiting request starts first, on an extra runner if none is free. If the platform retries the
        outcome, the request waits for its next run.
        """
        request = self._unfinished(request_id)
        self._resources.runner()  # load it now, or the first run would begin later, in a thread
        now = self._clock.now()
        transitions = self._transitions
        with transitions.transaction():
            request = self._store.change(request, held=False, due_at=now)
            if request.state == State.IN_QUEUE:
                transitions.queue.start(request.id, now)
                transitions.start(request, now)
            transitions.queue.hurry(request.id, now)
        return self._after_change(request)

    def fail(self, request_id: str, why: Fault | Outcome) -> Request:
        """End a request now with an error of the model or the platform, which is not retried.

        A waiting request starts first.

        Raises:
            FaultError: a request cannot end with that fault.
        """
        request = self._unfinished(request_id)
        outcome = why if isinstance(why, Outcome) else self._outcome_of(request, why)
        now = self._clock.now()
        transitions = self._transitions
        with transitions.transaction():
            if request.state == State.IN_QUEUE:
                transitions.queue.start(request.id, now)
                transitions.steps.start(request, now)
            transitions.end(request.id, outcome, Event.FINISH)
        return self._known(request_id)

    def redeliver(self, request_id: str, fault: Fault | None = None) -> Delivery:
        """Send the webhook of a completed request again now, perhaps with a fault.

        An attempt in progress is cancelled. A failure is retried as after the first delivery.

        Raises:
            RequestNotFound: there is no such request, or it has no webhook, or is not completed.
            FaultError: a webhook cannot be sent again with that fault.
        """
        now = self._clock.now()
        delivery = self._store.delivery(self._known(request_id).id)
        if delivery is None:
            raise RequestNotFound
        if fault is not None and fault.name not in effects.OF_ATTEMPTS:
            raise FaultError(
                f"a webhook cannot be sent again with {fault.name}: "
                f"name one of {', '.join(effects.OF_ATTEMPTS)}"
            )
        injections = Injections([] if fault is None else [Injection(fault)])
        faults = injections.dump()
        with self._transitions.transaction(steers=False):
            self._store.update(
                Delivery, delivery.request_id, outcome=DeliveryState.PENDING, next_at=now, faults=faults
            )
        self._transitions.sender.break_off({delivery.request_id})  # of an attempt in progress
        self._transitions.reschedule()
        return dataclasses.replace(delivery, outcome=DeliveryState.PENDING, next_at=now, faults=faults)

    def lock(self, key_id: str | None = None) -> None:
        """Lock an account, or all: it may not submit, and its waiting requests do not start."""
        self._set_locked(key_id, locked=True)

    def unlock(self, key_id: str | None = None) -> None:
        """Unlock an account, or all."""
        self._set_locked(key_id, locked=False)

    async def reset(self, *, test: str | None = None, caller: str | None = None) -> int:
        """Delete requests with their webhooks, files and journal entries: all, or those of a test or a key.

        Without a key, rules go too: all but the initial ones, or those of the test. Without either, accounts
        are locked as they were at first.

        Returns:
            The number of deleted requests.
        """
        chosen = [request for request in self._store.requests() if _belongs(request, test, caller)]
        stopped: list[asyncio.Task[None]] = []
        with self._transitions.transaction():
            for request in chosen:
                if request.state != State.COMPLETED:
                    stopped += self._transitions.stop(request.id)
                    self._transitions.queue.cancel(request.id, self._clock.now())
                self._resources.files.withdraw(request.id)
                self._transitions.steps.forget(request)
            if test is None and caller is None:
                self._transitions.locks.reset()
                self._transitions.queue.recheck(self._clock.now())
            self._resources.files.remove(caller if test is None else caller or f"{TEST_KEY}{test}")
        stopped += self._transitions.sender.break_off({request.id for request in chosen})
        if caller is None:
            self._clear_rules(test)
        self._resources.observer.forget(test=test, caller=caller)
        self._transitions.reschedule()
        self._transitions.changed.notify_all()
        await asyncio.gather(*stopped, return_exceptions=True)
        return len(chosen)

    def _clear_rules(self, test: str | None) -> None:
        if test is None:
            self._resources.rule_set.reset()
        else:
            self._resources.rule_set.clear(test)

    async def restore(self, change: Callable[[], None]) -> None:
        """Cancel all work in progress, apply `change` to the store, and resume from its new contents."""
        transitions = self._transitions
        with transitions.transaction():
            change()
            stopped = [
                task for request_id in transitions.runs.request_ids for task in transitions.stop(request_id)
            ]
        stopped += transitions.sender.break_off()
        transitions.resume()
        transitions.changed.notify_all()
        await asyncio.gather(*stopped, return_exceptions=True)

    def _set_locked(self, key_id: str | None, *, locked: bool) -> None:
        transitions = self._transitions
        now = transitions.advance()
        with transitions.transaction():
            transitions.locks.change(key_id, locked=locked)
            transitions.queue.recheck(now)
        transitions.reschedule()
        transitions.changed.notify_all()

    def _set_held(self, request_id: str, *, held: bool) -> Request:
        request, now = self._unfinished(request_id), self._clock.now()
        queue = self._transitions.queue
        steer = queue.hold if held else queue.release
        with self._transitions.transaction():
            steer(request.id, now)
            self._transitions.steps.hold(request, now, held=held)
        return self._after_change(request)

    def _after_change(self, request: Request) -> Request:
        self._transitions.reschedule()
        self._transitions.notify(request.id, request.application)
        return self._known(request.id)

    def _known(self, request_id: str) -> Request:
        self._transitions.advance()
        if (request := self._store.request(request_id)) is None:
            raise RequestNotFound
        return request

    def _unfinished(self, request_id: str) -> Request:
        request = self._known(request_id)
        if request.state == State.COMPLETED:
            raise AlreadyCompleted
        return request

    def _outcome_of(self, request: Request, fault: Fault) -> Outcome:
        body = self._resources.files.payloads.kept_body(request)
        prepared = self._resources.runner().prepare(request, body)
        model_input = {} if isinstance(prepared, Outcome) else prepared.model_input.model_dump()
        outcome = effects.outcome_of(fault, model_input)
        if outcome is None:
            raise FaultError(
                f"a request cannot end with {fault.name}: name an error of the model or platform"
            )
        return outcome


def _belongs(request: Request, test: str | None, caller: str | None) -> bool:
    return caller in {None, request.caller} and test in {None, request.test}
