"""An emulator for one test, its clock, and everything that it has recorded, as plain Python.

The emulator runs in an event loop in a separate thread, so the code under test may be synchronous or
asynchronous and may call fal from any thread. Each mounted application runs in another one: it gets its
answers even when it blocks its loop with a synchronous call to fal. Calls of httpx clients in this process
to fal go to the emulator, and calls to a mounted application go there, webhooks included.
"""

from __future__ import annotations

import asyncio
import json
import math
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import httpx
from anyio.from_thread import start_blocking_portal
from pydantic import ValidationError
from uvicorn import Config
from uvicorn.lifespan.on import LifespanOn

from falmock.app import create_app, open_emulator
from falmock.engine.clients import trusted
from falmock.engine.clock import Clock
from falmock.engine.lifecycle import State
from falmock.faults.rules import Rule
from falmock.faults.vocabulary import parse
from falmock.inspection import lint
from falmock.inspection.entries import Attempt, JournalFilter
from falmock.inspection.journal import journal_of
from falmock.protocol.addresses import is_loopback
from falmock.protocol.calls import Operation
from falmock.protocol.hosts import is_fal
from falmock.settings import Settings, Span
from falmock.testing.autojump import Autojump
from falmock.testing.transport import LocalApp, TransportRouter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from starlette.applications import Starlette
    from starlette.types import ASGIApp, Receive, Scope, Send

    from falmock.engine.emulator import Emulator
    from falmock.engine.rows import Delivery
    from falmock.engine.rows import Request as Row
    from falmock.inspection.entries import JournalEntry
    from falmock.inspection.lint import Finding
    from falmock.testing.session import TestSession
    from falmock.testing.transport import LeakError

T = TypeVar("T")

QUICK: Final = Settings(seed=1, media="plain", queue_seconds=Span(1, 1), run_seconds=Span(60, 60))
STATES: Final = list(State)  # in the order in which a request passes through them


@dataclass(frozen=True, slots=True)
class Request:
    """A request that fal would have received."""

    id: str
    endpoint: str  # such as "fal-ai/veo2/image-to-video"
    input: Any  # parsed JSON; None for a body that is not JSON
    state: str  # IN_QUEUE, IN_PROGRESS or COMPLETED; a failed request is COMPLETED too
    status_code: int | None  # HTTP status of the result; None before the end
    output: Any  # the result's body, parsed; None before the end, and after it has expired
    error_type: str | None  # of a platform error, such as "runner_disconnected"
    attempts: int  # how often it was run
    webhook: str | None  # URL for the result
    key_id: str  # of the caller


@dataclass(frozen=True, slots=True)
class Webhook:
    """The delivery of a result."""

    request_id: str
    url: str
    body: Any  # parsed JSON
    attempts: tuple[Attempt, ...]  # each POST and its response
    outcome: str  # "pending", "delivered", "failed", "lost" or "refused"


