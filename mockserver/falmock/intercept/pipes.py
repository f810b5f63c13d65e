"""Copying of bytes between two connections of the proxy, with a limit on each wait."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK: Final = 64 * 1024
CLOSE_SECONDS: Final = 5.0  # for the peer to read the last bytes


async def join(
    reader: asyncio.StreamReader,
    far_writer: asyncio.StreamWriter,
    far_reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    silence: float,
) -> None:
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
            asyncio.create_task(_copy(reader, far_writer, received, forgiving=True)),
            asyncio.create_task(_copy(far_reader, writer, received)),
        ]
        try:
            await asyncio.gather(*copies)
        finally:
            for copy in copies:
                copy.cancel()
            await asyncio.gather(*copies, return_exceptions=True)


def send(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Write bytes, or raise an OSError if the connection is closed: uvloop would raise a RuntimeError."""
    if writer.transport.is_closing():
        raise ConnectionResetError("the connection is closed")
    writer.write(data)


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, stall: float) -> None:
    """Copy bytes one way, to the end.

    Raises:
        TimeoutError: the receiver reads nothing for so many seconds. The sender may pause.
        OSError: a connection broke.
    """
    while data := await reader.read(CHUNK):
        send(writer, data)
        async with asyncio.timeout(stall):
            await writer.drain()
    _end(writer)


async def _copy(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    received: Callable[[], None],
    *,
    forgiving: bool = False,
) -> None:
    while data := await reader.read(CHUNK):
        received()
        try:
            send(writer, data)
            await writer.drain()
        except OSError:
            if forgiving:  # its answer may still be in transit
                return
            raise
    _end(writer)


def _end(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, RuntimeError):
        if writer.can_write_eof():
            writer.write_eof()


async def shutdown(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close the sending side, then discard input for a while: a reset would destroy the answer."""
    _end(writer)
    with suppress(OSError):
        async with asyncio.timeout(CLOSE_SECONDS):
            while await reader.read(CHUNK):
                pass


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a connection. Abort it if the peer does not read the rest in time."""
    writer.close()
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        writer.transport.abort()
