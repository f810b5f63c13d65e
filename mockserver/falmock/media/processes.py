"""The one place that starts programs: bounded, and gone when the server is, however that ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from falmock.descriptors import with_descriptors

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

SUPERVISOR: Final = str(Path(__file__).with_name("supervisor.py"))
GRACE: Final = 5.0  # real seconds that the supervisor has to kill a program
_CHUNK: Final = 65536


class TooMuch(Exception):
    """A program wrote more than it may."""


@asynccontextmanager
async def running(
    command: list[str], *, stdout: int = subprocess.DEVNULL, stderr: int = subprocess.DEVNULL
) -> AsyncIterator[Process]:
    """Run a program for the length of a block; what of it still runs then is killed.

    It has no standard input, and no terminal: Ctrl-C is for the server alone. A program that cannot be
    started exits with `supervisor.NOT_STARTED` and says why on standard error.

    Raises:
        OSError: no process could be started, after some waiting if there was no descriptor for it.
    """
    process = await with_descriptors(lambda: _start(command, stdout, stderr))
    try:
        yield process
    finally:
        await _end(process)


async def read(stream: asyncio.StreamReader | None, *, limit: int) -> bytes:
    """Return all that a program writes to a pipe.

    Raises:
        TooMuch: that is more than `limit` bytes.
    """
    assert stream is not None  # noqa: S101 - callers ask for a pipe
    data = bytearray()
    while chunk := await stream.read(_CHUNK):
        data += chunk
        if len(data) > limit:
            raise TooMuch(f"more than {limit} bytes")
    return bytes(data)


async def _start(command: list[str], stdout: int, stderr: int) -> Process:
    """Start the supervisor, also when cancelled meanwhile: uvloop forgets a process that is half started."""
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", SUPERVISOR, *command),
            stdin=subprocess.PIPE,  # the supervisor's, never written to
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait([starting])
        if starting.exception() is None:
            await _end(starting.result())
        raise


async def _end(process: Process) -> None:
    assert process.stdin is not None  # noqa: S101 - see `running`
    process.stdin.close()
    try:
        async with asyncio.timeout(GRACE):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    with suppress(TimeoutError):
        async with asyncio.timeout(GRACE):
            await _drain(process)


async def _drain(process: Process) -> None:
    """Read what was never read: only at its end does the event loop close a pipe."""
    for stream in (process.stdout, process.stderr):
        while stream is not None and await stream.read(_CHUNK):
            pass
