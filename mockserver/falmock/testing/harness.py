"""For Python tests: an emulator, its clock and all that it has seen, as plain Python.

The emulator lives in an event loop in a thread of its own, so that the code under test may be
synchronous or asynchronous and may call fal from wherever it likes. An application under test that is
mounted lives in another such loop: it may hold its loop up with a synchronous call to fal, and still
be answered. What httpx clients in this process say to fal goes to the emulator, and what they say to a
mounted application goes there, webhooks included.
"""

from __future__ import annotations

import asyncio
import json
import math
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import httpx
from anyio.from_thread import start_blocking_portal
from starlette.responses import Response
from uvicorn import Config
from uvicorn.lifespan.on import LifespanOn

from falmock.app import create_app, open_emulator, trusted
from falmock.cli.console import address
from falmock.engine.clock import SystemClock
from falmock.engine.lifecycle import State
from falmock.faults.rules import Rule
from falmock.faults.vocabulary import parse
from falmock.http.server import Server, listen
from falmock.inspection import lint
from falmock.inspection.journal import Attempt, JournalFilter, journal_of
from falmock.media import Renderer, find_ffmpeg
from falmock.protocol.addresses import is_loopback
from falmock.protocol.calls import Operation
from falmock.protocol.hosts import is_fal
from falmock.settings import Settings, Span
from falmock.testing.autojump import Autojump
from falmock.testing.transport import LocalApp, TransportRouter, strays_refused

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from anyio.from_thread import BlockingPortal
    from starlette.applications import Starlette
    from starlette.types import ASGIApp, Receive, Scope, Send

    from falmock.engine.emulator import Emulator
    from falmock.engine.rows import Delivery
    from falmock.engine.rows import Request as Stored
    from falmock.inspection.journal import Entry
    from falmock.inspection.lint import Finding
    from falmock.testing.transport import LeakError

T = TypeVar("T")

QUICK: Final = Settings(seed=1, media="plain", queue_seconds=Span(1, 1), run_seconds=Span(60, 60))
ORDER: Final = list(State)


@dataclass(frozen=True, slots=True)
class Request:
    """A request that fal would have got.

    Attributes:
        id: what the caller knows it by.
        endpoint: as "fal-ai/veo2/image-to-video".
        input: what was asked for, parsed; None if it is no JSON.
        state: IN_QUEUE, IN_PROGRESS or COMPLETED, which is not to say that it went well.
        status_code: HTTP's, of the result; None before the end.
        output: the result's body, parsed; None before the end, and when its time is up.
        error_type: the platform's word for what went wrong, or None.
        attempts: how often it was run.
        webhook: where its result is delivered, or None.
        key_id: of the caller.
    """

    id: str
    endpoint: str
    input: Any
    state: str
    status_code: int | None
    output: Any
    error_type: str | None
    attempts: int
    webhook: str | None
    key_id: str


@dataclass(frozen=True, slots=True)
class Webhook:
    """A delivery.

    Attributes:
        request_id: of the request whose result it carries.
        url: where it goes.
        body: what is posted, parsed.
        attempts: each try, with what was sent and what the receiver answered; see `journal.Attempt`.
        outcome: "pending", "delivered", "failed", "lost" or "refused".
    """

    request_id: str
    url: str
    body: Any
    attempts: tuple[Attempt, ...]
    outcome: str


