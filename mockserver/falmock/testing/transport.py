"""Leads what httpx clients send to fal's hosts to an emulator in the same process.

No port is opened. A call to a host of fal's that is not emulated is an error, whichever library makes it;
so is a call to an emulated one by another library than httpx. Calls to other hosts are left alone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import httpx
from anyio.from_thread import start_blocking_portal

from falmock.app import create_app, open_emulator
from falmock.http.context import CONNECTION
from falmock.protocol import credentials
from falmock.protocol.hosts import is_fal, is_served
from falmock.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from falmock.engine.emulator import Emulator

    Function = Callable[..., Any]

log = logging.getLogger("falmock")

WRAPPER: Final = "falmock_wrapper"
_changing: Final = Lock()
BLOCKING: Final = "falmock.blocking"  # in a scope: the caller blocks its event loop until the answer


class LeakError(AssertionError):
    """A test called a host of fal's that is not emulated."""

    def __init__(self, host: str) -> None:
        super().__init__(f"a call to {host}, which falmock does not emulate, would have left this machine")


class PastRedirectError(LeakError):
    """A test called a host of fal's with another library than httpx."""

    def __init__(self, host: str) -> None:
        AssertionError.__init__(
            self,
            f"a call to {host} would have left this machine: only calls by httpx reach the emulator; "
            "for other libraries use falmock_server or falmock run",
        )


class Connection:
    """The connection of a call within this process, for faults to break (see `http.context.Connection`)."""

    def __init__(self) -> None:
        self.started = False  # a part of the response has been sent
        self.extensions: dict[str, Any] = {}  # httpx's, of the response

    async def drop(self) -> None:
        """Break it: a reset before the response, or an early end in the middle of it."""
        if self.started:
            raise httpx.RemoteProtocolError(
                "peer closed connection without sending complete message body (incomplete chunked read)"
            )
        raise httpx.ReadError("[Errno 104] Connection reset by peer")

    async def hang(self) -> None:
        """Send no response: the caller's timeout is raised immediately, even a long one."""
        raise httpx.ReadTimeout("timed out")

    def omit_reason(self) -> None:
        """Return the response without a reason phrase."""
        self.extensions["reason_phrase"] = b""


@dataclass(frozen=True, slots=True)
class LocalApp:
    """An ASGI application in this process.

    Attributes:
        app: needs no lifespan, or it has been started.
        loop: the event loop that it runs in, in another thread than that of synchronous callers.
        forgiving: answer 500 for the application's exceptions, as servers do, and log them; else they are
            raised in the caller.
    """

    app: ASGIApp
    loop: asyncio.AbstractEventLoop
    forgiving: bool = False
    process: int = field(default_factory=os.getpid)  # a fork of it has no such loop

    def send(self, request: httpx.Request) -> httpx.Response:
        """Answer a call of a synchronous client.

        Raises:
            RuntimeError: it comes from the application's own event loop, which would wait for itself, or from
                a forked process, which would wait forever.
        """
        self._check_process(request)
        request.read()
        here = _running_loop()
        if here is self.loop:
            raise RuntimeError(f"{request.url.host} calls itself and waits for its own answer")
        response = self._respond(request, blocking=here is not None)
        return asyncio.run_coroutine_threadsafe(response, self.loop).result()

    async def send_async(self, request: httpx.Request) -> httpx.Response:
        self._check_process(request)
        await request.aread()
        response = self._respond(request, blocking=False)
        if asyncio.get_running_loop() is self.loop:
            return await response
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(response, self.loop))

    def _check_process(self, request: httpx.Request) -> None:
        if os.getpid() != self.process:
            raise RuntimeError(
                f"a call to {request.url.host} in a forked process, where no emulator runs: "
                "for other processes use falmock_server or falmock run"
            )

    async def _respond(self, request: httpx.Request, *, blocking: bool) -> httpx.Response:
        connection = Connection()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            async def note(message: Message) -> None:
                connection.started = True
                await send(message)

            try:
                await self.app({**scope, CONNECTION: connection, BLOCKING: blocking}, receive, note)
            except Exception:
                if self.forgiving:
                    log.exception("the application at %s failed", request.url.host)
                raise

        transport = httpx.ASGITransport(app, raise_app_exceptions=not self.forgiving)
        response = await transport.handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - for the type checker
        body = b"".join([chunk async for chunk in response.stream])
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=httpx.ByteStream(body),
            extensions=connection.extensions,
        )


