"""The one place that knows everything: applies what happened, writes it down, wakes at the next deadline.

What a request's status is follows from the time alone. Handlers call `advance` before they answer,
and one task (`run`) advances when something is due that nobody asks for, so that webhooks leave and
streams move.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import logging
import math
import random
import sqlite3
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from falmock.engine.clock import LAST, Clock
from falmock.engine.lifecycle import Event, State, after
from falmock.engine.notifier import Notifier
from falmock.engine.queue import Job, Queue, QueueEvent
from falmock.engine.runner import Outcome, PreparedRun, Runner
from falmock.engine.store import Delivery, Request, Store
from falmock.engine.webhooks import Sender
from falmock.faults import effects
from falmock.faults.rules import OF_A_REQUEST, Injection, MatchContext, Rule, RuleSet, dump, load
from falmock.faults.vocabulary import FaultError
from falmock.inspection.journal import Journal, JournalFilter
from falmock.media import RenderFailed
from falmock.protocol import bodies
from falmock.protocol.calls import TEST_KEY
from falmock.protocol.errors import (
    AlreadyCompleted,
    ConcurrencyLimit,
    PlatformError,
    QueueTooLong,
    RequestNotFound,
    StorageFull,
    StorageUnavailable,
    compact,
)
from falmock.protocol.hosts import MEDIA, BaseURL
from falmock.system import transient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    import httpx

    from falmock.engine.files import Files
    from falmock.engine.signing import Signer
    from falmock.faults.vocabulary import Fault
    from falmock.protocol.endpoints import Endpoint
    from falmock.settings import Settings
    from falmock.system.dialler import Dialler

log = logging.getLogger("falmock")

ATTEMPTS: Final = 10  # runs of one request, the first included (PROTOCOL.md 4.8)
RERUN: Final = frozenset({503, 504})
REJECTION: Final = 0.02  # share of a run: a bad input ends it before the model writes its first log line
ROW_BODY: Final = 16 * 1024  # bytes; a larger body is kept in a file
PENDING: Final = "pending"  # what a delivery's outcome is until there is one
LARGE_RESULT: Final = 10_000  # bytes; such results expire sooner (PROTOCOL.md 4.6)
DAY: Final = 86_400.0
RETRY: Final = 1.0  # real seconds between attempts while the emulator cannot write


@dataclass(frozen=True, slots=True)
class Ending:
    """The known outcome of a run that has not ended yet.

    Attributes:
        outcome: the outcome of the request.
        known_at: when it became known; the run does not end earlier.
        due: a fixed end of the run, or None; see `Queue.settle`.
    """

    outcome: Outcome
    known_at: float
    due: float | None


@dataclass(frozen=True, slots=True)
class Submission:
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
        parsed: returns the body as `parse_input` does, if that was needed before.
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
    parsed: Callable[[], dict[str, Any]] | None = None

    def moments(self, request_id: str) -> dict[str, MatchContext]:
        """Return what rules are asked about, by place; the body is parsed once, if at all."""
        asked = self.parsed or cache(lambda: parse_input(self.body))
        return {
            place: MatchContext(place, str(self.endpoint), self.caller, self.test, request_id, asked)
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
        dialler: checks where webhooks go, and knows the emulator's own addresses.
        is_local: tells which hosts are this machine's.
        seed: decides ids and timings.

    Attributes:
        scheduling: whether the scheduler (`run`) is running.
        closing: the server is about to stop.

    Raises:
        StorageUnavailable: the store cannot write.
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
        plan: RuleSet,
        http: httpx.AsyncClient,
        dialler: Dialler,
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
        self.dialler = dialler
        self.journal = Journal(settings.journal_size, keys=settings.keys or ())
        self._runner = runner
        self._sender = Sender(
            store=store,
            signer=signer,
            clock=clock,
            http=http,
            journal=self.journal,
            is_local=None if settings.delivers_anywhere else is_local,
            changed=self._attempted,
            observed=self._fired,
            transaction=self._transition,
        )
        self._trouble: str | None = None  # why the emulator cannot write, or None
        self._blocked: dict[str, str] = {}  # the same for single runs, by request id
        self.scheduling = False
        self._queue = self._new_queue(clock.now())
        self._in_step = True  # the queue agrees with the store
        self._outcomes: dict[str, Ending] = {}
        self._work: dict[asyncio.Task[None], str] = {}
        self._due = math.inf
        self._wake = asyncio.Event()
        self.closing = False
        self._bell = Notifier()
        self._attempt = Notifier()
        self._passing = asyncio.Lock()
        self._resume()

    # What callers ask for

    def submit(self, asked: Submission) -> tuple[Request, int]:
        """Accept a request; return it with its position in the queue.

        Raises:
            QueueTooLong: more requests wait than the caller puts up with.
            StorageUnavailable: the store cannot write.
        """
        self.advance()
        waiting = self._queue.waiting(asked.endpoint.application)
        if waiting > asked.max_queue_length:
            raise QueueTooLong(waiting, int(asked.max_queue_length))
        request = self._accept(asked, direct=False)
        log.info("request %s: IN_QUEUE for %s", request.id, asked.endpoint)
        return request, self.position(request)

    async def run_directly(self, asked: Submission) -> Request:
        """Accept a request that nobody will poll for, and return it completed.

        Whoever awaits this may be cancelled; so is the request, then.

        Raises:
            ConcurrencyLimit: the caller has as many requests running as it may.
            StorageUnavailable: the store cannot write.
        """
        self.advance()
        if self._queue.running_of(asked.caller) >= self.settings.concurrency:
            raise ConcurrencyLimit(self.settings.concurrency)
        request = self._accept(asked, direct=True)
        try:
            return await self.wait_for(request.id, State.COMPLETED)
        except asyncio.CancelledError:
            with suppress(StorageUnavailable):  # the request continues; nobody reads its result
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
        return self._queue.position(request.id) + effects.strangers(request, self.clock.now())

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
        origin = BaseURL.parse(request.origin)
        with self._transition(steers=False):
            gone = [origin.url(MEDIA, path) for path in self.files.withdraw(request.id)]
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
        with self._transition(steers=False):
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
        with self._transition():
            request = self._change(request, held=False, due_at=now)
            if request.state == State.IN_QUEUE:
                self._queue.start(request.id, now)
                self._start(request, now)
            self._queue.hurry(request.id, now)
        return self._after_change(request)

    def fail(self, request_id: str, why: Fault | Outcome) -> Request:
        """End a request now with an error of the model or the platform, which is not tried again.

        One that waits is started first. Raises as `hold` does, and

        Raises:
            FaultError: it is none that a request can end with.
        """
        request = self._unfinished(request_id)
        outcome = why if isinstance(why, Outcome) else self._outcome_of(request, why)
        now = self.clock.now()
        with self._transition():
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
        with self._transition():
            for request in mine:
                if request.state != State.COMPLETED:
                    stopped += self._stop(request.id)
                    self._queue.cancel(request.id, self.clock.now())
                self.files.withdraw(request.id)
                self._forget(request)
            self.files.remove(caller if test is None else caller or f"{TEST_KEY}{test}")
        stopped += self._sender.break_off({request.id for request in mine})
        if caller is None:
            self._clear_rules(test)
        self.journal.clear(JournalFilter(test=test, caller=caller))
        self._reschedule()
        self._notify()
        await asyncio.gather(*stopped, return_exceptions=True)
        return len(mine)

    def _clear_rules(self, test: str | None) -> None:
        if test is None:
            self.plan.reset()
        else:
            self.plan.clear(test)

    async def replace_state(self, change: Callable[[], None]) -> None:
        """Let something else be in the store; what goes on is broken off, and what is there then goes on."""
        with self._transition():
            change()
            stopped = [task for request_id in set(self._work.values()) for task in self._stop(request_id)]
        stopped += self._sender.break_off()
        self._outcomes.clear()
        self._resume()
        self._notify()
        await asyncio.gather(*stopped, return_exceptions=True)

    # The course of time

    def advance(self) -> float:
        """Apply the due events, and return the time. While the store cannot write, no event is applied."""
        now = self.clock.now()
        if now >= self._due and self._trouble is None:
            self._let_happen(now)
        return now

    def _let_happen(self, now: float) -> None:
        try:
            with self._transition():
                if self._trouble is not None:
                    self.store.probe()
                for happening in self._queue.advance(now):
                    self._apply_guarded(happening)
        except StorageUnavailable:
            return  # `pulse` tries again
        self._reschedule()
        self._notify()

    async def run(self) -> None:
        """Be awake when something is due, for as long as the server lives."""
        self.scheduling = True
        failed: str | None = None
        try:
            while True:
                self._wake.clear()
                try:
                    self.tick()
                    due = self.due()
                except Exception as error:  # the scheduler must survive any error
                    if repr(error) != failed:
                        log.critical(
                            "the scheduler failed and continues; this is a bug in falmock", exc_info=True
                        )
                    failed = repr(error)
                    await asyncio.sleep(RETRY)
                    continue
                await (self._sleep_until(due) if self._trouble is None else asyncio.sleep(RETRY))
        finally:
            self.scheduling = False

    def tick(self) -> None:
        """Do everything that is due; retry after a failed write."""
        if self._trouble is not None:
            self._let_happen(self.clock.now())
        now = self.advance()
        if self._trouble is None:
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

    def shutdown(self) -> None:
        """Tell all who wait for something that they wait in vain: the server is about to stop."""
        self.closing = True
        self._notify()

    async def close(self) -> None:
        """Stop all work. What was accepted goes on after the next start."""
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        await self._sender.close()
        self._notify()

    async def pass_time(self, seconds: float) -> None:
        """Let time pass from one event to the next, each with the work that it sets off.

        Renderings and webhooks take no emulated time: the clock stands still until they are done, so
        that the same calls give the same times, however slow the machine is. Then it goes on at its
        own pace.

        Raises:
            ValueError: time does not go back, nor beyond the year 2999.
            StorageUnavailable: the store cannot write.
        """
        if not 0 <= seconds <= LAST - self.clock.now():
            raise ValueError(
                f"{seconds} seconds cannot pass: time does not go back, nor beyond the year 2999"
            )
        async with self._passing:
            pace, self.clock.scale = self.clock.scale, 0.0
            try:
                await self._pass_until(min(self.clock.now() + seconds, LAST))
            finally:
                self.clock.scale = pace
                self._remember_time()

    async def run_at(self, scale: float) -> None:
        """Let time pass so many times as fast as it does outside; 0 lets it stand still."""
        async with self._passing:
            self.clock.scale = scale
            self._remember_time()

    def _remember_time(self) -> None:
        with self._transition(steers=False):
            self.store.remember("time", self.clock.now())

    async def settle(self) -> None:
        """Wait until nothing is going on that takes no emulated time.

        Raises:
            StorageUnavailable: the store cannot write.
        """
        self.tick()
        self._check_trouble()
        while busy := self.busy():
            _, left = await asyncio.wait(busy, timeout=RETRY)
            if not left or self.trouble() is not None:
                self.tick()
                self._check_trouble()

    def trouble(self) -> str | None:
        """Return a short text about a missing resource such as disk space, or None."""
        return self._trouble or next(iter(self._blocked.values()), None)

    def _check_trouble(self) -> None:
        if (trouble := self.trouble()) is not None:
            raise unavailable(trouble)

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

    def _reschedule(self) -> None:
        """The deadlines may have moved: look again."""
        self._due = self._queue.due()
        self._wake.set()

    def _notify(self) -> None:
        self._bell.ring()

    def _attempted(self) -> None:
        self._reschedule()
        self._attempt.ring()

    def _new_queue(self, now: float) -> Queue:
        return Queue(runners=self.settings.runners, concurrency=self.settings.concurrency, now=now)

    # Memory and store

    @contextmanager
    def _transition(self, *, steers: bool = True) -> Iterator[None]:
        """Open a transaction of the store; memory and store agree after it, even if it fails.

        The queue changes immediately and is rebuilt from the store after a failure. Everything else
        changes in `Store.on_commit`, or is restored in `Store.on_rollback`.

        Args:
            steers: whether the block changes the queue.

        Raises:
            StorageUnavailable: the store cannot write.
        """
        if self.store.in_transaction:
            yield
            return
        time = self._queue.time
        try:
            if not self._in_step:
                self._read_anew(time)
            with self.store.transaction():
                yield
        except BaseException as error:
            self._in_step = self._in_step and not steers
            reason = transient.reason(error)
            if reason is not None:
                self._note_trouble(reason)
            if not self._in_step:
                with suppress(sqlite3.DatabaseError):  # the next transition tries again
                    self._read_anew(time)
            if reason is not None:
                raise unavailable(reason) from error
            raise
        if self._trouble is not None:
            log.warning("falmock can write again")
            self._trouble = None
            self._reschedule()

    def _note_trouble(self, reason: str) -> None:
        if self._trouble != reason:
            log.error("falmock cannot write (%s): requests wait until it can", reason)
        self._trouble = reason
        self._wake.set()

    def _read_anew(self, time: float) -> None:
        """Rebuild the queue from the store, with events applied up to `time`."""
        queue = self._new_queue(time)
        for request in self.store.open_requests():
            queue.add(_job(request))
            ending = self._outcomes.get(request.id)
            if request.started_at is not None and ending is not None:
                queue.settle(request.id, ending.known_at, due=ending.due)
        self._queue = queue
        self._in_step = True
        self._reschedule()

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
        prepared = self._runner.prepare(request, self.kept_body(request))
        asked = prepared.asked.model_dump() if isinstance(prepared, PreparedRun) else {}
        outcome = effects.outcome_of(fault, asked)
        if outcome is None:
            raise FaultError(
                f"a request cannot end with {fault.name}: name an error of the model or platform"
            )
        return outcome

    def _set_held(self, request_id: str, *, held: bool) -> Request:
        request, now = self._unfinished(request_id), self.clock.now()
        steer = self._queue.hold if held else self._queue.release
        with self._transition():
            steer(request.id, now)
            self._note(self._change(request, held=held), "hold" if held else "release", now)
        return self._after_change(request)

    def _after_change(self, request: Request) -> Request:
        """Let happen what follows from what was done by hand."""
        self._reschedule()
        self._notify()
        return self._known(request.id)

    # What happens to a request

    def _accept(self, asked: Submission, *, direct: bool) -> Request:
        now = self.clock.now()
        with self._transition(steers=False):
            seq = self.store.next_seq()
            rng = self._rng(seq, "submit")
            request_id = str(uuid7(now, rng))
            in_file = len(asked.body) > ROW_BODY
            faults = dump(injections := self._strikes(asked, request_id))
            injected = load(faults)
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
                ready_at=effects.ready_at(injected, ready_at, now),
                run_seconds=effects.run_seconds(injected, self.settings.run_seconds.draw(rng)),
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
            for injection in injections:
                if injection.fault.name in effects.AT_ONCE:
                    self._fired(injection)
            self._note(request, "submit", now)
        self._queue.add(_job(request))
        self._reschedule()
        return request

    def _strikes(self, asked: Submission, request_id: str) -> list[Injection]:
        """Decide what will go wrong with a request that is accepted now."""
        if not asked.faults and not any(self.plan.watches(place, request_id) for place in OF_A_REQUEST):
            return []
        self.store.on_rollback(self.plan.checkpoint())
        injections = [
            injection
            for place, context in asked.moments(request_id).items()
            if self.plan.watches(place, request_id)
            for injection in self.plan.injections(context)
        ]
        for fault in asked.faults:
            if any(place in OF_A_REQUEST for place in fault.kind.on):
                injections.append(Injection(fault))
            else:  # it strikes one of the calls that ask after the request
                self.plan.add(Rule(fault=str(fault), request=request_id))
        return injections

    def _resume(self) -> None:
        """Go on where the last process stood."""
        self._drop_unreadable_faults()
        self._read_anew(self.clock.now())
        for request in self.store.open_requests():
            if request.direct:  # whoever waited for it has lost the connection
                self._end(request.id, PlatformError("client_disconnected"))
            elif request.started_at is not None:
                self._guarded(request.id, self.clock.now(), self._begin, request, request.started_at)
        self._reschedule()

    def _drop_unreadable_faults(self) -> None:
        """Clear stored faults that this version does not accept, and end the open requests with them."""
        for text in self.store.all_faults():
            try:
                load(text)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                with self._transition(steers=False):
                    ids = self.store.drop_faults(text)
                log.error("faults %.80a cannot be read (%s): dropped from %s", text, error, ids)  # noqa: TRY400
                for request_id in ids:
                    self._abandon(request_id, self.clock.now())

    # An error of one request must not stop the others

    def _apply_guarded(self, happening: QueueEvent) -> None:
        self._guarded(happening.job.id, happening.at, self._apply, happening)

    def _guarded(self, request_id: str, at: float, act: Callable[..., None], *given: Any) -> None:
        """Call `act`; if it raises, end the request with 500 and log one line.

        Raises:
            StorageUnavailable: the store cannot write.
        """
        with self._transition():
            try:
                with self.store.savepoint():
                    act(*given)
            except Exception as error:
                if transient.reason(error) is not None or not self.store.in_transaction:
                    raise
                log.error("request %s failed and ends with 500: %r", request_id, error)  # noqa: TRY400 - one line
                log.debug("traceback of request %s", request_id, exc_info=True)
                self._abandon(request_id, at)

    def _abandon(self, request_id: str, at: float) -> None:
        """End a request as an internal error, without its faults."""
        with self._transition():
            self._stop(request_id)
            if self._queue.has(request_id):
                self._queue.cancel(request_id, at)
            try:
                with self.store.savepoint():
                    self._complete_abandoned(request_id, at)
            except Exception as error:
                if transient.reason(error) is not None or not self.store.in_transaction:
                    raise
                log.error("request %s is skipped, its row cannot be updated: %r", request_id, error)  # noqa: TRY400

    def _complete_abandoned(self, request_id: str, at: float) -> None:
        self.store.update(Request, request_id, faults=None)
        request = self.store.request(request_id)
        if request is None or request.state == State.COMPLETED:
            return
        if request.state == State.IN_QUEUE:
            request = self._mark_started(request, at)
        self._complete(request, Event.FINISH, effects.ended(PlatformError("internal_error")), at)

    def _apply(self, happening: QueueEvent) -> None:
        job, at = happening.job, happening.at
        request = self.store.request(job.id)
        if request is None:
            raise LookupError(f"the queue has a request that the store has not: {job.id}")
        if happening.event is Event.START:
            self._start(request, at)
        elif happening.event is Event.START_TIMEOUT:
            timeout = PlatformError("request_timeout", headers={"x-fal-request-timeout-type": "user"})
            self._complete(request, Event.START_TIMEOUT, effects.ended(timeout), at)
        else:
            outcome = self._forget_ending(job.id).outcome
            if _runs_again(request, outcome):
                self._requeue(request, at)
            else:
                self._complete(request, Event.FINISH, outcome, at)

    def _forget_ending(self, request_id: str) -> Ending:
        ending = self._outcomes.pop(request_id)
        self.store.on_rollback(lambda: self._outcomes.__setitem__(request_id, ending))
        return ending

    def _note(self, request: Request, event: str, at: float) -> None:
        """Add a step to the journal after the commit."""
        self.store.on_commit(lambda: self.journal.step(request, event, at))

    def _log(self, text: str, *values: object) -> None:
        self.store.on_commit(lambda: log.info(text, *values))

    def _fired(self, injection: Injection) -> None:
        """Count a fault that took effect, after the commit."""
        self.store.on_commit(lambda: self.plan.observed(injection))

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
        self._log("request %s: IN_PROGRESS", request.id)
        self._note(request, Event.START, at)
        return request

    def _begin(self, request: Request, at: float) -> None:
        """Put a runner to work, or know at once what it will say."""
        if request.body_file is None:
            self._carry_out(request, self._prepare(request), at, at)
        else:  # a large body takes a while to parse
            self.store.on_commit(lambda: self._employ(request, lambda: self._begin_elsewhere(request, at)))

    async def _begin_elsewhere(self, request: Request, at: float) -> None:
        """Parse a large body off the event loop, and go on as with a small one."""
        preparing = asyncio.ensure_future(asyncio.to_thread(self._prepare, request))
        try:
            await asyncio.wait([preparing])
        finally:
            preparing.cancel()
        now = max(at, self.clock.now())

        def carry_out() -> None:
            self._carry_out(request, preparing.result(), at, now)

        self._guarded(request.id, now, carry_out)

    def _prepare(self, request: Request) -> Outcome | PreparedRun:
        return self._runner.prepare(request, self.body(request))

    def _carry_out(self, request: Request, prepared: Outcome | PreparedRun, at: float, now: float) -> None:
        limit = self.settings.run_timeout
        if isinstance(prepared, Outcome):
            self._settle(request, prepared, now, due=at + REJECTION * request.run_seconds)
        elif limit is not None and request.run_seconds > limit:
            self._settle(request, effects.ended(PlatformError("request_timeout")), now, due=at + limit)
        elif (failure := effects.failure(request, prepared)) is not None:
            injection, outcome = failure
            self._fired(injection)
            self._settle(request, outcome, now)
        else:
            self.store.on_commit(lambda: self._employ(request, lambda: self._perform(request, prepared)))

    def _employ(self, request: Request, step: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.create_task(self._retried(request, step))
        self._work[task] = request.id
        task.add_done_callback(self._left_work)

    def _left_work(self, task: asyncio.Task[None]) -> None:
        self._blocked.pop(self._work.pop(task), None)

    async def _retried(self, request: Request, step: Callable[[], Awaitable[None]]) -> None:
        """Take a step of a run; retry while a resource such as disk space is missing."""
        while True:
            try:
                await step()
            except (OSError, RenderFailed, sqlite3.OperationalError, StorageUnavailable) as error:
                self._note_blocked(request.id, transient.reason(error) or str(error))
                await asyncio.sleep(RETRY)
            else:
                self._blocked.pop(request.id, None)
                self._reschedule()
                return

    async def _perform(self, request: Request, assignment: PreparedRun) -> None:
        outcome = await self._runner.perform(assignment, request)
        now = self.clock.now()
        self._guarded(request.id, now, self._finish_run, request, outcome, now)

    def _note_blocked(self, request_id: str, reason: str) -> None:
        if request_id not in self._blocked:
            log.error("request %s waits: its outcome cannot be written (%s)", request_id, reason)
        self._blocked[request_id] = reason

    def _finish_run(self, request: Request, outcome: Outcome, now: float) -> None:
        if (expired := load(request.faults).get("media_expired")) is not None:
            self._fired(expired)
        self._settle(request, outcome, now)

    def _stop(self, request_id: str) -> list[asyncio.Task[None]]:
        """Cancel a request's run and drop its outcome; return the cancelled tasks."""
        if request_id in self._outcomes:
            self._forget_ending(request_id)
        tasks = [task for task, worked_on in self._work.items() if worked_on == request_id]
        for task in tasks:
            self.store.on_commit(task.cancel)
        return tasks

    def _settle(self, request: Request, outcome: Outcome, now: float, *, due: float | None = None) -> None:
        """What a run comes to is known: it ends when its time is up, or at `due`."""
        self._outcomes[request.id] = Ending(outcome, now, due)
        self.store.on_rollback(lambda: self._outcomes.pop(request.id, None))
        early = load(request.faults).get("webhook_early")
        if early is not None and not _runs_again(request, outcome):
            end = max(now, due or 0, (request.started_at or 0) + request.run_seconds)
            told = dataclasses.replace(request, status=int(outcome.status))
            self._tell(told, outcome, end)
            self._fired(early)
            due = end + early.fault.options["seconds"]
            self._outcomes[request.id] = Ending(outcome, now, due)
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
        self._log("request %s: IN_QUEUE again after attempt %d", request.id, request.attempts)
        self._note(request, Event.REQUEUE, at)
        self._queue.add(_job(request))

    def _end(self, request_id: str, why: PlatformError | Outcome, event: Event = Event.CANCEL) -> None:
        """Take a request out of the queue before its time."""
        request = self.store.request(request_id)
        if request is None or request.state == State.COMPLETED:
            return
        now = self.clock.now()
        take_out = self._queue.finish if event is Event.FINISH else self._queue.cancel
        outcome = effects.ended(why) if isinstance(why, PlatformError) else why
        with self._transition():
            self._stop(request_id)
            take_out(request_id, now)
            self._complete(request, event, outcome, now)
        self._reschedule()
        self._notify()

    def _complete(self, request: Request, event: Event, outcome: Outcome, at: float) -> None:
        injections = load(request.faults)
        kept = self._retention(outcome)
        if (expired := injections.get("result_expired")) is not None:
            self._fired(expired)
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
        self._log("request %s: COMPLETED with %d", request.id, outcome.status)
        self._note(request, event, at)
        self._tell(request, outcome, at)

    def _tell(self, request: Request, outcome: Outcome, at: float) -> None:
        """Schedule the webhook, unless there is none or it was sent early."""
        if request.webhook is None or self.store.delivery(request.id) is not None:
            return
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
        with suppress(StorageUnavailable):  # the next pulse tries again
            for request in self.store.expired_requests(now):
                with self._transition(steers=False):
                    self._expire(request, now)
            with self._transition(steers=False):
                self.files.sweep(now)

    def _expire(self, request: Request, now: float) -> None:
        forget_at = (request.completed_at or now) + self.settings.payload_days * DAY
        self.store.drop(request.id, "output")
        if request.store_io and forget_at > (request.expires_at or 0):
            self._change(request, expires_at=forget_at)
        else:
            self._forget(request)

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

    def kept_body(self, request: Request) -> bytes:
        """Return what was submitted, or nothing if the body file is missing."""
        try:
            return self.body(request)
        except FileNotFoundError:
            return b""

    def _drop_input(self, request: Request) -> None:
        if request.body_file is not None:
            self.files.drop_body(request.body_file)
        self.store.drop(request.id, "input")

    def _rng(self, seq: int, purpose: str) -> random.Random:
        return random.Random(f"{self.seed}:{seq}:{purpose}")  # noqa: S311 - ids and timings, not secrets


def unavailable(reason: str) -> StorageUnavailable:
    """Return the error to answer with."""
    return StorageFull(reason) if transient.is_full(reason) else StorageUnavailable(reason)


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


def parse_input(body: bytes) -> dict[str, Any]:
    """Return a body that is a JSON object within the limits, else an empty one."""
    try:
        asked = bodies.load(body)
    except (ValueError, RecursionError):
        return {}
    return asked if isinstance(asked, dict) else {}


def webhook_user(caller: str) -> str:
    """Return the user id that webhooks name for a key id. Its form is assumed."""
    return f"falmock|{hashlib.sha256(caller.encode(errors='replace')).hexdigest()[:12]}"


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
        bypass=effects.bypasses_queue(request),
        held=bool(request.held),
        due_at=request.due_at,
    )


def _is_of(request: Request, test: str | None, caller: str | None) -> bool:
    return caller in {None, request.caller} and test in {None, request.test}


def _runs_again(request: Request, outcome: Outcome) -> bool:
    return outcome.status in RERUN and request.retry and request.attempts < ATTEMPTS