class Harness:
    """One emulator, and what a test does with it. Made by `TestSession.harness`.

    Attributes:
        emulator: for what is not told here. It lives in another thread: use `call`.
        address: under which it is reached by other processes; None before `serve`.
    """

    def __init__(self, stage: TestSession, stack: ExitStack, settings: Settings) -> None:
        self.address: str | None = None
        self._stage = stage
        self._stack = stack
        self._clock = SystemClock(scale=0.0)  # its wall goes on: receivers of webhooks look at their own
        self._places: dict[str, LocalApp] = {}
        self._rules: list[int] = []
        opening = open_emulator(settings, self._clock, stage.studio, is_local=self._is_local)
        self.emulator: Emulator = stack.enter_context(stage.portal.wrap_async_context_manager(opening))
        self._app: Starlette = create_app(self.emulator)
        self._jump = Autojump(self._app, self.emulator, self._clock)
        self._board = TransportRouter(LocalApp(self._jump, stage.loop), self._places, callers=stage.callers)
        stack.enter_context(self._board.connected())

    # What goes wrong

    def fail_next(self, fault: str, **match: Any) -> int:
        """Let the next request or call that matches go wrong; return the rule's id.

        Args:
            fault: as in a scenario: "content_policy_violation", "requeued times=3".
            match: as in a scenario's rule: `on`, `endpoint`, `prompt`, `input`, `caller`, `after`, `times`,
                `share`, `then`.

        Raises:
            ValueError: there is no such fault, or it cannot strike there.
        """
        rule = Rule(fault=fault, **match)
        self._rules.append(self.call(lambda: self.emulator.plan.add(rule)))
        return self._rules[-1]

    # Time

    @property
    def polls_pass_time(self) -> bool:
        """Whether a poll that would tell nothing new moves the time on to the next thing that happens."""
        return self._jump.on

    @polls_pass_time.setter
    def polls_pass_time(self, on: bool) -> None:
        self._jump.on = on

    @property
    def now(self) -> float:
        """The emulator's time, in unix seconds. It stands still but for what moves it here."""
        return self._clock.now()

    def advance(self, seconds: float) -> None:
        """Let time pass, with all that happens in it: runs begin and end, webhooks leave and arrive."""
        self._stage.portal.call(self.emulator.timeline.pass_time, seconds)

    def wait(self, request_id: str, state: str = State.COMPLETED, *, timeout: float = math.inf) -> Request:
        """Let time pass until a request is in a state, or past it; return the request.

        Args:
            request_id: of the request.
            state: COMPLETED, or an earlier one.
            timeout: emulated seconds after which it is enough.

        Raises:
            LookupError: there is no such request.
            TimeoutError: it does not get there in that time, or not at all.
        """
        return self._stage.portal.call(self._wait, request_id, state, self.now + timeout)

    async def _wait(self, request_id: str, state: str, end: float) -> Request:
        while ORDER.index(State((request := self._request(request_id)).state)) < ORDER.index(State(state)):
            if self.emulator.timeline.next_at() > end or not await self._jump.step():
                raise TimeoutError(f"request {request_id} stays {request.state}")
        return self._told(request)

    def hold(self, request_id: str) -> None:
        """Keep a request as it is, waiting or running, until `release` or `finish`."""
        self.call(lambda: self.emulator.manual.hold(request_id))

    def release(self, request_id: str) -> None:
        """Let a request go on; what was due meanwhile happens now."""
        self.call(lambda: self.emulator.manual.release(request_id))

    def finish(self, request_id: str) -> None:
        """End a request now, with its own outcome."""
        self.call(lambda: self.emulator.manual.finish(request_id))
        self.advance(0)

    def fail(self, request_id: str, fault: str) -> None:
        """End a request now, with an error of the model or the platform.

        Raises:
            ValueError: there is no such fault, or a request cannot end with it.
        """
        why = parse(fault)
        self.call(lambda: self.emulator.manual.fail(request_id, why))
        self.advance(0)

    # What happened

    @property
    def requests(self) -> list[Request]:
        """All requests, in the order in which they were accepted."""
        return self.call(lambda: [self._told(request) for request in self._stored()])

    @property
    def webhooks(self) -> list[Webhook]:
        """All deliveries, in the order of their requests."""
        return self.call(lambda: [self._webhook(delivery) for delivery in self._deliveries()])

    @property
    def journal(self) -> list[Entry]:
        """Every call, every step of a request and every attempt at a webhook, in order. No secrets."""
        return self.call(journal_of(self.emulator).entries)

    def lint(self) -> list[Finding]:
        """Return the mistakes that the code under test has made with fal, each with its evidence."""
        return self.call(lambda: lint.check(journal_of(self.emulator).entries(), now=self.now))

    @property
    def cost(self) -> float:
        """What all that would have cost by fal's list prices, in US dollars."""
        return self.call(lambda: float(self._app.state.ledger.account().usd))

    @property
    def leaks(self) -> list[LeakError]:
        """The calls that would have left this machine, and were refused with these exceptions."""
        return self._board.leaks

    def leftovers(self) -> list[str]:
        """Return what a test should not leave behind, a line each. What is due happens before."""
        self.advance(0)
        return self.call(self._leftovers)

    # The code under test

    def mount(self, url: str, app: ASGIApp) -> httpx.Client:
        """Let an application answer for a host, until the test is over; return a client that talks to it.

        Its lifespan begins now, in an event loop of its own, and ends with the test. An exception of its
        own is a 500, as it is with a server, and is logged.

        Args:
            url: scheme and name that it goes by, as "http://app.test".
            app: an ASGI application.

        Raises:
            ValueError: the name is one of fal's, or is taken, or this is no URL.
        """
        host = urlsplit(url).hostname
        if not host or is_fal(host) or host in self._places:
            raise ValueError(f"{url} is no address to mount an application at")
        portal = self._stack.enter_context(start_blocking_portal(name=host))
        living = self._stack.enter_context(portal.wrap_async_context_manager(_living(app)))
        self._places[host] = LocalApp(living, portal.call(_loop), forgiving=True)
        self._stack.callback(self._places.pop, host)
        return self._stack.enter_context(httpx.Client(base_url=url, verify=trusted()))

    def serve(self) -> str:
        """Answer at an address on this machine too, for other processes; return it."""
        if self.address is None:
            listener = self._stack.enter_context(self._stage.serving(self._jump))
            self.emulator.dialler.own.add(listener)
            self.address = address(listener)
        return self.address

    def call(self, work: Callable[[], T]) -> T:
        """Do something in the emulator's own thread, and return what comes of it."""
        return self._stage.portal.call(work)

    def _is_local(self, host: str) -> bool:
        return host in self._places or is_loopback(host)

    def _request(self, request_id: str) -> Stored:
        request = self.emulator.request(request_id)
        if request is None:
            raise LookupError(f"there is no request {request_id}")
        return request

    def _stored(self) -> list[Stored]:
        self.emulator.advance()
        return sorted(self.emulator.store.requests(), key=lambda request: request.seq)

    def _deliveries(self) -> list[Delivery]:
        found = (self.emulator.store.delivery(request.id) for request in self._stored())
        return [delivery for delivery in found if delivery is not None]

    def _told(self, request: Stored) -> Request:
        return Request(
            id=request.id,
            endpoint="/".join(filter(None, (request.application, request.path))),
            input=_parsed(self.emulator.payloads.kept_body(request)),
            state=request.state,
            status_code=request.status,
            output=_parsed(self.emulator.output(request)),
            error_type=request.error_type,
            attempts=request.attempts,
            webhook=request.webhook,
            key_id=request.caller,
        )

    def _webhook(self, delivery: Delivery) -> Webhook:
        of_it = JournalFilter(request=delivery.request_id, operation=Operation.WEBHOOK)
        return Webhook(
            request_id=delivery.request_id,
            url=delivery.url,
            body=json.loads(delivery.body),
            attempts=tuple(
                each for each in journal_of(self.emulator).entries(of_it) if isinstance(each, Attempt)
            ),
            outcome=delivery.outcome,
        )

    def _leftovers(self) -> list[str]:
        return [
            *(
                f"the fault {each.rule.fault!r} never struck"
                for each in self.emulator.plan.unobserved()
                if each.id in self._rules  # a scenario's may have had nothing to strike
            ),
            *(
                f"the request {each.id} for {each.application} is still {each.state}"
                for each in self._stored()
                if each.state != State.COMPLETED
            ),
            *(
                f"the webhook of {each.request_id} is still to be delivered to {each.url}"
                for each in self._deliveries()
                if each.next_at is not None
            ),
        ]


