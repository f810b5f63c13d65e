"""Webhooks: what is delivered and when (pure), and the one who sends.

Facts, from PROTOCOL.md 9: the first attempt may take 15 s and later ones 120 s; only 2xx counts; a
redirect is a permanent failure; at most 31 retries, until the stored result expires. The spacing of
the retries is assumed: it doubles from one second to two minutes, so that 31 of them fill the hour
that a result is kept.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import logging
import math
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx

from falmock.addresses import is_loopback
from falmock.errors import compact
from falmock.store import Delivery, Request, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from falmock.clock import Clock
    from falmock.signing import Signer

log = logging.getLogger("falmock.webhooks")

FIRST_TIMEOUT: Final = 15.0
LATER_TIMEOUT: Final = 120.0
RETRIES: Final = 31
LONGEST_PAUSE: Final = 128.0
AT_ONCE: Final = 32

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


def payload(request: Request, output: bytes) -> bytes:
    """Return the bytes to deliver for a completed request."""
    body: dict[str, Any] = {"request_id": request.id, "gateway_request_id": request.gateway_id}
    good = request.status is not None and request.status < 400  # noqa: PLR2004 - HTTP's own line
    body["status"] = "OK" if good else "ERROR"
    if not good:
        body["error"] = f"Invalid status code: {request.status}"
    try:
        body["payload"] = json.loads(output)
    except ValueError:
        body["payload"] = None
        body["payload_error"] = UNSERIALIZABLE
    return compact(body)


def is_deliverable(url: str) -> bool:
    """Tell whether a webhook URL is one that something can be posted to."""
    try:
        parts = urlsplit(url)
        httpx.URL(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except (ValueError, httpx.InvalidURL):
        return False


def without_secrets(url: str) -> str:
    """Return a URL fit for a log: receivers put tokens into queries and user info."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


class Sender:
    """Sends what is due, each delivery on its own, so that a slow receiver delays nobody else.

    Args:
        store: has the deliveries, so that a restart goes on where it stood.
        signer: signs each attempt anew, since receivers refuse an old timestamp.
        clock: for the schedule, and its wall time for the signature.
        http: does the posting; it must not follow redirects.
        anywhere: deliver beyond this machine too.
        changed: called when an attempt has ended.
    """

    def __init__(
        self,
        *,
        store: Store,
        signer: Signer,
        clock: Clock,
        http: httpx.AsyncClient,
        anywhere: bool,
        changed: Callable[[], None],
    ) -> None:
        self._store = store
        self._signer = signer
        self._clock = clock
        self._http = http
        self._anywhere = anywhere
        self._changed = changed
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._scheduled: list[tuple[float, str]] = []
        self.in_flight: dict[asyncio.Task[None], str] = {}
        self._look()

    def add(self, request: Request, output: bytes, *, user_id: str, now: float, give_up_at: float) -> None:
        """Schedule the webhook of a completed request, in the caller's transaction."""
        url = request.webhook
        if url is None:
            return
        delivery = Delivery(
            request_id=request.id,
            url=url,
            user_id=user_id,
            body=payload(request, output),
            attempts=0,
            next_at=now,
            give_up_at=give_up_at,
        )
        self._store.insert(delivery)
        heapq.heappush(self._scheduled, (now, request.id))

    def due(self) -> float:
        """Return when the next attempt is due; infinity for never."""
        return self._scheduled[0][0] if self._scheduled else math.inf

    def launch(self, now: float) -> None:
        """Start every attempt that is due."""
        while self._scheduled and self._scheduled[0][0] <= now:
            _, request_id = heapq.heappop(self._scheduled)
            delivery = self._store.delivery(request_id)
            if delivery is None:  # forgotten with its request
                continue
            task = asyncio.create_task(self._deliver(delivery))
            self.in_flight[task] = request_id
            task.add_done_callback(self._landed)

    def _landed(self, task: asyncio.Task[None]) -> None:
        del self.in_flight[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a webhook could not be sent: this is a defect of falmock", exc_info=error)
        self._changed()

    def break_off(self, gone: Collection[str]) -> list[asyncio.Task[None]]:
        """Send nothing more for some requests, and look anew at what the store has to send.

        Returns:
            What was in flight for them, cancelled.
        """
        broken_off = [task for task, request_id in self.in_flight.items() if request_id in gone]
        for task in broken_off:
            task.cancel()
        self._look(besides=set(self.in_flight.values()) - set(gone))
        return broken_off

    def _look(self, besides: Collection[str] = ()) -> None:
        self._scheduled = [
            (delivery.next_at, delivery.request_id)
            for delivery in self._store.pending_deliveries()
            if delivery.next_at is not None and delivery.request_id not in besides
        ]
        heapq.heapify(self._scheduled)

    async def close(self) -> None:
        """Stop; what was in flight is sent again after the next start."""
        for task in self.in_flight:
            task.cancel()
        await asyncio.gather(*self.in_flight, return_exceptions=True)

    async def _deliver(self, delivery: Delivery) -> None:
        where = without_secrets(delivery.url)
        if not self._anywhere and not is_loopback(urlsplit(delivery.url).hostname or ""):
            log.warning(
                "webhook of %s not sent: %s is not on this machine (allow it with --webhooks any)",
                delivery.request_id,
                where,
            )
            self._record(delivery, outcome="refused", last="not local")
            return
        async with self._slots:
            verdict = await self._post(delivery)
        attempts = delivery.attempts + 1
        log.info("webhook of %s to %s: %s (attempt %d)", delivery.request_id, where, verdict, attempts)
        if verdict.startswith("2"):
            self._record(delivery, outcome="delivered", last=verdict, attempts=attempts)
        elif verdict.startswith("3"):
            self._record(delivery, outcome="failed", last=verdict, attempts=attempts)
        else:
            at = next_attempt(attempts, self._clock.now(), delivery.give_up_at)
            outcome = "failed" if at is None else "pending"
            self._record(delivery, outcome=outcome, last=verdict, attempts=attempts, next_at=at)
            if at is not None:
                heapq.heappush(self._scheduled, (at, delivery.request_id))

    async def _post(self, delivery: Delivery) -> str:
        """Return the status code as text, or the name of what went wrong on the way."""
        headers = self._signer.webhook_headers(
            request_id=delivery.request_id,
            user_id=delivery.user_id,
            timestamp=int(self._clock.wall()),
            body=delivery.body,
        )
        headers["Content-Type"] = "application/json"
        limit = timeout(delivery.attempts)
        try:
            async with (
                asyncio.timeout(limit),
                # The answer's body is nobody's business and may be endless: it is not read.
                self._http.stream(
                    "POST", delivery.url, content=delivery.body, headers=headers, timeout=limit
                ) as answer,
            ):
                return str(answer.status_code)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            return type(error).__name__

    def _record(self, delivery: Delivery, *, next_at: float | None = None, **changes: object) -> None:
        self._store.update(Delivery, delivery.request_id, next_at=next_at, **changes)
