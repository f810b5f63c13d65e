"""The one place that knows everything: applies what happened, writes it down, wakes at the next deadline.

What a request's status is follows from the time alone. Handlers call `advance` before they answer,
and one task (`run`) advances when something is due that nobody asks for, so that webhooks leave and
streams move.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import logging
import math
import random
import uuid
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from falmock import bodies, course
from falmock.bell import Bell
from falmock.calls import TEST_KEY
from falmock.errors import (
    AlreadyCompleted,
    ConcurrencyLimit,
    PlatformError,
    QueueTooLong,
    RequestNotFound,
    compact,
)
from falmock.faults import FaultError
from falmock.journal import Journal, Wanted
from falmock.lifecycle import Event, State, after
from falmock.queue import Happening, Job, Queue
from falmock.runner import Assignment, Outcome, Runner
from falmock.scenarios import OF_A_REQUEST, Moment, Plan, Rule, Strike, dump, load
from falmock.store import Delivery, Request, Store
from falmock.webhooks import Sender

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator

    import httpx

    from falmock.clock import Clock
    from falmock.endpoints import Endpoint
    from falmock.faults import Fault
    from falmock.files import Files
    from falmock.settings import Settings
    from falmock.signing import Signer

log = logging.getLogger("falmock")

ATTEMPTS: Final = 10  # runs of one request, the first included (PROTOCOL.md 4.8)
RERUN: Final = frozenset({503, 504})
REJECTION: Final = 0.02  # share of a run: a bad input ends it before the model writes its first log line
ROW_BODY: Final = 16 * 1024  # bytes; a larger body is kept in a file
PENDING: Final = "pending"  # what a delivery's outcome is until there is one
LARGE_RESULT: Final = 10_000  # bytes; such results expire sooner (PROTOCOL.md 4.6)
DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Submit:
    """What a caller hands in, headers and query already understood.

    Attributes:
        endpoint: what for.
        caller: the key id.
        origin: how it arrived, as `str(Origin)`.
        method: HTTP's.
        content_type: as sent.
        body: as sent.
        test: that it belongs to, or None.
        webhook: where to deliver, or None.
        priority: as in `queue`.
        start_within: seconds until a runner must have taken it; infinity for any time.
        retry: run it again after a 503 or 504.
        store_io: keep its payloads.
        lifecycle: JSON of the object lifecycle preference, or None.
        max_queue_length: refuse it when more requests than this wait.
        faults: what it asks to go wrong with it.
    """

    endpoint: Endpoint
    caller: str
    origin: str
    method: str
    content_type: str | None
    body: bytes
    test: str | None = None
    webhook: str | None = None
    priority: int = 0
    start_within: float = math.inf
    retry: bool = True
    store_io: bool = True
    lifecycle: str | None = None
    max_queue_length: float = math.inf
    faults: tuple[Fault, ...] = ()

    def moments(self, request_id: str) -> dict[str, Moment]:
        """Return what rules are asked about, by place; the body is parsed once, if at all."""
        asked = cache(lambda: asked_of(self.body))
        return {
            place: Moment(place, str(self.endpoint), self.caller, self.test, request_id, asked)
            for place in OF_A_REQUEST
        }


class Emulator:
    """All requests of one server.

    Args:
        settings: see there.
        clock: the only one.
        store: the truth.
        files: bodies, uploads, outputs.
        runner: does the work.
        signer: for webhooks.
        plan: what shall go wrong.
        http: sends webhooks; it must not follow redirects.
        is_local: tells which hosts are this machine's.
        seed: decides ids and timings.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        store: Store,
        files: Files,
        runner: Runner,
        signer: Signer,
        plan: Plan,
        http: httpx.AsyncClient,
        is_local: Callable[[str], bool],
        seed: int,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.store = store
        self.files = files
        self.signer = signer
        self.plan = plan
        self.seed = seed
        self.journal = Journal(settings.journal_size, keys=settings.keys or ())
        self._runner = runner
        self._sender = Sender(
            store=store,
            signer=signer,
            clock=clock,
            http=http,
            journal=self.journal,
            is_local=None if settings.webhooks == "any" else is_local,
            changed=self._attempted,
            fired=plan.fired,
        )
        self._queue = self._new_queue()
        self._outcomes: dict[str, Outcome] = {}
        self._work: dict[asyncio.Task[None], str] = {}
        self._due = math.inf
        self._wake = asyncio.Event()
        self.closing = False
        self._bell = Bell()
        self._attempt = Bell()
        self._passing = asyncio.Lock()
        self._pick_up()

    # What callers ask for

    def submit(self, asked: Submit) -> tuple[Request, int]:
        """Accept a request; return it with its position in the queue.

        Raises:
            QueueTooLong: more requests wait than the caller puts up with.
        """
        self.advance()
        waiting = self._queue.waiting(asked.endpoint.application)
        if waiting > asked.max_queue_length:
            raise QueueTooLong(waiting, int(asked.max_queue_length))
        request = self._accept(asked, direct=False)
        log.info("request %s: IN_QUEUE for %s", request.id, asked.endpoint)
        return request, self.position(request)

    async def run_directly(self, asked: Submit) -> Request:
        """Accept a request that nobody will poll for, and return it completed.

        Whoever awaits this may be cancelled; so is the request, then.

        Raises:
            ConcurrencyLimit: the caller has as many requests running as it may.
        """
        self.advance()
        if self._queue.running_of(asked.caller) >= self.settings.concurrency:
            raise ConcurrencyLimit(self.settings.concurrency)
        request = self._accept(asked, direct=True)
        try:
            return await self.wait_for(request.id, State.COMPLETED)
        except asyncio.CancelledError:
            self._end(request.id, PlatformError("client_disconnected"))
            raise
        except RequestNotFound:  # forgotten by hand
            raise PlatformError("runner_disconnected") from None

    def request(self, request_id: str) -> Request | None:
        """Return a request as it stands now."""
        self.advance()
        return self.store.request(request_id)

    def output(self, request: Request) -> bytes | None:
        """Return the body of a request's outcome, or None when there is none or its time is up."""
        if request.expires_at is None or request.expires_at <= self.clock.now():
            return None
        return self.store.payload(request.id, "output")

    def position(self, request: Request) -> int:
        """Return how many requests stand before a waiting one."""
        return self._queue.position(request.id) + course.strangers(request, self.clock.now())

    def cancel(self, request: Request) -> None:
        """Give a request up, waiting or running.

        Raises:
            AlreadyCompleted: too late.
        """
        if request.state == State.COMPLETED:
            raise AlreadyCompleted
        if request.state == State.IN_QUEUE:
            self._end(request.id, PlatformError("client_cancelled"))
        else:
            # The runner itself answers, and it knows no error types (PROTOCOL.md 13).
            self._end(request.id, Outcome.refused(499, PlatformError.DETAIL["client_cancelled"]))

    def line(self, application: str) -> list[Job]:
        """Return what waits for an application, in order."""
        self.advance()
        return self._queue.line(application)

    def running(self, application: str) -> int:
        """Return how many requests of an application run."""
        self.advance()
        return self._queue.running(application)

    def flush(self, application: str, caller: str | None = None) -> Iterator[None]:
        """Cancel what waits for an application: everybody's, or one caller's; a request in each step."""
        for job in self.line(application):
            if caller in {None, job.caller}:
                self._end(job.id, PlatformError("client_cancelled"))
                yield

    def drop_payloads(self, request: Request) -> list[str]:
        """Forget a completed request's input and result; return the URLs of the files that went with them."""
        output = self.store.payload(request.id, "output")
        gone = [url for url in _urls(output) if self.files.withdraw(url)]
        with self.store.transaction():
            self._drop_input(request)
            self.store.drop(request.id, "output")
            self._change(request, body_file=None)
        return gone

    def changed(self) -> asyncio.Event:
        """Return what is set when something has happened to some request, from now on."""
        return self._bell.listen()

    async def wait_for(self, request_id: str, state: State) -> Request:
        """Return a request once it is in a state, or completed: after that nothing comes.

        Raises:
            RequestNotFound: there is none of that id.
            PlatformError: the server stops.
        """
        while (request := self._known(request_id)).state not in {state, State.COMPLETED}:
            if self.closing:
                raise PlatformError("runner_disconnected")
            await self.changed().wait()
        return request

    async def wait_for_delivery(self, request_id: str) -> Delivery:
        """Return the webhook of a request once it was delivered, or has failed for good.

        Raises:
            RequestNotFound: there is none of that id, or it has no webhook.
            PlatformError: the server stops.
        """
        while True:
            if self._known(request_id).webhook is None:
                raise RequestNotFound
            delivery = self.store.delivery(request_id)
            if delivery is not None and delivery.outcome != PENDING:
                return delivery
            if self.closing:
                raise PlatformError("runner_disconnected")
            await first(self.changed().wait(), self._attempt.listen().wait())

    def token_claims(self, token: str) -> dict[str, Any] | None:
        """Return what a token says that was given out here and has not expired, or None."""
        return self.signer.jwt_claims(token, now=self.clock.now())

    def fresh_rng(self, purpose: str) -> random.Random:
        """Return a source of chance for something that happens once; it follows from seed and order."""
        with self.store.transaction():
            return self._rng(self.store.next_seq(), purpose)

    # By hand

    def hold(self, request_id: str) -> Request:
        """Keep a request in its state: no runner takes it, or its run does not end.

        What its caller does still counts: a cancel, and a deadline for the start.

        Raises:
            RequestNotFound: there is none of that id.
            AlreadyCompleted: nothing can happen to it any more.
        """
        return self._set_held(request_id, held=True)

    def release(self, request_id: str) -> Request:
        """Let a request go on; what was due meanwhile happens now. Raises as `hold` does."""
        return self._set_held(request_id, held=False)

    def finish(self, request_id: str) -> Request:
        """End a request now with its own outcome, or as soon as that is rendered.

        One that waits is started first, on a runner of its own if there is none free. An outcome that
        the platform tries again is tried again. Raises as `hold` does.
        """
        request = self._unfinished(request_id)
        now = self.clock.now()
        with self.store.transaction():
            request = self._change(request, held=False, due_at=now)
            if request.state == State.IN_QUEUE:
                self._queue.start(request.id, now)
                self._start(request, now)
            self._queue.hurry(request.id, now)
        return self._steered(request)

    def fail(self, request_id: str, why: Fault | Outcome) -> Request:
        """End a request now with an error of the model or the platform, which is not tried again.

        One that waits is started first. Raises as `hold` does, and

        Raises:
            FaultError: it is none that a request can end with.
        """
        request = self._unfinished(request_id)
        outcome = why if isinstance(why, Outcome) else self._outcome_of(request, why)
        now = self.clock.now()
        with self.store.transaction():
            if request.state == State.IN_QUEUE:
                self._queue.start(request.id, now)
                self._mark_started(request, now)
            self._end(request.id, outcome, Event.FINISH)
        return self._known(request_id)

    async def reset(self, *, test: str | None = None, caller: str | None = None) -> int:
        """Forget requests, with their webhooks and files: everybody's, or those of one test or one key.

        The journal is cleared with all, or of a test; so are the rules, but for those from the start.

        Returns:
            How many requests were forgotten.
        """
        mine = [request for request in self.store.requests() if _is_of(request, test, caller)]
        stopped: list[asyncio.Task[None]] = []
        with self.store.transaction():
            for request in mine:
                if request.state != State.COMPLETED:
                    stopped += self._stop(request.id)
                    self._queue.cancel(request.id, self.clock.now())
                for url in _urls(self.store.payload(request.id, "output")):
                    self.files.withdraw(url)
                self._forget(request)
            self.files.remove(caller if test is None else caller or f"{TEST_KEY}{test}")
        stopped += self._sender.break_off({request.id for request in mine})
        if caller is None:
            self._clear_rules(test)
        self.journal.clear(Wanted(test=test, caller=caller))
        self._arm()
        self._ring()
        await asyncio.gather(*stopped, return_exceptions=True)
        return len(mine)

    def _clear_rules(self, test: str | None) -> None:
        if test is None:
            self.plan.reset()
        else:
            self.plan.clear(test)

    async def start_over(self, change: Callable[[], None]) -> None:
        """Let something else be in the store; what goes on is broken off, and what is there then goes on."""
        stopped = [task for request_id in set(self._work.values()) for task in self._stop(request_id)]
        change()
        stopped += self._sender.break_off()
        self._outcomes.clear()
        self._queue = self._new_queue()
        self._pick_up()
        self._ring()
        await asyncio.gather(*stopped, return_exceptions=True)

    # The course of time

    def advance(self) -> float:
        """Let happen what is due, and return the time."""
        now = self.clock.now()
        if now >= self._due:
            with self.store.transaction():
                for happening in self._queue.advance(now):
                    self._apply(happening)
            self._arm()
            self._ring()
        return now

    async def run(self) -> None:
        """Be awake when something is due, for as long as the server lives."""
        while True:
            self._wake.clear()
            self.pulse()
            await self._sleep_until(self.due())

    def pulse(self) -> None:
        """Do everything that is due."""
        now = self.advance()
        self._sender.launch(now)
        self._sweep(now)

    def due(self) -> float:
        """Return when something will happen by itself; infinity for never."""
        return min(self.next_at(), self.store.next_expiry_at() or math.inf)

    def next_at(self) -> float:
        """Return when a request or a webhook will move on by itself; infinity for never."""
        return min(self._due, self._sender.due())

    def busy(self) -> list[asyncio.Task[None]]:
        """Return what goes on outside of the emulator's time: renderings, and webhooks on their way."""
        return [*self._work, *self._sender.in_flight]

    def delivering(self) -> set[asyncio.Task[None]]:
        """Return, of these, the webhooks."""
        return set(self._sender.in_flight)

    def hang_up(self) -> None:
        """Tell all who wait for something that they wait in vain: the server is about to stop."""
        self.closing = True
        self._ring()

    async def close(self) -> None:
        """Stop all work. What was accepted goes on after the next start."""
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        await self._sender.close()
        self._ring()

    async def pass_time(self, seconds: float) -> None:
        """Let time pass from one event to the next, each with the work that it sets off.

        Renderings and webhooks take no emulated time: the clock stands still until they are done, so
        that the same calls give the same times, however slow the machine is. Then it goes on at its
        own pace.
        """
        async with self._passing:
            pace, self.clock.scale = self.clock.scale, 0.0
            try:
                await self._pass_until(self.clock.now() + seconds)
            finally:
                self.clock.scale = pace
                self.store.remember("time", self.clock.now())

    async def run_at(self, scale: float) -> None:
        """Let time pass so many times as fast as it does outside; 0 lets it stand still."""
        async with self._passing:
            self.clock.scale = scale
            self.store.remember("time", self.clock.now())

    async def settle(self) -> None:
        """Wait until nothing is going on that takes no emulated time."""
        self.pulse()
        while busy := self.busy():
            await asyncio.wait(busy)
            self.pulse()

    async def _pass_until(self, end: float) -> None:
        while True:
            await self.settle()
            due = max(self.due(), self.clock.now())
            if due > end:
                break
            self.clock.move_to(due)
            await asyncio.sleep(0)  # others have a word too, and a limit of time can be kept
        self.clock.move_to(max(end, self.clock.now()))  # others may have moved it meanwhile
        await self.settle()

    async def _sleep_until(self, when: float) -> None:
        waits: list[Awaitable[object]] = [self._wake.wait()]
        if when < math.inf:
            waits.append(self.clock.sleep_until(when))
        await first(*waits)

    def _arm(self) -> None:
        """The deadlines may have moved: look again."""
        self._due = self._queue.due()
        self._wake.set()

    def _ring(self) -> None:
        self._bell.ring()

    def _attempted(self) -> None:
        self._arm()
        self._attempt.ring()

    def _new_queue(self) -> Queue:
        return Queue(
            runners=self.settings.runners, concurrency=self.settings.concurrency, now=self.clock.now()
        )

    def _known(self, request_id: str) -> Request:
        if (request := self.request(request_id)) is None:
            raise RequestNotFound
        return request

    def _unfinished(self, request_id: str) -> Request:
        request = self._known(request_id)
        if request.state == State.COMPLETED:
            raise AlreadyCompleted
        return request

    def _outcome_of(self, request: Request, fault: Fault) -> Outcome:
        prepared = self._prepare(request)
        asked = prepared.asked.model_dump() if isinstance(prepared, Assignment) else {}
        outcome = course.outcome_of(fault, asked)
        if outcome is None:
            raise FaultError(
                f"a request cannot end with {fault.name}: name an error of the model or platform"
            )
        return outcome

    def _set_held(self, request_id: str, *, held: bool) -> Request:
        request, now = self._unfinished(request_id), self.clock.now()
        steer = self._queue.hold if held else self._queue.release
        steer(request.id, now)
        self.journal.step(self._change(request, held=held), "hold" if held else "release", now)
        return self._steered(request)

    def _steered(self, request: Request) -> Request:
        """Let happen what follows from what was done by hand."""
        self._arm()
        self._ring()
        return self._known(request.id)

    # What happens to a request

    def _accept(self, asked: Submit, *, direct: bool) -> Request:
        now = self.clock.now()
        with self.store.transaction():
            seq = self.store.next_seq()
            rng = self._rng(seq, "submit")
            request_id = str(uuid7(now, rng))
            in_file = len(asked.body) > ROW_BODY
            faults = dump(strikes := self._strikes(asked, request_id))
            struck = load(faults)
            ready_at = now if direct else now + self.settings.queue_seconds.draw(rng)
            request = Request(
                id=request_id,
                seq=seq,
                application=asked.endpoint.application,
                path=asked.endpoint.path,
                caller=asked.caller,
                test=asked.test,
                origin=asked.origin,
                direct=direct,
                method=asked.method,
                content_type=asked.content_type,
                input_sha256=hashlib.sha256(asked.body).hexdigest(),
                body_file=self.files.keep_body(asked.body) if in_file else None,
                submitted_at=now,
                ready_at=course.ready_at(struck, ready_at, now),
                run_seconds=course.run_seconds(struck, self.settings.run_seconds.draw(rng)),
                priority=asked.priority,
                start_by=None if asked.start_within == math.inf else now + asked.start_within,
                retry=asked.retry and not direct,
                store_io=asked.store_io,
                lifecycle=asked.lifecycle,
                webhook=None if direct else asked.webhook,
                faults=faults,
                gateway_id=request_id,
            )
            self.store.insert(request)
            if not in_file:
                self.store.keep(request_id, "input", asked.body)
        for strike in strikes:
            if strike.fault.name in course.AT_ONCE:
                self.plan.fired(strike)
        self.journal.step(request, "submit", now)
        self._queue.add(_job(request))
        self._arm()
        return request

    def _strikes(self, asked: Submit, request_id: str) -> list[Strike]:
        """Decide what will go wrong with a request that is accepted now."""
        if not asked.faults and not any(self.plan.watches(place, request_id) for place in OF_A_REQUEST):
            return []
        strikes = [
            strike
            for place, moment in asked.moments(request_id).items()
            if self.plan.watches(place, request_id)
            for strike in self.plan.strikes(moment)
        ]
        for fault in asked.faults:
            if any(place in OF_A_REQUEST for place in fault.kind.on):
                strikes.append(Strike(fault))
            else:  # it strikes one of the calls that ask after the request
                self.plan.add(Rule(fault=str(fault), request=request_id))
        return strikes

    def _pick_up(self) -> None:
        """Go on where the last process stood."""
        for request in self.store.open_requests():
            self._queue.add(_job(request))
            if request.direct:  # whoever waited for it has lost the connection
                self._end(request.id, PlatformError("client_disconnected"))
            elif request.started_at is not None:
                self._begin(request, request.started_at)
        self._arm()

    def _apply(self, happening: Happening) -> None:
        job, at = happening.job, happening.at
        request = self.store.request(job.id)
        if request is None:
            raise LookupError(f"the queue has a request that the store has not: {job.id}")
        if happening.event is Event.START:
            self._start(request, at)
        elif happening.event is Event.START_TIMEOUT:
            timeout = PlatformError("request_timeout", headers={"x-fal-request-timeout-type": "user"})
            self._complete(request, Event.START_TIMEOUT, course.ended(timeout), at)
        else:
            outcome = self._outcomes.pop(job.id)
            if _runs_again(request, outcome):
                self._requeue(request, at)
            else:
                self._complete(request, Event.FINISH, outcome, at)

    def _start(self, request: Request, at: float) -> None:
        self._begin(self._mark_started(request, at), at)

    def _mark_started(self, request: Request, at: float) -> Request:
        attempts = request.attempts + 1
        gateway_id = (
            request.id if attempts == 1 else str(uuid7(at, self._rng(request.seq, f"gateway {attempts}")))
        )
        request = self._change(
            request,
            state=after(State(request.state), Event.START),
            started_at=at,
            attempts=attempts,
            gateway_id=gateway_id,
        )
        log.info("request %s: IN_PROGRESS", request.id)
        self.journal.step(request, Event.START, at)
        return request

    def _begin(self, request: Request, at: float) -> None:
        """Put a runner to work, or know at once what it will say."""
        if request.body_file is None:
            self._carry_out(request, self._prepare(request), at, now=at)
        else:  # a large body takes a while to parse
            self._work_on(request, self._begin_elsewhere(request, at))

    async def _begin_elsewhere(self, request: Request, at: float) -> None:
        """Parse a large body off the event loop, and go on as with a small one."""
        prepared = await asyncio.to_thread(self._prepare, request)
        self._carry_out(request, prepared, at, now=max(at, self.clock.now()))
        self._arm()

    def _prepare(self, request: Request) -> Outcome | Assignment:
        return self._runner.prepare(request, self.body(request))

    def _carry_out(self, request: Request, prepared: Outcome | Assignment, at: float, *, now: float) -> None:
        limit = self.settings.run_timeout
        if isinstance(prepared, Outcome):
            self._settle(request, prepared, now, due=at + REJECTION * request.run_seconds)
        elif limit is not None and request.run_seconds > limit:
            self._settle(request, course.ended(PlatformError("request_timeout")), now, due=at + limit)
        elif (failure := course.failure(request, prepared)) is not None:
            strike, outcome = failure
            self.plan.fired(strike)
            self._settle(request, outcome, now)
        else:
            self._work_on(request, self._perform(request, prepared))

    def _work_on(self, request: Request, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._work[task] = request.id
        task.add_done_callback(self._work.pop)

    async def _perform(self, request: Request, assignment: Assignment) -> None:
        outcome = await self._runner.perform(assignment, request)
        if (expired := load(request.faults).get("media_expired")) is not None:
            self.plan.fired(expired)
        self._settle(request, outcome, self.clock.now())
        self._arm()

    def _stop(self, request_id: str) -> list[asyncio.Task[None]]:
        """Break off a request's run and forget what it would have come to; return what is being cancelled."""
        self._outcomes.pop(request_id, None)
        tasks = [task for task, worked_on in self._work.items() if worked_on == request_id]
        for task in tasks:
            task.cancel()
        return tasks

    def _settle(self, request: Request, outcome: Outcome, now: float, *, due: float | None = None) -> None:
        """What a run comes to is known: it ends when its time is up, or at `due`."""
        self._outcomes[request.id] = outcome
        early = load(request.faults).get("webhook_early")
        if early is not None and not _runs_again(request, outcome):
            end = max(now, due or 0, (request.started_at or 0) + request.run_seconds)
            told = dataclasses.replace(request, status=int(outcome.status))
            with self.store.transaction():
                self._tell(told, outcome, end)
            self.plan.fired(early)
            due = end + early.fault.options["seconds"]
        self._queue.settle(request.id, now, due=due)

    def _requeue(self, request: Request, at: float) -> None:
        rng = self._rng(request.seq, f"attempt {request.attempts + 1}")
        request = self._change(
            request,
            state=after(State(request.state), Event.REQUEUE),
            started_at=None,
            due_at=None,
            ready_at=at + self.settings.queue_seconds.draw(rng),
            run_seconds=self.settings.run_seconds.draw(rng),
        )
        log.info("request %s: IN_QUEUE again after attempt %d", request.id, request.attempts)
        self.journal.step(request, Event.REQUEUE, at)
        self._queue.add(_job(request))

    def _end(self, request_id: str, why: PlatformError | Outcome, event: Event = Event.CANCEL) -> None:
        """Take a request out of the queue before its time."""
        request = self.store.request(request_id)
        if request is None or request.state == State.COMPLETED:
            return
        self._stop(request_id)
        now = self.clock.now()
        take_out = self._queue.finish if event is Event.FINISH else self._queue.cancel
        take_out(request_id, now)
        outcome = course.ended(why) if isinstance(why, PlatformError) else why
        with self.store.transaction():
            self._complete(request, event, outcome, now)
        self._arm()
        self._ring()

    def _complete(self, request: Request, event: Event, outcome: Outcome, at: float) -> None:
        strikes = load(request.faults)
        kept = self._retention(outcome)
        if (expired := strikes.get("result_expired")) is not None:
            self.plan.fired(expired)
            kept = expired.fault.options["seconds"]
        request = self._change(
            request,
            state=after(State(request.state), event),
            completed_at=at,
            held=False,
            status=int(outcome.status),
            headers=compact(outcome.headers).decode(),
            error=outcome.error,
            error_type=outcome.error_type,
            expires_at=at + kept,
        )
        self.store.keep(request.id, "output", outcome.body)
        log.info("request %s: COMPLETED with %d", request.id, outcome.status)
        self.journal.step(request, event, at)
        if "webhook_early" not in strikes or self.store.delivery(request.id) is None:
            self._tell(request, outcome, at)

    def _tell(self, request: Request, outcome: Outcome, at: float) -> None:
        """Let the webhook leave, if there is one."""
        give_up_at = at + self._retention(outcome)
        user_id = webhook_user(request.caller)
        self._sender.add(request, outcome.body, user_id=user_id, now=at, give_up_at=give_up_at)

    def _retention(self, outcome: Outcome) -> float:
        large = len(outcome.body) >= LARGE_RESULT
        return self.settings.retention_large if large else self.settings.retention

    def _change(self, request: Request, **changes: Any) -> Request:
        self.store.update(Request, request.id, **changes)
        return dataclasses.replace(request, **changes)

    def _sweep(self, now: float) -> None:
        """Let expire what is due: first a result, then, after some weeks, all memory of the request."""
        for request in self.store.expired_requests(now):
            forget_at = (request.completed_at or now) + self.settings.payload_days * DAY
            with self.store.transaction():
                self.store.drop(request.id, "output")
                if request.store_io and forget_at > (request.expires_at or 0):
                    self._change(request, expires_at=forget_at)
                    continue
                self._forget(request)
        self.files.sweep(now)

    def _forget(self, request: Request) -> None:
        self._drop_input(request)
        self.store.drop(request.id, "output")
        self.store.delete(Delivery, request.id)
        self.store.delete(Request, request.id)
        self.plan.forget(request.id)

    def body(self, request: Request) -> bytes:
        """Return what was submitted."""
        if request.body_file is not None:
            return self.files.body(request.body_file)
        return self.store.payload(request.id, "input") or b""

    def _drop_input(self, request: Request) -> None:
        if request.body_file is not None:
            self.files.drop_body(request.body_file)
        self.store.drop(request.id, "input")

    def _rng(self, seq: int, purpose: str) -> random.Random:
        return random.Random(f"{self.seed}:{seq}:{purpose}")  # noqa: S311 - ids and timings, not secrets


async def first(*awaitables: Awaitable[object]) -> None:
    """Wait until one of these is done, and give the others up."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def uuid7(now: float, rng: random.Random) -> uuid.UUID:
    """Return a version 7 UUID (RFC 9562): milliseconds since 1970, then chance."""
    value = int(now * 1000) << 80 | rng.getrandbits(80)
    return uuid.UUID(int=value & ~(0xF << 76 | 0x3 << 62) | 0x7 << 76 | 0x2 << 62)


def asked_of(body: bytes) -> dict[str, Any]:
    """Return a body that is a JSON object within the limits, else an empty one."""
    try:
        asked = bodies.load(body)
    except (ValueError, RecursionError):
        return {}
    return asked if isinstance(asked, dict) else {}


def webhook_user(caller: str) -> str:
    """Return the user id that webhooks name for a key id. Its form is assumed."""
    return f"falmock|{hashlib.sha256(caller.encode(errors='replace')).hexdigest()[:12]}"


def _urls(output: bytes | None) -> list[str]:
    """Return the file URLs in a result."""
    found: list[str] = []

    def collect(member: dict[str, Any]) -> None:
        if isinstance(url := member.get("url"), str):
            found.append(url)

    json.loads(output or b"null", object_hook=collect)
    return found


def _job(request: Request) -> Job:
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
        aside=course.stands_aside(request),
        held=bool(request.held),
        due_at=request.due_at,
    )


def _is_of(request: Request, test: str | None, caller: str | None) -> bool:
    return caller in {None, request.caller} and test in {None, request.test}


def _runs_again(request: Request, outcome: Outcome) -> bool:
    return outcome.status in RERUN and request.retry and request.attempts < ATTEMPTS
