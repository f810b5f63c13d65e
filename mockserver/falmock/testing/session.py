"""Resources that the tests of a session share: an event loop in a thread, clips, and a server."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anyio.from_thread import start_blocking_portal
from starlette.responses import Response

from falmock.http.server import Server, listen
from falmock.media import Renderer, find_ffmpeg
from falmock.testing.transport import callers_blocked

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from anyio.from_thread import BlockingPortal
    from starlette.types import ASGIApp, Receive, Scope, Send


@dataclass(slots=True)
class TestSession:
    """The shared resources. See `open_session`.

    Attributes:
        callers: every `Authorization` header that was sent to fal. Calls with one of them are blocked
            outside of a test, so that a thread that outlives its test does not reach fal.
    """

    portal: BlockingPortal  # runs functions in the thread of the emulators
    loop: asyncio.AbstractEventLoop  # of that thread
    renderer: Renderer  # most tests ask for the same clip
    _stack: ExitStack
    callers: set[str] = field(default_factory=set, repr=False)
    _served: ASGIApp | None = None
    _calls: set[asyncio.Future[None]] = field(default_factory=set)
    _listener: socket.socket | None = None

    @contextmanager
    def serving(self, app: ASGIApp) -> Iterator[socket.socket]:
        """Serve an application on the session's port for the length of a block; yields the listener.

        The server keeps running afterwards: to start and stop one takes 0.2 s.
        """
        if self._listener is None:
            serving = self.portal.wrap_async_context_manager(_serving(self._answer))
            self._listener = self._stack.enter_context(serving)
        self._served = app
        try:
            yield self._listener
        finally:
            self._served = None
            self.portal.call(self._cancel_calls)

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

    async def _cancel_calls(self) -> None:
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)


@contextmanager
def open_session(folder: Path) -> Iterator[TestSession]:
    """Set up the shared resources, with a folder for the clips."""
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal(name="falmock"))
        renderer = Renderer(ffmpeg=find_ffmpeg(), cache=folder, at_once=2, timeout=60)
        stack.callback(portal.call, renderer.close)
        session = TestSession(portal, portal.call(asyncio.get_running_loop), renderer, stack)
        stack.enter_context(callers_blocked(session.callers))
        yield session


@asynccontextmanager
async def _serving(app: ASGIApp) -> AsyncIterator[socket.socket]:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:  # uvicorn takes no methods
        await app(scope, receive, send)

    with listen("127.0.0.1", 0) as listener:
        async with Server(answer).running(listener):
            yield listener
