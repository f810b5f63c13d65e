"""A socket and uvicorn behind it."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from falmock.http.connection import BoundedProtocol
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
        OSError: the port is taken, or the address is not this machine's.
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
    """The connection of a call, for faults to break (see `http.faults.Connection`)."""

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        self._protocol = protocol

    async def drop(self) -> None:
        """Break it: with a reset, or, where some of an answer has been sent, with an early end."""
        transport, cycle = self._protocol.transport, self._protocol.cycle
        if cycle.response_started:
            transport.close()
        else:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            transport.abort()
        await self.hang()

    async def hang(self) -> None:
        """Wait until the caller is gone."""
        while (await self._protocol.cycle.receive())["type"] != "http.disconnect":
            pass


class ConnectionProtocol(BoundedProtocol):
    """uvicorn's protocol, with the connection in the scope."""

    def on_message_begin(self) -> None:
        """See `BoundedProtocol`."""
        super().on_message_begin()
        self.scope["falmock.line"] = Connection(self)  # type: ignore[typeddict-unknown-key]


class Server(uvicorn.Server):
    """uvicorn, set up for an emulator. Whoever runs it handles signals and opens and closes the emulator.

    Args:
        app: to serve.
        tls: what to speak TLS with; None for plain HTTP.
        limits: on what clients send.
    """

    def __init__(self, app: ASGIApp, tls: ssl.SSLContext | None = None, *, limits: Limits = DEFAULT) -> None:
        protocol: Any = partial(ConnectionProtocol, limits=limits)  # uvicorn wants a class, and only calls it
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,  # it would write queries, and with them tokens
                server_header=False,
                proxy_headers=False,  # see `http.guard.TrustedProxies`
                timeout_keep_alive=limits.idle_seconds,  # type: ignore[arg-type]  # any number will do
                timeout_graceful_shutdown=1,
                ssl_context_factory=(lambda *_: tls) if tls else None,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: uvicorn's own handling would cut the clean-up after it short."""
        yield

    @asynccontextmanager
    async def running(self, listener: socket.socket) -> AsyncIterator[None]:
        """Serve in the background for the length of a block."""
        task = asyncio.create_task(self.serve(sockets=[listener]))
        try:
            yield
        finally:
            self.should_exit = True
            await task
