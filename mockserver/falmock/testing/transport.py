"""For Python tests: what httpx clients say to fal's hosts goes to an emulator in the same process.

No port is opened and no program is started. Any call for a host of fal's that is not emulated is an
error, whichever library makes it; so is a call for an emulated one by another library than httpx.
What is not fal's is none of this module's business.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

import httpx
from anyio.from_thread import start_blocking_portal

from falmock.app import create_app, open_emulator
from falmock.http.context import CONNECTION
from falmock.protocol.hosts import is_fal, is_served
from falmock.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from falmock.engine.emulator import Emulator

log = logging.getLogger("falmock")

BLOCKING: Final = "falmock.blocking"  # in a scope: the caller's event loop stands still until the answer


class LeakError(AssertionError):
    """A test called a host of fal's that is not emulated."""

    def __init__(self, host: str) -> None:
        super().__init__(f"a call for {host}, which falmock does not emulate, would have left this machine")


class PastRedirectError(LeakError):
    """A test called a host of fal's by other means than httpx."""

    def __init__(self, host: str) -> None:
        AssertionError.__init__(
            self,
            f"a call for {host} would have left this machine: only what httpx sends is led to the emulator; "
            "for other libraries there are falmock_server and falmock run",
        )


class Connection:
    """The connection of a call within this process, for faults to break (see `http.context.Connection`).

    Attributes:
        started: some of an answer has been sent.
    """

    started = False

    async def drop(self) -> None:
        """Break it, as a reset before the answer and as an early end in the middle of one."""
        if self.started:
            raise httpx.RemoteProtocolError(
                "peer closed connection without sending complete message body (incomplete chunked read)"
            )
        raise httpx.ReadError("[Errno 104] Connection reset by peer")

    async def hang(self) -> None:
        """Stay silent; the caller's patience, however long, is over at once."""
        raise httpx.ReadTimeout("timed out")


@dataclass(frozen=True, slots=True)
class LocalApp:
    """An ASGI application, and the event loop that it lives in.

    Attributes:
        app: needs no lifespan, or has begun it.
        loop: runs, and in another thread than that of synchronous callers.
        forgiving: answer 500 for the application's exceptions, as servers do, and log them; else the
            caller gets them.
    """

    app: ASGIApp
    loop: asyncio.AbstractEventLoop
    forgiving: bool = False

    def ask(self, request: httpx.Request) -> httpx.Response:
        """Return the answer to a call of a synchronous client's.

        Raises:
            RuntimeError: it comes from the application's own event loop, which would wait for itself.
        """
        request.read()
        here = _running_loop()
        if here is self.loop:
            raise RuntimeError(f"{request.url.host} calls itself and waits for its own answer")
        answer = self._answer(request, blocking=here is not None)
        return asyncio.run_coroutine_threadsafe(answer, self.loop).result()

    async def ask_async(self, request: httpx.Request) -> httpx.Response:
        """Return the answer to a call of an asynchronous client's."""
        await request.aread()
        answer = self._answer(request, blocking=False)
        if asyncio.get_running_loop() is self.loop:
            return await answer
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(answer, self.loop))

    async def _answer(self, request: httpx.Request, *, blocking: bool) -> httpx.Response:
        line = Connection()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            async def note(message: Message) -> None:
                line.started = True
                await send(message)

            try:
                await self.app({**scope, CONNECTION: line, BLOCKING: blocking}, receive, note)
            except Exception:
                if self.forgiving:
                    log.exception("the application at %s failed", request.url.host)
                raise

        transport = httpx.ASGITransport(app, raise_app_exceptions=not self.forgiving)
        answer = await transport.handle_async_request(request)
        assert isinstance(answer.stream, httpx.AsyncByteStream)  # noqa: S101 - for the type checker
        body = b"".join([chunk async for chunk in answer.stream])
        return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(body))


@dataclass(slots=True)
class TransportRouter:
    """Says where calls go.

    Attributes:
        fal: where those for fal's hosts do.
        others: where those for further hosts do, by name.
        leaks: what would have left this machine and was refused.
        callers: the `Authorization` of those who called fal.
    """

    fal: LocalApp
    others: dict[str, LocalApp] = field(default_factory=dict)
    leaks: list[LeakError] = field(default_factory=list)
    callers: set[str] = field(default_factory=set, repr=False)

    def find(self, request: httpx.Request) -> LocalApp | None:
        """Return where a call goes, None for the world.

        Raises:
            LeakError: that would be fal itself.
        """
        name = request.url.host.rstrip(".")
        if is_served(name):
            self.callers.add(request.headers.get("authorization", ""))
            return self.fal
        if is_fal(name):
            self.refuse(LeakError(name))
        return self.others.get(name)

    def refuse(self, leak: LeakError) -> None:
        """Keep in mind what is refused: the caller may swallow the exception."""
        self.leaks.append(leak)
        raise leak

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Lead what httpx clients say, for the length of a block."""
        with _led(self.find), patch.object(socket, "getaddrinfo", self._guarded(socket.getaddrinfo)):
            yield

    def _guarded(self, look_up: Callable[..., Any]) -> Callable[..., Any]:
        """No library gets at fal without asking for its address."""

        def getaddrinfo(host: Any, *arguments: Any, **more: Any) -> Any:
            name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
            if is_fal(name.lower().rstrip(".")):
                self.refuse(PastRedirectError(name))
            return look_up(host, *arguments, **more)

        return getaddrinfo


@contextmanager
def offline(settings: Settings | None = None) -> Iterator[Emulator]:
    """Open an emulator, and lead what httpx clients say to fal there, for the length of a block.

    Clients may be synchronous or asynchronous. The emulator lives in a thread of its own, with the
    system's clock; a status stream comes in one piece when it is over.
    """
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(_open(settings or Settings())) as (emulator, loop),
        redirected(create_app(emulator), loop),
    ):
        yield emulator


@contextmanager
def redirected(app: ASGIApp, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Lead what httpx clients say to fal to an application, for the length of a block.

    Args:
        app: of an open emulator.
        loop: in which the emulator was opened. Synchronous clients must be in another thread.
    """
    with TransportRouter(LocalApp(app, loop)).connected():
        yield


@contextmanager
def strays_refused(callers: Collection[str]) -> Iterator[None]:
    """For the length of a block, refuse what goes to fal with one of these `Authorization` headers.

    Threads that a test has left behind go on when its emulator is gone.
    """

    def find(request: httpx.Request) -> None:
        if is_fal(request.url.host.rstrip(".")) and request.headers.get("authorization", "") in callers:
            raise LeakError(request.url.host)

    with _led(find):
        yield


@contextmanager
def _led(find: Callable[[httpx.Request], LocalApp | None]) -> Iterator[None]:
    """Lead what httpx clients say to where it is found to go, for the length of a block."""
    blocking = httpx.HTTPTransport.handle_request
    waiting = httpx.AsyncHTTPTransport.handle_async_request

    def handle(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        place = find(request)
        return blocking(transport, request) if place is None else place.ask(request)

    async def handle_async(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        place = find(request)
        return await (waiting(transport, request) if place is None else place.ask_async(request))

    with (
        patch.object(httpx.HTTPTransport, "handle_request", handle),
        patch.object(httpx.AsyncHTTPTransport, "handle_async_request", handle_async),
    ):
        yield


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[tuple[Emulator, asyncio.AbstractEventLoop]]:
    async with open_emulator(settings) as emulator:
        yield emulator, asyncio.get_running_loop()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
