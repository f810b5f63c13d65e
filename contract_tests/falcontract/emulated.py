"""The emulator as a target: the one place where this package starts a falmock.

In process the clock stands still between steps and the wire is a function call; over a socket the clock
is the same, and the bytes are real. What it takes to compute a timetable is told by `facts`, with the
emulator's own assumptions named as such.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx

from falcontract.steps import FAULTS
from falcontract.targets import ABILITIES, KEY_A, KEY_B, Session, spellings
from falmock.app import create_app, open_emulator
from falmock.engine.clock import ManualClock
from falmock.engine.emulator import REJECTION
from falmock.faults.rules import Rule
from falmock.http.server import Server, listen
from falmock.media import Renderer, find_ffmpeg
from falmock.settings import Settings, Span

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp, Message

    from falcontract.steps import Json, Program

QUEUE_SECONDS: Final = 1.0
RUN_SECONDS: Final = 4.0
# What this emulator does where PROTOCOL.md says nothing; the timetable has to know.
ASSUMED: Final = {"rejection_share": REJECTION}
NAMES: Final = {"a": KEY_A, "b": KEY_B}


class Emulated:
    """A falmock for each program, with a clock that moves when told to.

    Args:
        over_socket: serve on a loopback port instead of calling the application directly.
        renders: folder that keeps rendered clips from one program to the next, so that ffmpeg runs once
            for each kind; without it a temporary one that lives as long as this object.
    """

    ABLE: Final = frozenset(ABILITIES)

    def __init__(self, *, over_socket: bool = False, renders: Path | None = None) -> None:
        self.name = "mock over a socket" if over_socket else "mock"
        self.abilities = self.ABLE
        self._over_socket = over_socket
        self._temporary = tempfile.TemporaryDirectory(prefix="falcontract-") if renders is None else None
        self._renders = Path(self._temporary.name) if self._temporary else renders
        self._home = os.getpid()
        self._ffmpeg = find_ffmpeg(None)
        self._studios: dict[asyncio.AbstractEventLoop, Renderer] = {}

    def close(self) -> None:
        """Remove what was rendered."""
        if self._temporary:
            self._temporary.cleanup()

    @asynccontextmanager
    async def open(self, program: Program) -> AsyncIterator[Session]:
        """See `Target`."""
        clock = ManualClock()
        setup = settings_of({name: told for name, told in program.setup.items() if name != FAULTS})
        async with AsyncExitStack() as stack:
            emulator = await stack.enter_async_context(open_emulator(setup, clock, self._studio()))
            for rule in program.setup.get(FAULTS, ()):
                emulator.plan.add(Rule(**rule))
            line = _InProcess(create_app(emulator))
            base = await stack.enter_async_context(_serve(line)) if self._over_socket else IN_PROCESS

            def transport() -> httpx.AsyncBaseTransport:
                # `verify` is of no use on plain http, but a context of its own would be loaded each time
                return httpx.AsyncHTTPTransport(verify=False) if self._over_socket else line

            async def pass_on(seconds: float) -> None:
                await emulator.pass_time(seconds)

            def lock(key: str) -> None:
                locked = (*emulator.settings.locked, NAMES[key].partition(":")[0])
                emulator.settings = replace(emulator.settings, locked=locked)
                line.app = create_app(emulator)

            yield Session(
                line=await stack.enter_async_context(transport()),
                hosts={"queue": f"{base}/queue.fal.run", "rest": f"{base}/rest.fal.ai"},
                keys=spellings(KEY_A, KEY_B),
                now=clock.now,
                wall=clock.wall,
                pass_time=pass_on,
                facts=_facts(setup),
                exact_time=True,
                due=emulator.due,
                poll_seconds=0.25,
                turn=0.02 if self._over_socket else 0.0,
                lock=lock,
                transport=transport,
            )

    def _studio(self) -> Renderer:
        """Return the renderer of this event loop; a new one would start ffmpeg for its version again."""
        loop = asyncio.get_running_loop()
        if loop not in self._studios:
            renderer = Renderer(ffmpeg=self._ffmpeg, cache=self._cache(), at_once=2, timeout=60)
            self._studios = {loop: renderer}
        return self._studios[loop]

    def _cache(self) -> Path:
        """Return the folder of clips; a forked process has one of its own, with what was rendered before."""
        assert self._renders is not None  # noqa: S101 - one of the two was made
        if os.getpid() == self._home:
            return self._renders
        cache = Path(tempfile.mkdtemp(prefix="fork-", dir=self._renders))
        for clip in self._renders.glob("*.mp4"):
            (cache / clip.name).hardlink_to(clip)
        return cache


IN_PROCESS: Final = "http://127.0.0.1:8787"


def settings_of(setup: Json) -> Settings:
    """Return the emulator's settings for what a program asks for."""
    given = dict(setup)
    known: dict[str, Any] = {"seed": 1, "media": "plain", "runners": given.pop("runners", 2)}
    for name, seconds in (("queue_seconds", QUEUE_SECONDS), ("run_seconds", RUN_SECONDS)):
        value = given.pop(name, seconds)
        known[name] = Span(value, value)
    known["keys"] = (KEY_A, KEY_B)
    return Settings(**known, **given)


def _facts(told: Settings) -> Json:
    return {
        "runners": told.runners,
        "concurrency": told.concurrency,
        "queue_seconds": told.queue_seconds.low,
        "run_seconds": told.run_seconds.low,
        "run_timeout": told.run_timeout,
        "retention": told.retention,
        "retention_large": told.retention_large,
        "large_result": 10_000,
        "max_body": told.max_body,
        **ASSUMED,
    }


class _InProcess(httpx.AsyncBaseTransport):
    """Calls an ASGI application and hands its answer over while it is being written.

    httpx's own transport waits for the end of the body, which a status stream has only after a while.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.scheme not in {"http", "https"}:
            raise httpx.UnsupportedProtocol(f"{request.url} has no protocol", request=request)
        answer = _Answer(await request.aread())
        answer.task = asyncio.create_task(self._call(_scope(request), answer))
        await answer.news.wait()
        if answer.start is None:
            await answer.task
            raise httpx.RemoteProtocolError("the application ended without an answer", request=request)
        return httpx.Response(answer.start["status"], headers=answer.start["headers"], stream=answer)

    async def _call(self, scope: Any, answer: _Answer) -> None:
        try:
            await self.app(scope, answer.receive, answer.send)
        finally:
            answer.end()


class _Answer(httpx.AsyncByteStream):
    """The body of an answer that is still being written."""

    def __init__(self, asked: bytes) -> None:
        self.start: Any = None
        self.task: asyncio.Task[None] | None = None
        self.news = asyncio.Event()
        self._asked: bytes | None = asked
        self._gone = asyncio.Event()
        self._pieces: list[bytes] = []
        self._ended = False

    async def receive(self) -> Message:
        if self._asked is not None:
            asked, self._asked = self._asked, None
            return {"type": "http.request", "body": asked, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
        elif message.get("body"):
            self._pieces.append(message["body"])
        self.news.set()

    def end(self) -> None:
        self._ended = True
        self.news.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            pieces, self._pieces = self._pieces, []
            for piece in pieces:
                yield piece
            if self._ended and not self._pieces:
                return
            self.news.clear()
            await self.news.wait()

    async def aclose(self) -> None:
        self._gone.set()
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
    """Serve on a free loopback port; the socket listens before anybody is told of it."""
    with listen("127.0.0.1", 0) as listener:
        server = Server(app)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
