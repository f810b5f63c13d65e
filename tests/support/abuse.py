"""Clients that break off, and a count of what they leave behind."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import ssl

PATIENCE = 60  # seconds to wait for descriptors to be closed
RESET = struct.pack("ii", 1, 0)


async def abuse(port: int, text: bytes, how: str, tls: ssl.SSLContext | None = None) -> None:
    """Send a text to a port, then close, reset or half-close the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    writer.write(text)
    with suppress(OSError):
        await writer.drain()
        if text.startswith(b"CONNECT") and b":1 " not in text:
            await reader.readuntil(b"\r\n\r\n")
    if how == "reset":
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    if how == "half-close":
        with suppress(OSError):
            writer.write_eof()
            await reader.read()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


class Watch:
    """Counts the descriptors and tasks of this process."""

    def __init__(self) -> None:
        self._tasks = asyncio.all_tasks()
        self._process = psutil.Process()
        self._descriptors = self._process.num_fds()

    async def settled(self) -> None:
        """Wait until the counts are back to those at the start.

        Raises:
            TimeoutError: they do not come back.
        """
        async with asyncio.timeout(PATIENCE):
            while new := asyncio.all_tasks() - self._tasks:
                await asyncio.wait(new)
            while self._process.num_fds() > self._descriptors:  # noqa: ASYNC110 - closing is not announced
                await asyncio.sleep(0)  # runs the event loop
