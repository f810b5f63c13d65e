"""Sends the webhooks that are due."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from falmock.engine.delivery import (
    Answer,
    attempt_body,
    next_attempt,
    payload,
    signed_headers,
    timeout,
    without_secrets,
)
from falmock.engine.lifecycle import DeliveryState
from falmock.engine.observer import Attempt
from falmock.engine.rows import Delivery, Request
from falmock.engine.schedule import Schedule, Slots
from falmock.faults import effects
from falmock.protocol import urls
from falmock.protocol.errors import StorageUnavailable
from falmock.system.descriptors import share

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from contextlib import AbstractContextManager

    from falmock.engine.resources import Resources

log = logging.getLogger("falmock.engine.webhooks")

STORE_PAUSE: Final = 1.0  # seconds between tries to write or read the state of a delivery
AT_ONCE: Final = 256  # attempts in progress, to all receivers
AT_ONCE_EACH: Final = 8  # attempts in progress to one receiver


class Sender:
    """Sends webhooks and retries them. Each receiver has its own slots, so that a slow one delays no other.

    Args:
        wake: called when an attempt is due earlier than any before.
        changed: called with the request id after each attempt.
        transaction: opens a transaction of the store; raises `StorageUnavailable`.
    """

    def __init__(
        self,
        resources: Resources,
        *,
        wake: Callable[[], None],
        changed: Callable[[str], None],
        transaction: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._resources = resources
        self._store = resources.store
        self._clock = resources.clock
        self._changed = changed
        self._transaction = transaction
        self._held: dict[str, dict[str, None]] = {}  # by URL: request ids that wait for a later delivery
        self._slots = Slots(total=share(4, most=AT_ONCE), each=AT_ONCE_EACH)
        self._schedule = Schedule(self._slots, wake)
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._due_again: set[str] = set()  # those of `_sending` that became due
        self._cancelled: set[asyncio.Task[None]] = set()
        self._reload()

    def add(self, request: Request, output: bytes, *, user_id: str, now: float, give_up_at: float) -> None:
        """Schedule the webhook of a completed request, in the caller's transaction."""
        url = request.webhook
        if url is None:
            return
        effect = effects.on_delivery(request.injections)
        self._resources.observed(*effect.observed)
        at = now + effect.delay
        if effect.waits_for_next:
            self._store.on_commit(lambda: self._held.setdefault(url, {}).update({request.id: None}))
        delivery = Delivery(
            request_id=request.id,
            url=url,
            user_id=user_id,
            body=payload(request, None if effect.null_payload else output),
            attempts=0,
            next_at=at,
            give_up_at=max(give_up_at, at),
            faults=request.faults,
        )
        self._store.insert(delivery)
        self._store.on_commit(lambda: self._schedule.add(at, request.id, url))

    def due(self) -> float:
        """Return when the next attempt is due; infinity for never."""
        return self._schedule.due()

    def launch(self, now: float) -> None:
        """Start the due attempts for which there are slots; the others start when one ends."""
        while (taken := self._schedule.take(now)) is not None:
            receiver, request_id = taken
            delivery = self._due_delivery(request_id, now)
            if delivery is None:
                self._slots.give_back(receiver)
                continue
            task = asyncio.create_task(self._deliver(delivery))
            self._sending[request_id] = task
            task.add_done_callback(partial(self._finished, request_id, receiver))

    def _due_delivery(self, request_id: str, now: float) -> Delivery | None:
        """Return a delivery if it is due, and not being sent."""
        if request_id in self._sending:
            self._due_again.add(request_id)  # `_finished` schedules the next attempt
            return None
        try:
            delivery = self._store.delivery(request_id)
        except sqlite3.DatabaseError as error:
            self._fail(request_id, error)
            return None
        if delivery is None or delivery.next_at is None or delivery.next_at > now:
            return None  # it is not wanted any more
        return delivery

    def break_off(self, gone: Collection[str] | None = None) -> list[asyncio.Task[None]]:
        """Cancel attempts, of some requests or all, and reload the schedule; return the cancelled tasks."""
        ids = [request_id for request_id in self._sending if gone is None or request_id in gone]
        cancelled = [self._sending.pop(request_id) for request_id in ids]
        for task in cancelled:
            task.cancel()
        self._cancelled.update(cancelled)
        self._reload()
        return cancelled

    @property
    def in_flight(self) -> list[asyncio.Task[None]]:
        return [*self._sending.values(), *self._cancelled]

    async def close(self) -> None:
        """Cancel all attempts; they are made again after the next start."""
        self._schedule.replace([])  # or another attempt would take the slot of a cancelled one
        tasks = self.in_flight
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _reload(self) -> None:
        self._due_again.clear()
        entries = self._store.pending_deliveries()
        self._schedule.replace(entries)
        pending = {request_id for _, request_id, _ in entries}
        for url, held in list(self._held.items()):
            self._release(url, [request_id for request_id in held if request_id not in pending])

    async def _deliver(self, delivery: Delivery) -> None:
        request_id, url = delivery.request_id, without_secrets(delivery.url)
        if not self._may_send(delivery.url):
            reason = "is not on this machine (allow it with --webhooks any)"
            log.warning("webhook of %s not sent: %s %s", request_id, url, reason)
            await self._write(lambda: self._give_up(delivery, DeliveryState.REFUSED, "not local"))
            return
        if (lost := delivery.injections.get("webhook_lost")) is not None:
            self._resources.observed(lost)
            await self._write(lambda: self._give_up(delivery, DeliveryState.LOST, "lost"))
            return
        verdict = await self._post(delivery)
        await self._write(lambda: self._conclude(delivery, verdict))
        log.info("webhook of %s to %s: %s (attempt %d)", request_id, url, verdict, delivery.attempts + 1)

    def _may_send(self, url: str) -> bool:
        anywhere = self._resources.settings.delivers_anywhere
        return anywhere or self._resources.is_local(urls.split(url).hostname or "")

    async def _post(self, delivery: Delivery) -> str:
        """Return the status code as text, or the reason why there is none."""
        effect = effects.on_attempt(delivery.injections)
        self._resources.observed(*effect.observed)
        headers = signed_headers(self._resources.signer, delivery, effect, self._clock.wall())
        from falmock.engine.posting import post  # noqa: PLC0415 - loads httpx, for the first webhook

        body = attempt_body(delivery, effect)
        at, began = self._clock.now(), time.perf_counter()
        answer = await post(
            self._resources.http(),
            delivery.url,
            body=body,
            headers=headers,
            limit=timeout(delivery.attempts),
            pause=effect.pause,
        )
        took = time.perf_counter() - began
        self._note(delivery, answer, at=at, took=took, headers=headers, body=body)
        return answer.verdict

    def _note(
        self,
        delivery: Delivery,
        answer: Answer,
        *,
        at: float,
        took: float = 0.0,
        headers: dict[str, str],
        body: bytes,
    ) -> None:
        labels = self._store.labels(delivery.request_id)
        if labels is None:  # reset since the attempt began
            return
        endpoint, caller, test = labels
        repeated = delivery.outcome == DeliveryState.DELIVERED
        attempt = Attempt(
            request_id=delivery.request_id,
            endpoint=endpoint,
            caller=caller,
            test=test,
            at=at,
            took=took,
            url=delivery.url,
            number=delivery.attempts + 1,
            headers=headers,
            body=body,
            status=answer.status,
            answer_headers=answer.headers,
            answer=answer.body,
            error=answer.error,
            fault=effects.fault_of_attempt(delivery.injections, repeated=repeated),
        )
        self._resources.observer.attempt(attempt)

    async def _write(self, conclude: Callable[[], None]) -> None:
        """Store the result of an attempt; retry while the store cannot write."""
        while True:
            with contextlib.suppress(StorageUnavailable), self._transaction():
                return conclude()
            await asyncio.sleep(STORE_PAUSE)

    def _conclude(self, delivery: Delivery, verdict: str) -> None:
        attempts = delivery.attempts + 1
        if delivery.outcome == DeliveryState.DELIVERED:  # the second delivery of `webhook_twice`
            self._resources.observed(delivery.injections["webhook_twice"])
            self._update(delivery, last=verdict, attempts=attempts)
        elif verdict.startswith("2"):
            self._delivered(delivery, verdict, attempts)
        elif verdict.startswith("3"):
            self._update(delivery, outcome=DeliveryState.FAILED, last=verdict, attempts=attempts)
        else:
            now = self._clock.now()
            at = next_attempt(attempts, now, delivery.give_up_at, delivery.request_id)
            outcome = DeliveryState.FAILED if at is None else DeliveryState.PENDING
            self._update(delivery, outcome=outcome, last=verdict, attempts=attempts, next_at=at)

    def _delivered(self, delivery: Delivery, verdict: str, attempts: int) -> None:
        now = self._clock.now()
        delivered, again = DeliveryState.DELIVERED, effects.second_delivery_at(delivery.injections, now)
        self._update(delivery, outcome=delivered, last=verdict, attempts=attempts, next_at=again)
        self._store.on_commit(lambda: self._held.pop(delivery.url, None))
        for request_id in self._held.get(delivery.url, ()):
            held = self._store.delivery(request_id)
            if held is not None and held.outcome == DeliveryState.PENDING and held.attempts == 0:
                self._update(held, next_at=now)

    def _give_up(self, delivery: Delivery, outcome: DeliveryState, why: str) -> None:
        """Record that the webhook is not sent, or not again."""
        answer, at = Answer(error=why), self._clock.now()
        note = partial(self._note, delivery, answer, at=at, headers={}, body=delivery.body)
        self._store.on_commit(note)
        self._update(delivery, outcome=outcome, last=why)

    def _update(self, delivery: Delivery, *, next_at: float | None = None, **changes: object) -> None:
        self._store.update(Delivery, delivery.request_id, next_at=next_at, **changes)
        self._store.on_commit(lambda: self._release(delivery.url, [delivery.request_id]))
        if next_at is not None:
            self._store.on_commit(lambda: self._schedule.add(next_at, delivery.request_id, delivery.url))

    def _release(self, url: str, request_ids: Collection[str]) -> None:
        """Forget that some requests wait for a later delivery to a URL."""
        held = self._held.get(url, {})
        for request_id in request_ids:
            held.pop(request_id, None)
        if not held:
            self._held.pop(url, None)

    def _finished(self, request_id: str, receiver: str, task: asyncio.Task[None]) -> None:
        self._slots.give_back(receiver)
        self._cancelled.discard(task)
        error = None if task.cancelled() else task.exception()
        if self._sending.get(request_id) is task:
            del self._sending[request_id]
            if error is not None:
                self._fail(request_id, error)
            if error is not None or request_id in self._due_again:
                self._due_again.discard(request_id)
                self._schedule_next(request_id, after_error=error is not None)
        self.launch(self._clock.now())
        self._changed(request_id)

    def _schedule_next(self, request_id: str, *, after_error: bool) -> None:
        later = self._clock.now() + STORE_PAUSE
        try:
            delivery = self._store.delivery(request_id)
        except sqlite3.Error as unreadable:
            log.error("the state of a webhook cannot be read: %s", unreadable)  # noqa: TRY400
            self._schedule.add(later, request_id, "")
            return
        if delivery is not None and delivery.next_at is not None:
            at = max(delivery.next_at, later) if after_error else delivery.next_at
            self._schedule.add(at, request_id, delivery.url)

    def _fail(self, request_id: str, error: BaseException) -> None:
        """Give up a delivery after an unexpected error."""
        log.error("the webhook of %s cannot be sent: %r", request_id, error)
        failed, last = DeliveryState.FAILED, type(error).__name__
        with contextlib.suppress(StorageUnavailable, sqlite3.DatabaseError), self._transaction():
            self._store.update(Delivery, request_id, next_at=None, outcome=failed, last=last)
