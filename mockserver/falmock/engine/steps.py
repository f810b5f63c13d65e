"""Writes the steps of a request: its row, its result, its webhook, a journal entry, a log line.

`transitions` decides about events and times. Every method works in the caller's transaction. Changes outside
of the store follow after the commit.
"""

from __future__ import annotations

import logging
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from falmock.engine.delivery import user_id
from falmock.engine.ids import rng, uuid4, uuid7
from falmock.engine.lifecycle import Event, State, after
from falmock.engine.rows import Delivery, Request
from falmock.protocol.errors import compact

if TYPE_CHECKING:
    from falmock.engine.resources import Resources
    from falmock.engine.webhooks import Sender
    from falmock.protocol.outcomes import Outcome

log = logging.getLogger("falmock")

LARGE_RESULT: Final = 10_000  # bytes (PROTOCOL.md 4.6)
UNSTORED: Final = 3600.0  # seconds that a result is kept after `X-Fal-Store-IO: 0` (4.6)
UNSTORED_LARGE: Final = 360.0
DAY: Final = 86_400.0


class Steps:
    """Writes the steps of requests."""

    def __init__(self, resources: Resources, sender: Sender) -> None:
        self._resources = resources
        self._settings = resources.settings
        self._store = resources.store
        self._seed = resources.seed
        self._sender = sender

    def _note(self, request: Request, event: str, at: float) -> None:
        self._store.on_commit(partial(self._resources.observer.step, request, event, at))

    def _log(self, text: str, *values: object) -> None:
        self._store.on_commit(partial(log.info, text, *values))

    # States

    def hold(self, request: Request, at: float, *, held: bool) -> None:
        self._note(self._store.change(request, held=held), "hold" if held else "release", at)

    def start(self, request: Request, at: float) -> Request:
        """Write the start of a run; return the new row."""
        attempts = request.attempts + 1
        gateway_id = request.id
        if attempts > 1:
            gateway_id = str(uuid7(at, rng(self._seed, request.seq, f"gateway {attempts}")))
        request = self._store.change(
            request,
            state=after(State(request.state), Event.START),
            started_at=at,
            attempts=attempts,
            gateway_id=gateway_id,
        )
        self._log("request %s: IN_PROGRESS", request.id)
        self._note(request, Event.START, at)
        return request

    def requeue(self, request: Request, at: float) -> Request:
        """Write that a request waits for another run; return the new row."""
        random = rng(self._seed, request.seq, f"attempt {request.attempts + 1}")
        request = self._store.change(
            request,
            state=after(State(request.state), Event.REQUEUE),
            started_at=None,
            due_at=None,
            ready_at=at + self._settings.queue_seconds.draw(random),
            run_seconds=self._settings.run_seconds.draw(random),
        )
        self._log("request %s: IN_QUEUE again after attempt %d", request.id, request.attempts)
        self._note(request, Event.REQUEUE, at)
        return request

    def complete(self, request: Request, event: Event, outcome: Outcome, at: float) -> None:
        """Write the end of a request, and schedule its webhook."""
        kept = self._retention(request, outcome)
        if (expired := request.injections.get("result_expired")) is not None:
            self._resources.observed(expired)
            kept = expired.fault.options["seconds"]
        headers = outcome.headers | self._headers_of_runner(request, outcome)
        request = self._store.change(
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
        self._store.keep(request.id, "output", outcome.body)
        self._log("request %s: COMPLETED with %d", request.id, outcome.status)
        self._note(request, event, at)
        self.schedule_webhook(request, outcome, at)

    def _headers_of_runner(self, request: Request, outcome: Outcome) -> dict[str, str]:
        """Return the headers that a runner adds to its answer; none for an answer of the platform."""
        if outcome.error_type is not None or request.attempts == 0:
            return {}
        number = rng(self._seed, request.seq, f"runner {request.attempts}").randrange(self._settings.runners)
        runner = uuid4(rng(self._seed, request.application, f"runner {number}"))
        rejected = outcome.status == HTTPStatus.UNPROCESSABLE_ENTITY
        return ({"x-fal-needs-retry": "false"} if rejected else {}) | {"x-fal-served-from": str(runner)}

    def schedule_webhook(self, request: Request, outcome: Outcome, at: float) -> None:
        """Schedule the webhook, if the request has one. The fault `webhook_early` has scheduled it before."""
        if request.webhook is None or self._store.delivery(request.id) is not None:
            return
        give_up_at = at + self._retention(request, outcome)
        user = user_id(request.caller)
        self._sender.add(request, outcome.body, user_id=user, now=at, give_up_at=give_up_at)

    def _retention(self, request: Request, outcome: Outcome) -> float:
        large = len(outcome.body) >= LARGE_RESULT
        kept = self._settings.retention_large if large else self._settings.retention
        return kept if request.store_io else min(kept, UNSTORED_LARGE if large else UNSTORED)

    # Expiry

    def expire(self, request: Request, now: float) -> None:
        """Delete the result; some weeks later, delete everything about the request."""
        forget_at = (request.completed_at or now) + self._settings.payload_days * DAY
        self._store.drop(request.id, "output")
        if request.store_io and forget_at > (request.expires_at or 0):
            self._store.change(request, expires_at=forget_at)
        else:
            self.forget(request)

    def forget(self, request: Request) -> None:
        """Delete the request, its payloads, its webhook and its rules."""
        self._resources.files.payloads.drop(request)
        self._store.delete(Delivery, request.id)
        self._store.delete(Request, request.id)
        self._resources.rule_set.forget(request.id)
