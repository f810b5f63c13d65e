"""falmock as a target: a fresh emulator for each program, with a clock that moves only on command.

By default the wire calls the ASGI application directly; `over_socket` serves it on a loopback port. Apart
from the mutants, no other module imports falmock.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx

from falcontract.steps import CLIENT_FAULTS, FAULTS, HOSTS
from falcontract.targets.base import ABILITIES, KEY_A, KEY_B, Session, authorization_headers
from falmock.app import create_app, open_emulator
from falmock.engine.clock import ManualClock
from falmock.faults.rules import Rule
from falmock.http.context import CONNECTION
from falmock.http.server import Server, listen
from falmock.media import Renderer, find_ffmpeg
from falmock.protocol.outcomes import REJECTION
from falmock.settings import Settings, Span

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp, Message

    from falcontract.steps import Json, Program

QUEUE_SECONDS: Final = 1.0
RUN_SECONDS: Final = 4.0
LARGE_RESULT: Final = 10_000  # bytes; such results expire earlier (PROTOCOL.md 4.6)
IN_PROCESS: Final = "http://127.0.0.1:8787"
AHEAD: Final = "ahead"  # in a setup: seconds that emulated time is ahead of real time
NOT_SETTINGS: Final = (FAULTS, CLIENT_FAULTS, AHEAD)
KEYS: Final = {"a": KEY_A, "b": KEY_B}
log = logging.getLogger("falmock")

RAISED: Final = "the application raised"  # in `Exchange.error` and in the log


class Emulated:
    """A falmock for each program; with `over_socket` on a loopback port.

    `renders`, by default a temporary folder, keeps the clips, so that ffmpeg renders each one once.
    """

    ABILITIES: Final = frozenset(ABILITIES)

    def __init__(self, *, over_socket: bool = False, renders: Path | None = None) -> None:
        self.name = "mock over a socket" if over_socket else "mock"
        self.abilities = self.ABILITIES
        self._over_socket = over_socket
        self._temporary = tempfile.TemporaryDirectory(prefix="falcontract-") if renders is None else None
        self._renders = Path(self._temporary.name) if self._temporary else renders
        self._pid = os.getpid()
        self._ffmpeg = find_ffmpeg(None)
        self._studios: dict[asyncio.AbstractEventLoop, Renderer] = {}

    def close(self) -> None:
        if self._temporary:
            self._temporary.cleanup()

    @asynccontextmanager
    async def open(self, program: Program) -> AsyncIterator[Session]:
        setup = {name: value for name, value in program.setup.items() if name not in NOT_SETTINGS}
        clock = TwoClocks(ahead=program.setup.get(AHEAD, 0.0))
        settings = settings_of(setup)
        async with AsyncExitStack() as stack:
            if "restart" in program.needs():
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="falcontract-state-"))
                settings = replace(settings, state=Path(folder))
            process = _Process(settings, clock, self._studio())
            await process.start()
            stack.push_async_callback(process.stop)
            for rule in program.setup.get(FAULTS, ()):
                process.emulator.rule_set.add(Rule(**rule))
            in_process = process.served
            base = await stack.enter_async_context(_serve(in_process)) if self._over_socket else IN_PROCESS

            def new_transport() -> httpx.AsyncBaseTransport:
                # verify=False saves loading an SSL context that plain http does not need
                return httpx.AsyncHTTPTransport(verify=False) if self._over_socket else in_process

            yield Session(
                transport=await stack.enter_async_context(new_transport()),
                hosts={name: f"{base}/{host}" for name, host in HOSTS.items()},
                keys=authorization_headers(KEY_A, KEY_B),
                now=clock.now,
                wall=clock.wall,
                pass_time=process.pass_time,
                facts=_facts(settings),
                exact_time=True,
                next_event=process.due,
                poll_seconds=0.25,
                settle_seconds=0.02 if self._over_socket else 0.0,
                lock=process.lock,
                restart=process.restart,
                new_transport=new_transport,
            )

    def _studio(self) -> Renderer:
        """Return one renderer for each event loop: each new one asks ffmpeg for its version."""
        loop = asyncio.get_running_loop()
        if loop not in self._studios:
            renderer = Renderer(ffmpeg=self._ffmpeg, cache=self._cache(), at_once=2, timeout=60)
            self._studios = {loop: renderer}
        return self._studios[loop]

    def _cache(self) -> Path:
        """Return the folder of clips; a forked process gets a copy."""
        assert self._renders is not None  # noqa: S101 - set in __init__
        if os.getpid() == self._pid:
            return self._renders
        cache = Path(tempfile.mkdtemp(prefix="fork-", dir=self._renders))
        for rendered in filter(Path.is_file, self._renders.iterdir()):
            (cache / rendered.name).hardlink_to(rendered)
        return cache


class TwoClocks(ManualClock):
    """A clock that only `move_to` moves; emulated time may be ahead of real time, as with a fast clock."""

    def __init__(self, *, ahead: float) -> None:
        super().__init__()
        self._ahead = ahead

    def wall(self) -> float:
        return self.now() - self._ahead


class _Process:
    """An emulator that can be stopped, and started again with the state that it left."""

    def __init__(self, settings: Settings, clock: ManualClock, renderer: Renderer) -> None:
        self.emulator: Any = None
        self.served = _InProcess()
        self._settings, self._clock, self._renderer = settings, clock, renderer
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        opened = open_emulator(self._settings, self._clock, self._renderer)
        self.emulator = await self._stack.enter_async_context(opened)
        self.served.app = create_app(self.emulator)

    async def stop(self) -> None:
        await self._stack.aclose()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def pass_time(self, seconds: float) -> None:
        await self.emulator.timeline.pass_time(seconds)

    def due(self) -> float:
        return float(self.emulator.timeline.due())

    def lock(self, key: str, locked: bool) -> None:  # noqa: FBT001 - the interface of `Session.lock`
        manual = self.emulator.manual
        (manual.lock if locked else manual.unlock)(KEYS[key].partition(":")[0])


def settings_of(setup: Json) -> Settings:
    given = dict(setup)
    known: dict[str, Any] = {"seed": 1, "media": "plain", "runners": given.pop("runners", 2)}
    for name, seconds in (("queue_seconds", QUEUE_SECONDS), ("run_seconds", RUN_SECONDS)):
        value = given.pop(name, seconds)
        known[name] = Span(value, value)
    known["keys"] = (KEY_A, KEY_B)
    return Settings(**known, **given)


def _facts(settings: Settings) -> Json:
    return {
        "runners": settings.runners,
        "concurrency": settings.concurrency,
        "queue_seconds": settings.queue_seconds.low,
        "run_seconds": settings.run_seconds.low,
        "run_timeout": settings.run_timeout,
        "retention": settings.retention,
        "retention_large": settings.retention_large,
        "large_result": LARGE_RESULT,
        "max_body": settings.max_body,
        "cancel": settings.cancel,
        "rejection_seconds": REJECTION,
    }


class _InProcess(httpx.AsyncBaseTransport):
    """Calls an ASGI application and passes its answer on while it is being sent.

    httpx's transport for ASGI waits for the end of the body, which in a status stream comes late.
    """

    def __init__(self) -> None:
        self.app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.scheme not in {"http", "https"}:
            raise httpx.UnsupportedProtocol(f"{request.url} has no protocol", request=request)
        answer = _Answer(await request.aread())
        scope = _scope(request) | {CONNECTION: answer}  # for faults that break it
        answer.task = asyncio.create_task(self._call(scope, answer))
        await answer.changed.wait()
        if answer.dropped:
            raise httpx.ReadError("the connection was reset", request=request)
        if answer.start is None:
            await answer.task
            raise httpx.RemoteProtocolError("the application ended without an answer", request=request)
        return httpx.Response(answer.start["status"], headers=answer.start["headers"], stream=answer)

    async def _call(self, scope: Any, answer: _Answer) -> None:
        try:
            await self.app(scope, answer.receive, answer.send)
        except Exception as error:
            if answer.dropped:
                return
            log.exception("%s %r", RAISED, error)  # noqa: TRY401 - a server logs the same
            raise
        finally:
            answer.end()


class _Answer(httpx.AsyncByteStream):
    """The body of an answer that is still being sent."""

    def __init__(self, request_body: bytes) -> None:
        self.start: Any = None
        self.task: asyncio.Task[None] | None = None
        self.changed = asyncio.Event()
        self._request_body: bytes | None = request_body
        self._closed = asyncio.Event()
        self._chunks: list[bytes] = []
        self._ended = False
        self.dropped = False

    async def drop(self) -> None:
        """Break the connection, for a fault."""
        self.dropped = True
        self.changed.set()
        raise ConnectionResetError

    async def hang(self) -> None:
        """Answer nothing, for a fault; the caller's timeout is raised immediately."""
        raise httpx.ReadTimeout("timed out")

    def omit_reason(self) -> None:
        """Do nothing: there is no status line."""

    async def receive(self) -> Message:
        if self._request_body is not None:
            body, self._request_body = self._request_body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._closed.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self.dropped:
            return
        if message["type"] == "http.response.start":
            self.start = message
        elif message.get("body"):
            self._chunks.append(message["body"])
        self.changed.set()

    def end(self) -> None:
        self._ended = True
        self.changed.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            chunks, self._chunks = self._chunks, []
            for chunk in chunks:
                yield chunk
            if self.dropped:
                raise httpx.RemoteProtocolError("the connection broke in the middle of the answer")
            if self._ended and not self._chunks:
                await self._raise_failure()
                return
            if not self._chunks:  # none arrived while the caller was busy with the last one
                self.changed.clear()
                await self.changed.wait()

    async def _raise_failure(self) -> None:
        """Break the connection if the application failed after a success was begun, as a server does."""
        if self.task is not None and self.start["status"] < 500:
            (error,) = await asyncio.gather(self.task, return_exceptions=True)
            if isinstance(error, Exception):
                raise httpx.RemoteProtocolError(f"{RAISED} {error!r:.200}")

    async def aclose(self) -> None:
        self._closed.set()
        if self.task is not None:
            if not self.task.done():
                self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)


def _scope(request: httpx.Request) -> Any:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": request.url.raw_path.partition(b"?")[0],
        "query_string": request.url.query,
        "server": (request.url.host, request.url.port),
        "client": ("127.0.0.1", 1),
        "root_path": "",
    }


@asynccontextmanager
async def _serve(app: ASGIApp) -> AsyncIterator[str]:
    """Serve on a free loopback port and yield the base URL; the socket already listens."""
    with listen("127.0.0.1", 0) as listener:
        server = Server(app)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