@dataclass(slots=True)
class TestSession:
    """What the tests of a session share: the emulators' thread, the clips, the address. See `staged`.

    Attributes:
        portal: into the thread.
        loop: that runs there.
        studio: renders, and keeps what it has rendered: most tests ask for the same clip.
        callers: the `Authorization` of all who have called; from threads that outlive their test, nothing
            of theirs shall leave.
    """

    portal: BlockingPortal
    loop: asyncio.AbstractEventLoop
    studio: Renderer
    _stack: ExitStack
    callers: set[str] = field(default_factory=set, repr=False)
    _served: ASGIApp | None = None
    _calls: set[asyncio.Future[None]] = field(default_factory=set)
    _listener: socket.socket | None = None

    @contextmanager
    def harness(self, settings: Settings = QUICK) -> Iterator[Harness]:
        """Open an emulator for a test."""
        with ExitStack() as stack:
            yield Harness(self, stack, settings)

    @contextmanager
    def serving(self, app: ASGIApp) -> Iterator[socket.socket]:
        """Have an application answer at the session's address for the length of a block; gives the listener.

        The server goes on after it, without an application: to start and stop one takes a fifth of a second.
        """
        if self._listener is None:
            serving = self.portal.wrap_async_context_manager(_serving(self._answer))
            self._listener = self._stack.enter_context(serving)
        self._served = app
        try:
            yield self._listener
        finally:
            self._served = None
            self.portal.call(self._break_off)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._served or Response("no test is running", 503, media_type="text/plain")
        call = asyncio.ensure_future(app(scope, receive, send))
        self._calls.add(call)
        try:
            await asyncio.wait([call])
        finally:
            self._calls.discard(call)
            call.cancel()
        if not call.cancelled():
            call.result()

    async def _break_off(self) -> None:
        """End the calls under way: whoever still waits for an answer has outlived the test."""
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)