class Harness:
    """An emulator for one test. See `open_harness`.

    Attributes:
        emulator: for everything else. It runs in another thread: use `call`.
        address: base URL for other processes; None before `serve`.
    """

    def __init__(self, session: TestSession, stack: ExitStack, settings: Settings) -> None:
        self.address: str | None = None
        self._session = session
        self._stack = stack
        self._mounted: dict[str, LocalApp] = {}
        self._rules: list[int] = []
        # Its wall clock keeps going: receivers of webhooks compare signatures with the real time.
        clock = Clock(scale=0.0)
        opening = open_emulator(settings, clock, session.renderer, is_local=self._is_local)
        self.emulator: Emulator = stack.enter_context(session.portal.wrap_async_context_manager(opening))
        self._journal = journal_of(self.emulator)
        app: Starlette = create_app(self.emulator)
        self._ledger = app.state.ledger
        self._autojump = Autojump(app, self.emulator)
        fal = LocalApp(self._autojump, session.loop)
        self._router = TransportRouter(fal, self._mounted, callers=session.callers)
        stack.enter_context(self._router.installed())

    # Faults

    def fail_next(self, fault: str, **match: Any) -> int:
        """Add a rule: the next request or call that it matches gets a fault. Return the rule's id.

        Args:
            fault: as in a scenario: "content_policy_violation", "requeued times=3".
            match: the other fields of a scenario's rule: `on`, `endpoint`, `prompt`, `input`, `caller`,
                `after`, `times`, `share`, `then`.

        Raises:
            ValueError: the fault does not exist, or does not apply to that kind of call.
        """
        try:
            rule = Rule(fault=fault, **match)
        except ValidationError as invalid:
            first = invalid.errors()[0]
            place = "".join(f"{part}: " for part in first["loc"])
            raise ValueError(f"{place}{first['msg'].removeprefix('Value error, ')}") from None
        self._rules.append(self.call(lambda: self.emulator.rule_set.add(rule)))
        return self._rules[-1]

    # Time

    @property
    def polls_pass_time(self) -> bool:
        """Whether a poll that would return nothing new moves the clock to the next event."""
        return self._autojump.on

    @polls_pass_time.setter
    def polls_pass_time(self, on: bool) -> None:
        self._autojump.on = on

    @property
    def now(self) -> float:
        """Emulated time in Unix seconds. Only polls, `advance` and `wait` move it."""
        return self.emulator.clock.now()

    def advance(self, seconds: float) -> None:
        """Move the clock forward. Everything due on the way happens: runs finish, webhooks are delivered."""
        self._session.portal.call(self.emulator.timeline.pass_time, seconds)

    def wait(self, request_id: str, state: str = State.COMPLETED, *, timeout: float = math.inf) -> Request:
        """Move the clock until a request is in a state or past it, and return the request.

        Raises:
            LookupError: no request has this id.
            TimeoutError: it does not reach the state in so many emulated seconds, or ever.
        """
        return self._session.portal.call(self._wait, request_id, state, self.now + timeout)

    async def _wait(self, request_id: str, state: str, end: float) -> Request:
        while STATES.index(State((row := self._row(request_id)).state)) < STATES.index(State(state)):
            if self.emulator.timeline.next_at() > end or not await self._autojump.step():
                raise TimeoutError(f"request {request_id} stays {row.state}")
        return self._request(row)

    def hold(self, request_id: str) -> None:
        """Keep a request in its state until `release` or `finish`."""
        self.call(lambda: self.emulator.manual.hold(request_id))

    def release(self, request_id: str) -> None:
        """Release a held request. Its overdue events happen immediately."""
        self.call(lambda: self.emulator.manual.release(request_id))
        self.advance(0)

    def finish(self, request_id: str) -> None:
        """Complete a request now, with its usual result."""
        self.call(lambda: self.emulator.manual.finish(request_id))
        self.advance(0)

    def fail(self, request_id: str, fault: str) -> None:
        """Complete a request now, with an error of the model or the platform.

        Raises:
            ValueError: the fault does not exist, or is not such an error.
        """
        error = parse(fault)
        self.call(lambda: self.emulator.manual.fail(request_id, error))
        self.advance(0)

    def lock(self, key_id: str | None = None) -> None:
        """Lock an account, or all: submits and uploads get 403, and waiting requests do not start."""
        self.call(lambda: self.emulator.manual.lock(key_id))

    def unlock(self, key_id: str | None = None) -> None:
        """Unlock an account, or all. Waiting requests start."""
        self.call(lambda: self.emulator.manual.unlock(key_id))
        self.advance(0)

    # Records

    @property
    def requests(self) -> list[Request]:
        """All requests, in the order of their submits."""
        return self.call(lambda: [self._request(row) for row in self._rows()])

    @property
    def webhooks(self) -> list[Webhook]:
        """All deliveries, in the order of their requests."""
        return self.call(lambda: [self._webhook(delivery) for delivery in self._deliveries()])

    @property
    def journal(self) -> list[JournalEntry]:
        """Every call, every step of a request and every attempt at a webhook, in order, without secrets."""
        return self.call(self._journal.entries)

    def lint(self) -> list[Finding]:
        """Return the mistakes that the code under test has made in its calls to fal, with evidence."""
        catalogue = self.emulator.catalogue
        return self.call(lambda: lint.check(self._journal.entries(), catalogue=catalogue, now=self.now))

    @property
    def cost(self) -> float:
        """The price of all requests by fal's price list, in US dollars."""
        return self.call(lambda: float(self._ledger.account().usd))

    @property
    def leaks(self) -> list[LeakError]:
        """The errors of calls that would have left this machine."""
        return self._router.leaks

    def leftovers(self) -> list[str]:
        """Apply due events, and return a line for each fault, request and webhook that is still open."""
        self.advance(0)
        return self.call(self._leftovers)

    # The code under test

    def mount(self, url: str, app: ASGIApp) -> httpx.Client:
        """Mount an application at a host until the end of the test, and return a client for it.

        Its lifespan starts now, in a separate event loop, and ends with the test. Its exceptions are logged
        and answered with 500, as by a server.

        Args:
            url: scheme and host, as "http://app.test".
            app: an ASGI application.

        Raises:
            ValueError: not a URL with a host, or the host is one of fal's or already taken.
            RuntimeError: the application failed to start.
        """
        host = urlsplit(url).hostname
        if not host or is_fal(host) or host in self._mounted:
            raise ValueError(f"cannot mount an application at {url}")
        portal = self._stack.enter_context(start_blocking_portal(name=host))
        started = self._stack.enter_context(portal.wrap_async_context_manager(_started(app)))
        self._mounted[host] = LocalApp(started, portal.call(asyncio.get_running_loop), forgiving=True)
        self._stack.callback(self._mounted.pop, host)
        return self._stack.enter_context(httpx.Client(base_url=url, verify=trusted()))

    def serve(self) -> str:
        """Serve the emulator on a loopback port, for other processes; return the base URL."""
        if self.address is None:
            listener = self._stack.enter_context(self._session.serving(self._autojump))
            self.emulator.dialler.own.add(listener)
            self.address = "http://{}:{}".format(*listener.getsockname())
        return self.address

    def call(self, work: Callable[[], T]) -> T:
        """Call a function in the emulator's thread, and return its result."""
        return self._session.portal.call(work)

    def _is_local(self, host: str) -> bool:
        return host in self._mounted or is_loopback(host)

    def _row(self, request_id: str) -> Row:
        row = self.emulator.request(request_id)
        if row is None:
            raise LookupError(f"there is no request {request_id}")
        return row

    def _rows(self) -> list[Row]:
        self.emulator.advance()
        return sorted(self.emulator.store.requests(), key=lambda row: row.seq)

    def _deliveries(self) -> list[Delivery]:
        found = (self.emulator.store.delivery(row.id) for row in self._rows())
        return [delivery for delivery in found if delivery is not None]

    def _request(self, row: Row) -> Request:
        return Request(
            id=row.id,
            endpoint=row.endpoint,
            input=_parsed(self.emulator.payloads.kept_body(row)),
            state=row.state,
            status_code=row.status,
            output=_parsed(self.emulator.output(row)),
            error_type=row.error_type,
            attempts=row.attempts,
            webhook=row.webhook,
            key_id=row.caller,
        )

    def _webhook(self, delivery: Delivery) -> Webhook:
        attempts = self._journal.entries(
            JournalFilter(request=delivery.request_id, operation=Operation.WEBHOOK)
        )
        return Webhook(
            request_id=delivery.request_id,
            url=delivery.url,
            body=json.loads(delivery.body),
            attempts=tuple(entry for entry in attempts if isinstance(entry, Attempt)),
            outcome=delivery.outcome,
        )

    def _leftovers(self) -> list[str]:
        return [
            *(
                f"the fault {state.rule.fault!r} never took effect"
                for state in self.emulator.rule_set.unobserved()
                if state.id in self._rules  # not those of a scenario, which a test need not use up
            ),
            *(
                f"the request {row.id} for {row.application} is still {row.state}"
                for row in self._rows()
                if row.state != State.COMPLETED
            ),
            *(
                f"the webhook of {delivery.request_id} is not yet delivered to {delivery.url}"
                for delivery in self._deliveries()
                if delivery.next_at is not None
            ),
        ]


@contextmanager
def open_harness(session: TestSession, settings: Settings = QUICK) -> Iterator[Harness]:
    with ExitStack() as stack:
        yield Harness(session, stack, settings)


@asynccontextmanager
async def _started(app: ASGIApp) -> AsyncIterator[ASGIApp]:
    """Run an application's lifespan around a block, if it has one; yields the application with its state."""
    lifespan = LifespanOn(Config(app, interface="asgi3", lifespan="auto", log_config=None))
    await lifespan.startup()
    if lifespan.should_exit:
        raise RuntimeError("the application failed to start; its log says why")

    async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": lifespan.state.copy()}, receive, send)

    try:
        yield with_state
    finally:
        await lifespan.shutdown()


def _parsed(body: bytes | None) -> Any:
    try:
        return json.loads(body or b"null")
    except ValueError:
        return None