@dataclass(slots=True)
class TransportRouter:
    """Decides where calls go."""

    fal: LocalApp
    others: dict[str, LocalApp] = field(default_factory=dict)  # for other hosts, by name
    leaks: list[LeakError] = field(default_factory=list)  # errors of calls that would have left this machine
    callers: set[str] = field(default_factory=set, repr=False)  # the `Authorization` headers sent to fal

    def find(self, request: httpx.Request) -> LocalApp | None:
        """Return the application for a call, or None to send it as usual."""
        name = request.url.host.rstrip(".")
        if is_served(name):
            self.callers.add(request.headers.get("authorization", ""))
            return self.fal
        if is_fal(name):
            self._refuse(LeakError(name))
        return self.others.get(name)

    def _refuse(self, leak: LeakError) -> None:
        """Raise an error, and keep it: the caller may swallow the exception."""
        self.leaks.append(leak)
        raise leak

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Route the calls of all httpx clients for the length of a block."""
        with ExitStack() as stack:
            stack.enter_context(_routed(self.find))
            for owner, name, place in _resolvers():
                stack.enter_context(_wrapped(owner, name, self._guarded(place)))
            yield

    def _guarded(self, place: int) -> Callable[[Function], Function]:
        """Return a wrapper that refuses fal's hosts, for libraries that this does not route."""

        def wrap(resolve: Function) -> Function:
            def guarded(*arguments: Any, **keywords: Any) -> Any:
                host = keywords.get("host", arguments[place] if len(arguments) > place else None)
                name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
                if is_fal(name.lower().rstrip(".")):
                    self._refuse(PastRedirectError(name))
                return resolve(*arguments, **keywords)

            return guarded

        return wrap


def _resolvers() -> Iterator[tuple[Any, str, int]]:
    """Yield the functions that look up a host: owner, name, and position of the host."""
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        yield socket, name, 0
    try:
        import uvloop  # noqa: PLC0415 - it may not be there
    except ImportError:
        return
    # uvloop does not call Python's functions
    yield uvloop.Loop, "getaddrinfo", 1
    yield uvloop.Loop, "create_connection", 2


@contextmanager
def offline(settings: Settings | None = None) -> Iterator[Emulator]:
    """Open an emulator, and lead what httpx clients send to fal there, for the length of a block.

    Clients may be synchronous or asynchronous. The emulator runs in a separate thread, by the system's
    clock. A status stream arrives as a whole, when it has ended. FAL_KEY is "falmock:local" if no key is set.
    """
    with (
        _with_a_key(),
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_emulator(settings or Settings())) as emulator,
        redirected(create_app(emulator), portal.call(asyncio.get_running_loop)),
    ):
        yield emulator


@contextmanager
def _with_a_key() -> Iterator[None]:
    """Set the variable of a key for the length of a block, if none is set."""
    missing = credentials.missing(os.environ)
    before = {name: os.environ.get(name) for name in missing}
    os.environ.update(missing)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def redirected(app: ASGIApp, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Lead what httpx clients send to fal to an emulator's application, for the length of a block.

    Synchronous clients must be in another thread than the event loop, in which the emulator was opened.
    """
    with TransportRouter(LocalApp(app, loop)).installed():
        yield


@contextmanager
def callers_blocked(callers: Collection[str]) -> Iterator[None]:
    """Refuse calls to fal that have one of these `Authorization` headers, for the length of a block."""

    def find(request: httpx.Request) -> None:
        if is_fal(request.url.host.rstrip(".")) and request.headers.get("authorization", "") in callers:
            raise LeakError(request.url.host)

    with _routed(find):
        yield


@contextmanager
def _routed(find: Callable[[httpx.Request], LocalApp | None]) -> Iterator[None]:
    """Send calls of httpx clients to the application that `find` returns, or as usual for None."""

    def blocking(send: Function) -> Function:
        def handle(transport: httpx.HTTPTransport, request: httpx.Request) -> Any:
            app = find(request)
            return send(transport, request) if app is None else app.send(request)

        return handle

    def asynchronous(send: Function) -> Function:
        async def handle(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> Any:
            app = find(request)
            return await (send(transport, request) if app is None else app.send_async(request))

        return handle

    with (
        _wrapped(httpx.HTTPTransport, "handle_request", blocking),
        _wrapped(httpx.AsyncHTTPTransport, "handle_async_request", asynchronous),
    ):
        yield


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


@dataclass(slots=True)
class _Wrapper:
    before: Function
    active: bool = True


@contextmanager
def _wrapped(owner: Any, name: str, wrap: Callable[[Function], Function]) -> Iterator[None]:
    """Replace a function of a module or class with the one that `wrap` returns, for the length of a block.

    Blocks may overlap: those of two threads, for example, end in any order.
    """
    with _changing:
        wrapper = _Wrapper(getattr(owner, name))
        replacement = wrap(wrapper.before)

        def call(*arguments: Any, **keywords: Any) -> Any:
            return (replacement if wrapper.active else wrapper.before)(*arguments, **keywords)

        setattr(call, WRAPPER, wrapper)
        setattr(owner, name, call)
    try:
        yield
    finally:
        with _changing:
            wrapper.active = False
            # A replacement below an active one stays, and does nothing, until that is removed.
            while (top := getattr(getattr(owner, name), WRAPPER, None)) is not None and not top.active:
                setattr(owner, name, top.before)