@contextmanager
def staged(folder: Path) -> Iterator[TestSession]:
    """Set up what tests share.

    Args:
        folder: for clips.
    """
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal(name="falmock"))
        studio = stack.enter_context(portal.wrap_async_context_manager(_studio(folder)))
        stage = TestSession(portal, portal.call(_loop), studio, stack)
        stack.enter_context(strays_refused(stage.callers))
        yield stage


@asynccontextmanager
async def _studio(folder: Path) -> AsyncIterator[Renderer]:
    studio = Renderer(ffmpeg=find_ffmpeg(), cache=folder, at_once=2, timeout=60)
    try:
        yield studio
    finally:
        await studio.close()


@asynccontextmanager
async def _serving(app: ASGIApp) -> AsyncIterator[socket.socket]:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:  # uvicorn takes no methods
        await app(scope, receive, send)

    with listen("127.0.0.1", 0) as listener:
        async with Server(answer).running(listener):
            yield listener


@asynccontextmanager
async def _living(app: ASGIApp) -> AsyncIterator[ASGIApp]:
    """Run an application's lifespan around a block, if it has one; gives the application with its state."""
    lifespan = LifespanOn(Config(app, interface="asgi3", lifespan="auto", log_config=None))
    await lifespan.startup()
    if lifespan.should_exit:
        raise RuntimeError("the application failed to start; its log says why")

    async def living(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": lifespan.state.copy()}, receive, send)

    try:
        yield living
    finally:
        await lifespan.shutdown()


async def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def _parsed(body: bytes | None) -> Any:
    try:
        return json.loads(body or b"null")
    except ValueError:
        return None
