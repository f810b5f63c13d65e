"""The HTTP server: a listening socket and uvicorn."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from falmock.http.connection import BoundedProtocol
from falmock.http.context import CONNECTION
from falmock.protocol.authorities import Authority
from falmock.protocol.limits import DEFAULT, Limits

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator

    from starlette.types import ASGIApp
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

BACKLOG: Final = 2048
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

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        self._protocol = protocol

    async def drop(self) -> None:
        """Reset it, or close it early if a part of the response has been sent."""
        transport, cycle = self._protocol.transport, self._protocol.cycle
        if cycle.response_started:
            transport.close()
        else:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            transport.abort()
        await self.hang()

    async def hang(self) -> None:
        """Wait until the caller has left."""
        while (await self._protocol.cycle.receive())["type"] != "http.disconnect":
            pass

    def omit_reason(self) -> None:
        """Send the next status line without a reason phrase."""
        cycle = self._protocol.cycle
        cycle.transport = _WithoutReason(cycle.transport)  # type: ignore[assignment]


class _WithoutReason:
    """A transport for one response: its first write is the head, after a 100 perhaps."""

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
    """uvicorn's protocol, with the connection in the scope."""

    def on_message_begin(self) -> None:
        """See `BoundedProtocol`."""
        super().on_message_begin()
        self.scope[CONNECTION] = Connection(self)  # type: ignore[typeddict-unknown-key]


class Server(uvicorn.Server):
    """uvicorn, configured for an emulator. The emulator must be open; signals are left to the caller.

    Args:
        app: to serve.
        tls: None for plain HTTP.
        limits: on calls.
    """

    def __init__(self, app: ASGIApp, tls: ssl.SSLContext | None = None, *, limits: Limits = DEFAULT) -> None:
        protocol: Any = partial(ConnectionProtocol, limits=limits)  # uvicorn only calls it
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,  # it would contain queries, and so tokens
                server_header=False,
                proxy_headers=False,  # see `http.trusted_proxies`
                timeout_keep_alive=limits.idle_seconds,  # type: ignore[arg-type]  # a float works
                timeout_graceful_shutdown=1,
                ssl_context_factory=(lambda *_: tls) if tls else None,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers: uvicorn's would cut the shutdown of the emulator short."""
        yield

    @asynccontextmanager
    async def running(self, listener: socket.socket) -> AsyncIterator[None]:
        """Serve in the background during a block."""
        task = asyncio.create_task(self.serve(sockets=[listener]))
        try:
            yield
        finally:
            self.should_exit = True
            await task
