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
    from collections.abc import AsyncIterator, Awaitable, Callable

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
    supervised = [sys.executable, "-I", "-S", SUPERVISOR, *command]
    process = await with_descriptors(lambda: _start(supervised, _end, stdout=stdout, stderr=stderr))
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


async def exchange(command: list[str], data: bytes, *, limit: int) -> tuple[int, bytes]:
    """Write to the standard input of a program of falmock's own, and return its exit code and its output.

    Nothing but its own limits ends it when the server is killed.

    Raises:
        TooMuch: it writes more than `limit` bytes.
        OSError: as in `running`.
    """
    process = await with_descriptors(
        lambda: _start(command, _kill, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    )
    try:
        assert process.stdin is not None  # noqa: S101 - see `_start`
        process.stdin.write(data)
        process.stdin.close()
        answer = await read(process.stdout, limit=limit)
        return await process.wait(), answer
    finally:
        await _kill(process)


async def _start(
    command: list[str], end: Callable[[Process], Awaitable[None]], *, stdout: int, stderr: int
) -> Process:
    """Start a program, also when cancelled meanwhile: uvloop forgets a process that is half started."""
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *command, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr, start_new_session=True
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait([starting])
        if starting.exception() is None:
            await end(starting.result())
        raise


async def _kill(process: Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
    await process.wait()
    await _drain(process)


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
    await _drain(process)


async def _drain(process: Process) -> None:
    """Read what was never read: only at its end does the event loop close a pipe."""
    with suppress(TimeoutError):
        async with asyncio.timeout(GRACE):
            for stream in (process.stdout, process.stderr):
                while stream is not None and await stream.read(_CHUNK):
                    pass
