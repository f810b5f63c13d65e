"""The emulator: the methods that hosts and the control API call.

The status of a request depends on the time alone, so every method applies the due events before it answers.
Between calls, the scheduler (`timeline.run`) applies them, for webhooks and streams.
"""

from __future__ import annotations

import asyncio
import logging
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from falmock.engine import logs
from falmock.engine.ids import rng
from falmock.engine.lifecycle import DeliveryState, State
from falmock.engine.manual import Manual
from falmock.engine.notifier import ANY
from falmock.engine.timeline import Timeline
from falmock.engine.transitions import Transitions
from falmock.engine.uploads import Uploads
from falmock.faults import effects
from falmock.protocol.errors import (
    AlreadyCompleted,
    ConcurrencyLimit,
    PlatformError,
    QueueTooLong,
    RequestNotFound,
    StorageUnavailable,
)
from falmock.protocol.hosts import MEDIA, BaseURL
from falmock.protocol.outcomes import Outcome

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from falmock.engine.queue import Job
    from falmock.engine.resources import Resources
    from falmock.engine.rows import Delivery, Request
    from falmock.engine.submission import Submission

log = logging.getLogger("falmock")


class Emulator:
    """All requests of one server.

    Attributes:
        manual: steers requests for the control API and tests.
        timeline: the scheduler, and how emulated time passes.
        payloads: inputs and results.
        locks: the accounts that are locked; `manual` changes them.
        closing: the server is about to stop.

    Raises:
        StorageUnavailable: the store cannot write.
    """

    def __init__(self, resources: Resources) -> None:
        self.settings = resources.settings
        self.clock = resources.clock
        self.store = resources.store
        self.files = resources.files
        self.signer = resources.signer
        self.catalogue = resources.catalogue
        self.uploads = Uploads(
            resources.files, resources.signer, now=resources.clock.now, new_rng=self.fresh_rng
        )
        self.rule_set = resources.rule_set
        self.dialler = resources.dialler
        self.observer = resources.observer
        self.closing = False
        self.seed = resources.seed
        self._transitions = Transitions(resources)
        self.payloads = resources.files.payloads
        self.locks = self._transitions.locks
        self.manual = Manual(resources, self._transitions)
        self.timeline = Timeline(resources, self._transitions)

    # Create requests

    def submit(self, submission: Submission) -> Request:
        """Accept a request.

        Raises:
            QueueTooLong: more requests wait than the submission allows.
            StorageUnavailable: the store cannot write.
        """
        now = self.advance()
        if submission.max_queue_length < math.inf:
            waiting = self._transitions.queue.waiting(submission.endpoint.application)
            if waiting > submission.max_queue_length:
                raise QueueTooLong(waiting, int(submission.max_queue_length))
        request = self._transitions.accept(submission, now, direct=False)
        log.info("request %s: IN_QUEUE for %s", request.id, submission.endpoint)
        if request.faults is None:
            return request
        if "locks_account" in request.injections:
            self.manual.lock(request.caller)
        return self._known(request.id) if "starts_at_once" in request.injections else request

    async def run_directly(self, submission: Submission) -> Request:
        """Accept a request and return it completed. If this is cancelled, so is the request.

        Raises:
            ConcurrencyLimit: the caller has as many running requests as it may have.
            StorageUnavailable: the store cannot write.
        """
        now = self.advance()
        if self._transitions.queue.running_of(submission.caller) >= self.settings.concurrency:
            raise ConcurrencyLimit(self.settings.concurrency)
        request = self._transitions.accept(submission, now, direct=True)
        self._transitions.notify()
        try:
            return await self.wait_for(request.id, State.COMPLETED)
        except asyncio.CancelledError:
            with suppress(StorageUnavailable):  # the request then continues, and its result is not read
                self._end(request.id, "client_disconnected")
            raise
        except RequestNotFound:  # deleted by a reset
            raise PlatformError("runner_disconnected") from None

    # Read requests

    def advance(self) -> float:
        """Apply the due events; return the emulated time."""
        return self._transitions.advance()

    def request(self, request_id: str) -> Request | None:
        """Return a request as it is now."""
        self.advance()
        return self.store.request(request_id)

    def output(self, request: Request) -> bytes | None:
        """Return the body of a request's result; None before the end and after the result expired."""
        return self.payloads.output(request, self.clock.now())

    def position(self, request: Request) -> int:
        """Return how many requests wait before a waiting one."""
        position = self._transitions.queue.position(request.id)
        if request.faults is None or request.attempts > 0:
            return position
        submitted_at, ready_at, now = request.submitted_at, request.ready_at, self.clock.now()
        return position + effects.phantom_requests(request.injections, submitted_at, ready_at, now)

    def next_position_at(self, request: Request) -> float:
        """Return when the position of a waiting request may change with time; infinity for never."""
        now, ready_at = self.clock.now(), request.ready_at
        if (
            request.state != State.IN_QUEUE
            or request.faults is None
            or request.attempts > 0
            or now >= ready_at
        ):
            return math.inf
        return now + effects.seconds_of_a_position(request.injections, request.submitted_at, ready_at)

    def logs(self, request: Request) -> list[dict[str, Any]]:
        flat = self.settings.flat_logs
        return logs.entries(self.catalogue, request, self.clock.now(), seed=self.seed, flat=flat)

    def next_log_at(self, request: Request) -> float:
        """Return when a running request writes its next log line; infinity for never."""
        return logs.next_at(self.catalogue, request, self.clock.now())

    def waiting_jobs(self, application: str) -> list[Job]:
        self.advance()
        return self._transitions.queue.waiting_jobs(application)

    def running(self, application: str) -> int:
        self.advance()
        return self._transitions.queue.running(application)

    def trouble(self) -> str | None:
        """Return a short text about a missing resource such as disk space, or None."""
        return self._transitions.trouble()

    # Wait for changes

    def changed(self, request: Request | None = None) -> asyncio.Event:
        """Return an event that is set at the next change of a request; of any request for None.

        The position of a waiting request changes with others of its application.
        """
        if request is None:
            return self._transitions.changed.subscribe(ANY)
        waits = request.state == State.IN_QUEUE
        return self._transitions.changed.subscribe(request.application if waits else request.id)

    async def wait_for(self, request_id: str, state: State) -> Request:
        """Return a request once it is in a state, or completed.

        Raises:
            RequestNotFound: it does not exist.
            PlatformError: the server stops.
        """
        while (request := self._known(request_id)).state not in {state, State.COMPLETED}:
            self._check_open()
            await self._transitions.changed.subscribe(request_id).wait()
        return request

    async def wait_for_delivery(self, request_id: str) -> Delivery:
        """Return the webhook of a request once it is delivered or has failed for good.

        Raises:
            RequestNotFound: the request does not exist, or has no webhook.
            PlatformError: the server stops.
        """
        while True:
            if self._known(request_id).webhook is None:
                raise RequestNotFound
            delivery = self.store.delivery(request_id)
            if delivery is not None and delivery.outcome != DeliveryState.PENDING:
                return delivery
            self._check_open()
            await self._transitions.changed.subscribe(request_id).wait()

    def _check_open(self) -> None:
        if self.closing:
            raise PlatformError("runner_disconnected")

    def _known(self, request_id: str) -> Request:
        if (request := self.request(request_id)) is None:
            raise RequestNotFound
        return request

    # End requests

    def cancel(self, request: Request) -> None:
        """Cancel a waiting or running request. With `--cancel ignored`, a running one is not affected.

        Raises:
            AlreadyCompleted: it has ended.
        """
        if request.state == State.COMPLETED:
            raise AlreadyCompleted
        if request.state == State.IN_QUEUE:
            self._end(request.id, "client_cancelled")
        elif self.settings.cancel == "honoured":
            # This is an answer of the runner, and runners send no error types (PROTOCOL.md 13).
            self._transitions.end(request.id, Outcome.refused(499, "Request cancelled by the client."))

    def flush(self, application: str, caller: str | None = None) -> Iterator[None]:
        """Cancel the waiting requests of an application: all, or one caller's. Yields after each one."""
        for job in self.waiting_jobs(application):
            if caller in {None, job.caller}:
                self._end(job.id, "client_cancelled")
                yield

    def drop_payloads(self, request: Request) -> list[str]:
        """Delete a completed request's input, result and files; return the URLs of the files."""
        base_url = BaseURL.parse(request.origin)
        with self._transitions.transaction(steers=False):
            gone = [base_url.url(MEDIA, path) for path in self.files.withdraw(request.id)]
            self.payloads.drop(request)
            self.store.change(request, body_file=None)
        return gone

    def _end(self, request_id: str, error_type: str) -> None:
        self._transitions.end(request_id, effects.ended(PlatformError(error_type)))

    # Tokens and random numbers

    def token_claims(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a token from this emulator, or None if it is invalid or expired."""
        return self.signer.jwt_claims(token, now=self.clock.now())

    def fresh_rng(self, purpose: str) -> random.Random:
        """Return a new source of random numbers, which depends on the seed and the order of calls."""
        with self._transitions.transaction(steers=False):
            return rng(self.seed, self.store.next_seq(), purpose)

    # Stop

    def shutdown(self) -> None:
        """Wake everything that waits, because the server is about to stop."""
        self.closing = True
        self._transitions.changed.notify_all()

    async def close(self) -> None:
        """Stop all work. Accepted requests continue after the next start."""
        await self._transitions.runs.close()
        await self._transitions.sender.close()
        self._transitions.changed.notify_all()
