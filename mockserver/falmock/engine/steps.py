"""Writes the steps of a request: its row, its result, its webhook, a journal entry, a log line.

`transitions` decides about events and times. Every method works in the caller's transaction. Changes outside
of the store follow after the commit.
"""

from __future__ import annotations

import logging
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from falmock.engine.ids import rng, uuid4, uuid7, webhook_user
from falmock.engine.lifecycle import Event, State, after
from falmock.engine.rows import Delivery, Request
from falmock.protocol.errors import compact

if TYPE_CHECKING:
    import random

    from falmock.engine.payloads import Payloads
    from falmock.engine.resources import Resources
    from falmock.engine.webhooks import Sender
    from falmock.faults.effects import Injection
    from falmock.protocol.outcomes import Outcome

log = logging.getLogger("falmock")

LARGE_RESULT: Final = 10_000  # bytes (PROTOCOL.md 4.6)
UNSTORED: Final = 3600.0  # seconds that a result is kept after `X-Fal-Store-IO: 0` (4.6)
UNSTORED_LARGE: Final = 360.0
DAY: Final = 86_400.0


class Steps:
    """Writes the steps of requests."""

    def __init__(self, resources: Resources, payloads: Payloads, sender: Sender) -> None:
        self._settings = resources.settings
        self._store = resources.store
        self._rule_set = resources.rule_set
        self._observer = resources.observer
        self._seed = resources.seed
        self._payloads = payloads
        self._sender = sender

    def rng(self, seq: int, purpose: str) -> random.Random:
        """Return the source of random numbers of a request."""
        return rng(self._seed, seq, purpose)

    def change(self, request: Request, **changes: Any) -> Request:
        """Change columns of a row; return the new row."""
        return self._store.change(request, **changes)

    def note(self, request: Request, event: str, at: float) -> None:
        """Pass a step to the observer."""
        self._store.on_commit(partial(self._observer.step, request, event, at))

    def observed(self, injection: Injection) -> None:
        """Count a fault that took effect."""
        self._store.on_commit(partial(self._rule_set.observed, injection))

    def _log(self, text: str, *values: object) -> None:
        self._store.on_commit(partial(log.info, text, *values))

    # States

    def start(self, request: Request, at: float) -> Request:
        """Write the start of a run; return the new row."""
        attempts = request.attempts + 1
        gateway_id = request.id
        if attempts > 1:
            gateway_id = str(uuid7(at, self.rng(request.seq, f"gateway {attempts}")))
        request = self.change(
            request,
            state=after(State(request.state), Event.START),
            started_at=at,
            attempts=attempts,
            gateway_id=gateway_id,
        )
        self._log("request %s: IN_PROGRESS", request.id)
        self.note(request, Event.START, at)
        return request

    def requeue(self, request: Request, at: float) -> Request:
        """Write that a request waits for another run; return the new row."""
        rng = self.rng(request.seq, f"attempt {request.attempts + 1}")
        request = self.change(
            request,
            state=after(State(request.state), Event.REQUEUE),
            started_at=None,
            due_at=None,
            ready_at=at + self._settings.queue_seconds.draw(rng),
            run_seconds=self._settings.run_seconds.draw(rng),
        )
        self._log("request %s: IN_QUEUE again after attempt %d", request.id, request.attempts)
        self.note(request, Event.REQUEUE, at)
        return request

    def complete(self, request: Request, event: Event, outcome: Outcome, at: float) -> None:
        """Write the end of a request, and schedule its webhook."""
        kept = self._retention(request, outcome)
        if (expired := request.injections.get("result_expired")) is not None:
            self.observed(expired)
            kept = expired.fault.options["seconds"]
        headers = outcome.headers | self._headers_of_runner(request, outcome)
        request = self.change(
            request,
            state=after(State(request.state), event),
            completed_at=at,
            held=False,
            status=int(outcome.status),
            headers=compact(headers).decode(),
            error=outcome.error,
            error_type=outcome.error_type,
            expires_at=at + kept,
        )
        self._payloads.keep_output(request, outcome.body)
        self._log("request %s: COMPLETED with %d", request.id, outcome.status)
        self.note(request, event, at)
        self.schedule_webhook(request, outcome, at)

    def _headers_of_runner(self, request: Request, outcome: Outcome) -> dict[str, str]:
        """Return the headers that a runner adds to its answer; none for an answer of the platform."""
        if outcome.error_type is not None or request.attempts == 0:
            return {}
        number = self.rng(request.seq, f"runner {request.attempts}").randrange(self._settings.runners)
        runner = uuid4(rng(self._seed, request.application, f"runner {number}"))
        rejected = outcome.status == HTTPStatus.UNPROCESSABLE_ENTITY
        return ({"x-fal-needs-retry": "false"} if rejected else {}) | {"x-fal-served-from": str(runner)}

    def schedule_webhook(self, request: Request, outcome: Outcome, at: float) -> None:
        """Schedule the webhook, if the request has one. The fault `webhook_early` has scheduled it before."""
        if request.webhook is None or self._store.delivery(request.id) is not None:
            return
        give_up_at = at + self._retention(request, outcome)
        user_id = webhook_user(request.caller)
        self._sender.add(request, outcome.body, user_id=user_id, now=at, give_up_at=give_up_at)

    def _retention(self, request: Request, outcome: Outcome) -> float:
        large = len(outcome.body) >= LARGE_RESULT
        kept = self._settings.retention_large if large else self._settings.retention
        return kept if request.store_io else min(kept, UNSTORED_LARGE if large else UNSTORED)

    # Expiry

    def expire(self, request: Request, now: float) -> None:
        """Delete the result; some weeks later, delete everything about the request."""
        forget_at = (request.completed_at or now) + self._settings.payload_days * DAY
        self._payloads.drop_output(request)
        if request.store_io and forget_at > (request.expires_at or 0):
            self.change(request, expires_at=forget_at)
        else:
            self.forget(request)

    def forget(self, request: Request) -> None:
        """Delete the request, its payloads, its webhook and its rules."""
        self._payloads.drop(request)
        self._store.delete(Delivery, request.id)
        self._store.delete(Request, request.id)
        self._rule_set.forget(request.id)
