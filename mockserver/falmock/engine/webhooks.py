"""Webhooks: what is delivered and when (pure), and the one who sends.

Facts, from PROTOCOL.md 9: the first attempt may take 15 s and later ones 120 s; only 2xx counts; a
redirect is a permanent failure; at most 31 retries, until the stored result expires. The spacing of
the retries is assumed: it doubles from one second to two minutes, so that 31 of them fill the hour
that a result is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import json
import logging
import math
import sqlite3
from typing import TYPE_CHECKING, Any, Final

import httpx

from falmock.engine.posting import Answer, post
from falmock.engine.rows import Delivery, Request
from falmock.engine.slots import Slots
from falmock.faults.rules import Injection, load
from falmock.protocol import urls
from falmock.protocol.authorities import AuthorityError, parse_url
from falmock.protocol.errors import StorageUnavailable, compact
from falmock.system.descriptors import share

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from contextlib import AbstractContextManager

    from falmock.engine.clock import Clock
    from falmock.engine.signing import Signer
    from falmock.engine.store import Store
    from falmock.faults.vocabulary import Fault
    from falmock.inspection.journal import Journal

log = logging.getLogger("falmock.engine.webhooks")

FIRST_TIMEOUT: Final = 15.0
LATER_TIMEOUT: Final = 120.0
RETRIES: Final = 31
STORE_PAUSE: Final = 1.0  # seconds until a delivery is looked at again whose state could not be written
LONGEST_PAUSE: Final = 128.0
AT_ONCE: Final = 256  # attempts under way, of all receivers
AT_ONCE_EACH: Final = 8  # attempts under way to one receiver: scheme, host and port
FORGED: Final = ("webhook_bad_signature", "webhook_old_timestamp")  # what a receiver must not take

UNSERIALIZABLE: Final = (
    "Response payload is not JSON serializable. Either return a JSON serializable object or use the queue "
    "endpoint to retrieve the response."
)


def timeout(attempts: int) -> float:
    """Return how many real seconds the next attempt may take, after so many."""
    return FIRST_TIMEOUT if attempts == 0 else LATER_TIMEOUT


def next_attempt(attempts: int, now: float, give_up_at: float) -> float | None:
    """Return when to try again after so many failed attempts, or None to give up."""
    if attempts > RETRIES:
        return None
    at = now + min(2.0 ** (attempts - 1), LONGEST_PAUSE)
    return at if at < give_up_at else None


def payload(request: Request, output: bytes | None) -> bytes:
    """Return the bytes to deliver for a completed request; without an output the payload is null."""
    body: dict[str, Any] = {"request_id": request.id, "gateway_request_id": request.gateway_id}
    good = request.status is not None and request.status < 400  # noqa: PLR2004 - HTTP's own line
    body["status"] = "OK" if good else "ERROR"
    if not good:
        body["error"] = f"Invalid status code: {request.status}"
    try:
        body["payload"] = json.loads(output or b"")
    except ValueError:
        body["payload"] = None
        body["payload_error"] = UNSERIALIZABLE
    return compact(body)


def is_deliverable(url: str) -> bool:
    """Tell whether a webhook URL is one that something can be posted to."""
    try:
        parts, target = urls.split(url), httpx.URL(url)
        same = parts.hostname == target.host  # else one of the two was deceived about where it leads
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and same and parts.port != 0
    except (ValueError, httpx.InvalidURL):
        return False


def without_secrets(url: str) -> str:
    """Return a URL fit for a log: receivers put tokens into queries and user info."""
    try:
        parts = parse_url(url, userinfo=True)
    except AuthorityError:
        return "a URL that cannot be read"
    return f"{parts.scheme}://{parts.authority}{parts.path}"


def receiver(url: str) -> str:
    """Return who receives what is posted to a URL: its scheme, host and port."""
    target = httpx.URL(url)
    return f"{target.scheme}://{target.host}:{target.port or ''}"


class Sender:
    """Sends what is due. Receivers have slots of their own, so that a slow one delays no other.

    Args:
        store: has the deliveries, so that a restart goes on where it stood.
        signer: signs each attempt anew, since receivers refuse an old timestamp.
        clock: for the schedule, and its wall time for the signature.
        http: does the posting; it must not follow redirects.
        journal: where attempts are taken down.
        is_local: tells the hosts that may be delivered to; None for all of them.
        changed: called when an attempt has ended.
        fired: called when a fault has shown.
        transaction: opens a transaction of the store; raises `StorageUnavailable`.
    """

    def __init__(
        self,
        *,
        store: Store,
        signer: Signer,
        clock: Clock,
        http: httpx.AsyncClient,
        journal: Journal,
        is_local: Callable[[str], bool] | None,
        changed: Callable[[], None],
        observed: Callable[[Injection], None],
        transaction: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._store = store
        self._signer = signer
        self._clock = clock
        self._http = http
        self._journal = journal
        self._is_local = is_local
        self._changed = changed
        self._fired = observed
        self._transaction = transaction
        self._held: dict[str, list[str]] = {}  # by receiver: those that wait for another to overtake them
        self._slots = Slots(total=share(4, most=AT_ONCE), each=AT_ONCE_EACH)
        self._scheduled: list[tuple[float, str]] = []
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._broken_off: set[asyncio.Task[None]] = set()
        self._look()

    def add(self, request: Request, output: bytes, *, user_id: str, now: float, give_up_at: float) -> None:
        """Schedule the webhook of a completed request, in the caller's transaction."""
        url = request.webhook
        if url is None:
            return
        injections = load(request.faults)
        null = self._strikes(injections, "webhook_null_payload")
        at = now
        if late := self._strikes(injections, "webhook_late"):
            at += late.options["seconds"]
        if held := self._strikes(injections, "webhook_out_of_order"):
            at += held.options["seconds"]
            self._store.on_commit(lambda: self._held.setdefault(url, []).append(request.id))
        delivery = Delivery(
            request_id=request.id,
            url=url,
            user_id=user_id,
            body=payload(request, None if null else output),
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
                self._drop(request_id, error)
                continue
            if delivery is None or delivery.next_at is None or delivery.next_at > now:
                continue  # forgotten with its request, or overtaken by an earlier entry
            if request_id in self._sending:
                continue  # `_landed` looks at it again
            task = asyncio.create_task(self._deliver(delivery), name=request_id)
            self._sending[request_id] = task
            task.add_done_callback(self._landed)

    def _landed(self, task: asyncio.Task[None]) -> None:
        request_id = task.get_name()
        self._broken_off.discard(task)
        error = None if task.cancelled() else task.exception()
        if self._sending.get(request_id) is task:
            del self._sending[request_id]
            if error is not None:
                self._drop(request_id, error)
            self._schedule_next(request_id, after_error=error is not None)
        self._changed()

    def _schedule_next(self, request_id: str, *, after_error: bool) -> None:
        """Schedule the next attempt, if there is one."""
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

    def _drop(self, request_id: str, error: BaseException) -> None:
        """Mark a delivery as failed after an unexpected error."""
        log.error("the webhook of %s cannot be sent: %r", request_id, error)
        with contextlib.suppress(StorageUnavailable, sqlite3.DatabaseError), self._transaction():
            self._store.update(
                Delivery, request_id, next_at=None, outcome="failed", last=type(error).__name__
            )

    def break_off(self, gone: Collection[str] | None = None) -> list[asyncio.Task[None]]:
        """Break off what is being sent for some requests, or for all; look anew what the store has to send.

        Returns:
            What was being sent for them, cancelled.
        """
        ids = [request_id for request_id in self._sending if gone is None or request_id in gone]
        broken_off = [self._sending.pop(request_id) for request_id in ids]
        for task in broken_off:
            task.cancel()
        self._broken_off.update(broken_off)
        self._look()
        return broken_off

    def _look(self) -> None:
        self._scheduled = [
            (delivery.next_at, delivery.request_id)
            for delivery in self._store.pending_deliveries()
            if delivery.next_at is not None
        ]
        heapq.heapify(self._scheduled)

    @property
    def in_flight(self) -> list[asyncio.Task[None]]:
        """What is being sent."""
        return [*self._sending.values(), *self._broken_off]

    async def close(self) -> None:
        """Stop; what was in flight is sent again after the next start."""
        tasks = self.in_flight
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver(self, delivery: Delivery) -> None:
        where = without_secrets(delivery.url)
        if self._is_local is not None and not self._is_local(urls.split(delivery.url).hostname or ""):
            log.warning(
                "webhook of %s not sent: %s is not on this machine (allow it with --webhooks any)",
                delivery.request_id,
                where,
            )
            await self._write(lambda: self._give_up(delivery, outcome="refused", why="not local"))
            return
        if self._strikes(load(delivery.faults), "webhook_lost"):
            await self._write(lambda: self._give_up(delivery, outcome="lost", why="lost"))
            return
        async with self._slots.slot(receiver(delivery.url)):
            verdict = await self._post(delivery)
        await self._write(lambda: self._conclude(delivery, verdict))
        log.info(
            "webhook of %s to %s: %s (attempt %d)", delivery.request_id, where, verdict, delivery.attempts + 1
        )

    async def _write(self, conclude: Callable[[], None]) -> None:
        """Store the outcome of an attempt; retry while the store cannot write."""
        while True:
            try:
                with self._transaction():
                    return conclude()
            except StorageUnavailable:
                await asyncio.sleep(STORE_PAUSE)

    def _conclude(self, delivery: Delivery, verdict: str) -> None:
        attempts = delivery.attempts + 1
        if delivery.outcome == "delivered":  # a second time, as a fault has it
            self._strikes(load(delivery.faults), "webhook_twice")
            self._record(delivery, last=verdict, attempts=attempts)
        elif verdict.startswith("2"):
            self._arrived(delivery, verdict, attempts)
        elif verdict.startswith("3"):
            self._record(delivery, outcome="failed", last=verdict, attempts=attempts)
        else:
            at = next_attempt(attempts, self._clock.now(), delivery.give_up_at)
            outcome = "failed" if at is None else "pending"
            self._record(delivery, outcome=outcome, last=verdict, attempts=attempts, next_at=at)

    def _give_up(self, delivery: Delivery, *, outcome: str, why: str) -> None:
        """Send nothing, and say so."""
        now, real = self._clock.now(), self._journal.real()
        answer = Answer(error=why)
        self._store.on_commit(lambda: self._note(delivery, at=now, real=real, headers={}, answer=answer))
        self._record(delivery, outcome=outcome, last=why)

    def _arrived(self, delivery: Delivery, verdict: str, attempts: int) -> None:
        twice = load(delivery.faults).get("webhook_twice")
        again = self._clock.now() + twice.fault.options["seconds"] if twice else None
        self._record(delivery, outcome="delivered", last=verdict, attempts=attempts, next_at=again)
        self._store.on_commit(lambda: self._held.pop(delivery.url, None))
        for request_id in self._held.get(delivery.url, []):
            held = self._store.delivery(request_id)
            if held is not None and held.outcome == "pending" and held.attempts == 0:
                self._record(held, next_at=self._clock.now())

    def _strikes(self, injections: Mapping[str, Injection], name: str) -> Fault | None:
        """Return a fault that strikes now, and note that it does."""
        injection = injections.get(name)
        if injection is None:
            return None
        self._fired(injection)
        return injection.fault

    async def _post(self, delivery: Delivery) -> str:
        """Return the status code as text, or the name of what went wrong on the way."""
        injections = load(delivery.faults)
        slow = self._strikes(injections, "webhook_slow")
        headers = self._headers(delivery, injections)
        at, real = self._clock.now(), self._journal.real()
        answer = await post(
            self._http,
            delivery.url,
            body=delivery.body,
            headers=headers,
            limit=timeout(delivery.attempts),
            pause=slow.options["seconds"] if slow else 0.0,
        )
        self._note(delivery, at=at, real=real, headers=headers, answer=answer)
        return answer.verdict

    def _note(
        self, delivery: Delivery, *, at: float, real: float, headers: dict[str, str], answer: Answer
    ) -> None:
        request = self._store.request(delivery.request_id)
        if request is None:  # forgotten meanwhile
            return
        self._journal.attempt(
            request,
            at=at,
            real=real,
            url=delivery.url,
            number=delivery.attempts + 1,
            headers=headers,
            body=delivery.body,
            status=answer.status,
            answer_headers=answer.headers,
            answer=answer.body,
            error=answer.error,
            fault=_fault(delivery),
        )

    def _headers(self, delivery: Delivery, injections: Mapping[str, Injection]) -> dict[str, str]:
        timestamp = self._clock.wall()
        if old := self._strikes(injections, "webhook_old_timestamp"):
            timestamp -= old.options["seconds"]
        if self._strikes(injections, "webhook_rotated_key"):
            self._signer.rotate()
        wrong = self._strikes(injections, "webhook_bad_signature")
        headers = self._signer.webhook_headers(
            request_id=delivery.request_id,
            user_id=delivery.user_id,
            timestamp=int(timestamp),
            body=delivery.body + b" " if wrong else delivery.body,
        )
        return {**headers, "Content-Type": "application/json", "Content-Length": str(len(delivery.body))}

    def _record(self, delivery: Delivery, *, next_at: float | None = None, **changes: object) -> None:
        self._store.update(Delivery, delivery.request_id, next_at=next_at, **changes)
        if next_at is not None:
            due = (next_at, delivery.request_id)
            self._store.on_commit(lambda: heapq.heappush(self._scheduled, due))


def _fault(delivery: Delivery) -> str | None:
    """Return the name of the fault that shapes the next attempt."""
    names = [name for name in load(delivery.faults) if name.startswith("webhook_")]
    if delivery.outcome != "delivered":
        names = [name for name in names if name != "webhook_twice"]
    return min(names, key=lambda name: name not in FORGED, default=None)
