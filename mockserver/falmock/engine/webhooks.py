"""Sends the webhooks that are due."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
import math
import sqlite3
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from falmock.engine.delivery import (
    Answer,
    attempt_body,
    next_attempt,
    payload,
    receiver,
    signed_headers,
    timeout,
    without_secrets,
)
from falmock.engine.lifecycle import DeliveryState
from falmock.engine.observer import Attempt
from falmock.engine.rows import Delivery, Request
from falmock.engine.slots import Slots
from falmock.faults import effects
from falmock.protocol import urls
from falmock.protocol.errors import StorageUnavailable
from falmock.system.descriptors import share

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from contextlib import AbstractContextManager

    import httpx

    from falmock.engine.clock import Clock
    from falmock.engine.observer import Observer
    from falmock.engine.resources import Once
    from falmock.engine.signing import Signer
    from falmock.engine.store import Store
    from falmock.faults.injections import Injection

log = logging.getLogger("falmock.engine.webhooks")

STORE_PAUSE: Final = 1.0  # seconds between tries to write or read the state of a delivery
AT_ONCE: Final = 256  # attempts in progress, all receivers together
AT_ONCE_EACH: Final = 8  # attempts in progress to one receiver


class Sender:
    """Sends webhooks and retries them. Each receiver has its own slots, so that a slow one delays no other.

    Args:
        http: must not follow redirects.
        is_local: returns whether a host may get webhooks; None allows all.
        changed: called after each attempt.
        observed: called with each fault that takes effect.
        transaction: opens a transaction of the store; raises `StorageUnavailable`.
    """

    def __init__(
        self,
        *,
        store: Store,
        signer: Signer,
        clock: Clock,
        http: Once[httpx.AsyncClient],
        observer: Observer,
        is_local: Callable[[str], bool] | None,
        changed: Callable[[], None],
        observed: Callable[[Injection], None],
        transaction: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._store = store
        self._signer = signer
        self._clock = clock
        self._http = http
        self._observer = observer
        self._is_local = is_local
        self._changed = changed
        self._observed = observed
        self._transaction = transaction
        self._held: dict[str, dict[str, None]] = {}  # by URL: request ids that wait for a later delivery
        self._slots = Slots(total=share(4, most=AT_ONCE), each=AT_ONCE_EACH)
        self._scheduled: list[tuple[float, str]] = []  # a heap of times and request ids
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._cancelled: set[asyncio.Task[None]] = set()
        self._reload()

    def add(self, request: Request, output: bytes, *, user_id: str, now: float, give_up_at: float) -> None:
        """Schedule the webhook of a completed request, in the caller's transaction."""
        url = request.webhook
        if url is None:
            return
        plan = effects.delivery_plan(request.injections)
        self._observe(*plan.observed)
        at = now + plan.delay
        if plan.waits_for_next:
            self._store.on_commit(lambda: self._held.setdefault(url, {}).update({request.id: None}))
        delivery = Delivery(
            request_id=request.id,
            url=url,
            user_id=user_id,
            body=payload(request, None if plan.null_payload else output),
            attempts=0,
            next_at=at,
            give_up_at=max(give_up_at, at),
            faults=request.faults,
        )
        self._store.insert(delivery)
        self._store.on_commit(lambda: heapq.heappush(self._scheduled, (at, request.id)))

    def due(self) -> float:
        """Return when the next attempt is due; infinity for never."""
        return self._scheduled[0][0] if self._scheduled else math.inf

    def launch(self, now: float) -> None:
        """Start every attempt that is due."""
        while self._scheduled and self._scheduled[0][0] <= now:
            _, request_id = heapq.heappop(self._scheduled)
            try:
                delivery = self._store.delivery(request_id)
            except sqlite3.DatabaseError as error:
                self._fail(request_id, error)
                continue
            if delivery is None or delivery.next_at is None or delivery.next_at > now:
                continue  # the entry is out of date
            if request_id in self._sending:
                continue  # `_finished` schedules the next attempt
            task = asyncio.create_task(self._deliver(delivery), name=request_id)
            self._sending[request_id] = task
            task.add_done_callback(self._finished)

    def break_off(self, gone: Collection[str] | None = None) -> list[asyncio.Task[None]]:
        """Cancel attempts, for some requests or all, and reload the schedule; return the cancelled tasks."""
        ids = [request_id for request_id in self._sending if gone is None or request_id in gone]
        cancelled = [self._sending.pop(request_id) for request_id in ids]
        for task in cancelled:
            task.cancel()
        self._cancelled.update(cancelled)
        self._reload()
        return cancelled

    @property
    def in_flight(self) -> list[asyncio.Task[None]]:
        """The attempts in progress."""
        return [*self._sending.values(), *self._cancelled]

    async def close(self) -> None:
        """Cancel all attempts; they are made again after the next start."""
        tasks = self.in_flight
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _reload(self) -> None:
        pending = {each.request_id: each.next_at for each in self._store.pending_deliveries()}
        self._scheduled = [(at, request_id) for request_id, at in pending.items() if at is not None]
        heapq.heapify(self._scheduled)
        for url, held in list(self._held.items()):
            self._release(url, [request_id for request_id in held if request_id not in pending])

    async def _deliver(self, delivery: Delivery) -> None:
        request_id, url = delivery.request_id, without_secrets(delivery.url)
        if self._is_local is not None and not self._is_local(urls.split(delivery.url).hostname or ""):
            reason = "is not on this machine (allow it with --webhooks any)"
            log.warning("webhook of %s not sent: %s %s", request_id, url, reason)
            await self._write(lambda: self._give_up(delivery, DeliveryState.REFUSED, "not local"))
            return
        if (lost := delivery.injections.get("webhook_lost")) is not None:
            self._observe(lost)
            await self._write(lambda: self._give_up(delivery, DeliveryState.LOST, "lost"))
            return
        async with self._slots.slot(receiver(delivery.url)):
            verdict = await self._post(delivery)
        await self._write(lambda: self._conclude(delivery, verdict))
        log.info("webhook of %s to %s: %s (attempt %d)", request_id, url, verdict, delivery.attempts + 1)

    async def _post(self, delivery: Delivery) -> str:
        """Return the status code as text, or the reason why there is none."""
        plan = effects.attempt_plan(delivery.injections)
        self._observe(*plan.observed)
        headers = signed_headers(self._signer, delivery, plan, self._clock.wall())
        from falmock.engine.posting import post  # noqa: PLC0415 - loads httpx, for the first webhook

        body = attempt_body(delivery, plan)
        at, began = self._clock.now(), time.perf_counter()
        answer = await post(
            self._http(),
            delivery.url,
            body=body,
            headers=headers,
            limit=timeout(delivery.attempts),
            pause=plan.pause,
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
        request = self._store.request(delivery.request_id)
        if request is None:  # reset since the attempt began
            return
        repeated = delivery.outcome == DeliveryState.DELIVERED
        attempt = Attempt(
            request=request,
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
        self._observer.attempt(attempt)

    async def _write(self, conclude: Callable[[], None]) -> None:
        """Store the result of an attempt; retry while the store cannot write."""
        while True:
            with contextlib.suppress(StorageUnavailable), self._transaction():
                return conclude()
            await asyncio.sleep(STORE_PAUSE)

    def _conclude(self, delivery: Delivery, verdict: str) -> None:
        attempts = delivery.attempts + 1
        if delivery.outcome == DeliveryState.DELIVERED:  # the second delivery of `webhook_twice`
            self._observe(delivery.injections["webhook_twice"])
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
        """Record that nothing is sent."""
        answer, at = Answer(error=why), self._clock.now()
        note = partial(self._note, delivery, answer, at=at, headers={}, body=delivery.body)
        self._store.on_commit(note)
        self._update(delivery, outcome=outcome, last=why)

    def _update(self, delivery: Delivery, *, next_at: float | None = None, **changes: object) -> None:
        self._store.update(Delivery, delivery.request_id, next_at=next_at, **changes)
        self._store.on_commit(lambda: self._release(delivery.url, [delivery.request_id]))
        if next_at is not None:
            due = (next_at, delivery.request_id)
            self._store.on_commit(lambda: heapq.heappush(self._scheduled, due))

    def _release(self, url: str, request_ids: Collection[str]) -> None:
        """Forget that some requests wait for a later delivery to a URL."""
        held = self._held.get(url, {})
        for request_id in request_ids:
            held.pop(request_id, None)
        if not held:
            self._held.pop(url, None)

    def _finished(self, task: asyncio.Task[None]) -> None:
        request_id = task.get_name()
        self._cancelled.discard(task)
        error = None if task.cancelled() else task.exception()
        if self._sending.get(request_id) is task:
            del self._sending[request_id]
            if error is not None:
                self._fail(request_id, error)
            self._schedule_next(request_id, after_error=error is not None)
        self._changed()

    def _schedule_next(self, request_id: str, *, after_error: bool) -> None:
        later = self._clock.now() + STORE_PAUSE
        try:
            delivery = self._store.delivery(request_id)
        except sqlite3.Error as unreadable:
            log.error("the state of a webhook cannot be read: %s", unreadable)  # noqa: TRY400
            heapq.heappush(self._scheduled, (later, request_id))
            return
        if delivery is not None and delivery.next_at is not None:
            at = max(delivery.next_at, later) if after_error else delivery.next_at
            heapq.heappush(self._scheduled, (at, request_id))

    def _fail(self, request_id: str, error: BaseException) -> None:
        """Give a delivery up after an unexpected error."""
        log.error("the webhook of %s cannot be sent: %r", request_id, error)
        failed, last = DeliveryState.FAILED, type(error).__name__
        with contextlib.suppress(StorageUnavailable, sqlite3.DatabaseError), self._transaction():
            self._store.update(Delivery, request_id, next_at=None, outcome=failed, last=last)

    def _observe(self, *injections: Injection) -> None:
        for injection in injections:
            self._observed(injection)
