"""The HTTP server: a listening socket and uvicorn."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from falmock.http.application import Application
from falmock.http.connection import BoundedProtocol
from falmock.http.context import CONNECTION
from falmock.http.replies import head_of
from falmock.inspection.recorded import join_headers
from falmock.protocol.authorities import Authority
from falmock.protocol.limits import DEFAULT, Limits

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Iterator

    from starlette.responses import Response
    from starlette.types import ASGIApp, Scope
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

BACKLOG: Final = 2048
GRACE: Final = 1.0  # seconds that open calls have to end
POLL: Final = 0.005  # seconds between two looks at what is still open
RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no seconds


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 picks a free one.

    Raises:
        OSError: the port is in use, or the address is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def address(listener: socket.socket) -> str:
    """Return the http URL at which this machine reaches a listening socket."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"http://{Authority(host, port)}"


class Connection:
    """The connection of a call (see `http.context.Connection`)."""

    def __init__(self, protocol: BoundedProtocol) -> None:
        self._protocol = protocol

    async def drop(self) -> None:
        """Reset it, or close it early if a part of the response has been sent."""
        transport = self._protocol.transport
        if self._cycle.response_started:
            transport.close()
        else:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            transport.abort()
        await self.hang()

    async def hang(self) -> None:
        """Wait until the caller has left."""
        while (await self._cycle.receive())["type"] != "http.disconnect":
            pass

    def omit_reason(self) -> None:
        """Send the next status line without a reason phrase."""
        cycle = self._cycle
        cycle.transport = _WithoutReason(cycle.transport)  # type: ignore[assignment]

    @property
    def _cycle(self) -> RequestResponseCycle:
        cycle = self._protocol.started
        assert cycle is not None  # noqa: S101 - a call that uses this has a task
        return cycle


class _WithoutReason:
    """A transport for one response. It removes the reason phrase from the first status line but a 100."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._begun = False

    def write(self, data: bytes) -> None:
        if not self._begun and not data.startswith(b"HTTP/1.1 100 "):
            self._begun = True
            line, end, rest = data.partition(b"\r\n")
            data = b" ".join([*line.split(b" ")[:2], b""]) + end + rest
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class ConnectionProtocol(BoundedProtocol):
    """uvicorn's protocol, with the connection in the scope. Most calls to the queue get no task.

    Args:
        answer_at_once: `Application.answer_at_once`; None if the application is another one.
    """

    def __init__(
        self, *, answer_at_once: Callable[[Scope, bytes | None], Response | None] | None, **given: Any
    ) -> None:
        super().__init__(**given)
        self._answer_at_once = answer_at_once
        # A call whose body has not arrived.
        self._incomplete: tuple[RequestResponseCycle, ASGIApp] | None = None
        self._pipelined = False  # the call that starts has waited for the answer to an earlier one
        self._connection = Connection(self)

    def on_message_begin(self) -> None:
        """See `BoundedProtocol`."""
        super().on_message_begin()
        self.scope[CONNECTION] = self._connection  # type: ignore[typeddict-unknown-key]

    def data_received(self, data: bytes) -> None:
        """Parse bytes. A call whose body has not arrived with its head gets a task."""
        super().data_received(data)
        if self._incomplete is not None:
            incomplete, self._incomplete = self._incomplete, None
            super()._start_asgi_task(*incomplete)

    def on_message_complete(self) -> None:
        """Answer a call whose body has arrived with its head."""
        super().on_message_complete()
        if self._incomplete is not None:
            (cycle, app), self._incomplete = self._incomplete, None
            self._answer(cycle, app, bytes(cycle.body))

    def on_response_complete(self) -> None:
        """Start the next call of a pipeline, in a task."""
        self._pipelined = True
        try:
            super().on_response_complete()
        finally:
            self._pipelined = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]
        if self.timeout_keep_alive_task is not None:  # set by the answer to an earlier call in the same bytes
            self._unset_keepalive_if_required()
        if self.transport.is_closing():  # the client has left since that answer
            return
        if (
            self._answer_at_once is None
            or self._pipelined  # answering it here would recurse
            or self.flow.write_paused
            or cycle.waiting_for_100_continue
        ):
            super()._start_asgi_task(cycle, app)
        elif cycle.scope["method"] == "POST":
            self._incomplete = (cycle, app)
        else:
            self._answer(cycle, app, None)

    def _answer(self, cycle: RequestResponseCycle, app: ASGIApp, body: bytes | None) -> None:
        """Answer a call without a task if possible."""
        scope: Scope = cycle.scope  # type: ignore[assignment]  # Starlette types it differently
        response = None if self._answer_at_once is None else self._answer_at_once(scope, body)
        if response is None:
            super()._start_asgi_task(cycle, app)
        else:
            self._write(cycle, response)

    def _write(self, cycle: RequestResponseCycle, response: Response) -> None:
        """Send a complete response in one write; `RequestResponseCycle.send` needs two."""
        head = head_of(response)
        if not head:
            raise RuntimeError("a header of the response has a line break")
        own = join_headers(self.server_state.default_headers)
        close = b"" if cycle.keep_alive else b"connection: close\r\n"
        body = b"" if cycle.scope["method"] == "HEAD" else response.body
        cycle.response_started = cycle.response_complete = True
        self.transport.write(b"".join((STATUS_LINE[response.status_code], own, head, close, b"\r\n", body)))
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()


class Server(uvicorn.Server):
    """uvicorn, configured for an emulator. The emulator must be open; signals are left to the caller."""

    def __init__(self, app: ASGIApp, tls: ssl.SSLContext | None = None, *, limits: Limits = DEFAULT) -> None:
        # A partial instead of a class: uvicorn only calls it.
        protocol: Any = partial(
            ConnectionProtocol,
            limits=limits,
            answer_at_once=app.answer_at_once if isinstance(app, Application) else None,
        )
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,  # it would contain queries, and so tokens
                server_header=False,
                proxy_headers=False,  # see `guard.TrustedProxies`
                timeout_keep_alive=limits.idle_seconds,  # type: ignore[arg-type]  # a float works
                ssl_context_factory=(lambda *_: tls) if tls else None,
            )
        )
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Close the listener and the idle connections, now; open calls have `GRACE` to end."""
        self.should_exit = True
        self._stopped.set()

    async def main_loop(self) -> None:
        """Update the date of responses once a second, and end at once: uvicorn's ends at its next tick."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), 1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Do what uvicorn's does, but without its pauses of 0.1 s."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        ends_at = time.monotonic() + GRACE
        while (state.connections or state.tasks) and time.monotonic() < ends_at:  # noqa: ASYNC110 - no event
            await asyncio.sleep(POLL)
        for task in state.tasks:
            task.cancel()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers, because uvicorn's would interrupt the shutdown of the emulator."""
        yield

    @asynccontextmanager
    async def running(self, listener: socket.socket) -> AsyncIterator[None]:
        """Serve in the background during a block."""
        task = asyncio.create_task(self.serve(sockets=[listener]))
        try:
            yield
        finally:
            self.stop()
            await task
