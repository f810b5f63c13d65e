"""Connections of the proxy, and the copying of bytes between two of them, with a limit on each wait."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import h11

from falmock.protocol.addresses import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK: Final = 64 * 1024
CLOSE_SECONDS: Final = 5.0  # for the peer to read the last bytes


@dataclass(frozen=True, slots=True)
class Peer:
    """One end of a connection: a client of the proxy, or the server that it calls."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    http: h11.Connection

    @property
    def is_local(self) -> bool:
        address = self.writer.get_extra_info("peername")  # None if it has left already
        return address is not None and is_loopback(address[0])

    async def receive(self) -> h11.Event | type:
        while (event := self.http.next_event()) is h11.NEED_DATA:
            self.http.receive_data(await self.reader.read(CHUNK))
        return event

    def send(self, event: h11.Event) -> None:
        """Send an event, without waiting."""
        self.write(self.http.send(event) or b"")

    def write(self, data: bytes) -> None:
        """Write bytes, or raise an OSError if the connection is closed: uvloop would raise a RuntimeError."""
        if self.writer.transport.is_closing():
            raise ConnectionResetError("the connection is closed")
        self.writer.write(data)

    def end(self) -> None:
        with suppress(OSError, RuntimeError):
            if self.writer.can_write_eof():
                self.writer.write_eof()

    async def shutdown(self) -> None:
        """Close the sending side, then discard input for a while: a reset would destroy the answer."""
        self.end()
        with suppress(OSError):
            async with asyncio.timeout(CLOSE_SECONDS):
                while await self.reader.read(CHUNK):
                    pass

    async def close(self) -> None:
        """Close the connection. Abort it if the peer does not read the rest in time."""
        self.writer.close()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.writer.wait_closed()
        except (OSError, TimeoutError):
            self.writer.transport.abort()


async def join(client: Peer, server: Peer, *, silence: float) -> None:
    """Copy bytes both ways until both sides have ended.

    Raises:
        TimeoutError: no byte was received from either side for so many seconds.
        OSError: a connection broke.
    """
    loop = asyncio.get_running_loop()

    def received() -> None:
        limit.reschedule(loop.time() + silence)

    async with asyncio.timeout(silence) as limit:
        copies = [
            asyncio.create_task(_copy(client, server, received, forgiving=True)),
            asyncio.create_task(_copy(server, client, received)),
        ]
        try:
            await asyncio.gather(*copies)
        finally:
            for copy in copies:
                copy.cancel()
            await asyncio.gather(*copies, return_exceptions=True)


async def carry(source: Peer, sink: Peer, *, stall: float) -> None:
    """Copy bytes one way, to the end.

    Raises:
        TimeoutError: the receiver reads nothing for so many seconds. The sender may pause.
        OSError: a connection broke.
    """
    while data := await source.reader.read(CHUNK):
        sink.write(data)
        async with asyncio.timeout(stall):
            await sink.writer.drain()
    sink.end()


async def _copy(source: Peer, sink: Peer, received: Callable[[], None], *, forgiving: bool = False) -> None:
    while data := await source.reader.read(CHUNK):
        received()
        try:
            sink.write(data)
            await sink.writer.drain()
        except OSError:
            if forgiving:  # its answer may still be in transit
                return
            raise
    sink.end()
