"""Starts programs with limits, and ends them when the server ends or is killed.

It does not use the event loop to start them: uvloop hangs when no descriptor is left.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from falmock.media.environment import environment
from falmock.system.descriptors import with_descriptors

SUPERVISOR: Final = str(Path(__file__).with_name("supervisor.py"))
GRACE: Final = 5.0  # real seconds that a program and its supervisor have to end
_CHUNK: Final = 65536


class TooMuch(Exception):
    """A program wrote more than it may."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended.

    Attributes:
        code: the exit code as in a shell: 127 if it could not be started, 128 plus the number of the signal
            if it was killed.
        stdout: the output, if that stream was kept.
        stderr: the errors, if that stream was kept; the reason if it could not be started.
    """

    code: int
    stdout: bytes = b""
    stderr: bytes = b""


async def run(command: list[str], *, limit: int, timeout: float, keep: str) -> Ended:
    """Run a program under the supervisor, without standard input and without a terminal.

    Ctrl-C in the terminal does not reach it. On a cancellation or an error the program is killed, together
    with the programs that it has started.

    Args:
        command: the program and its arguments.
        limit: bytes that it may write to the kept stream.
        timeout: real seconds that it may take.
        keep: the stream to keep, "stdout" or "stderr"; the other one is discarded.

    Raises:
        TimeoutError: it took too long.
        TooMuch: it wrote too much.
        OSError: no process could be started, even after waiting for a descriptor.
    """
    supervised = [sys.executable, "-I", "-S", SUPERVISOR, *command]
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, keep: subprocess.PIPE}
    process = await with_descriptors(lambda: _start(supervised, streams))
    code, kept = await _finished(process, keep, limit, timeout)
    return Ended(code, **{keep: kept})


async def exchange(command: list[str], data: bytes, *, limit: int, timeout: float) -> Ended:
    """Write to the standard input of a falmock program, then return its output.

    There is no supervisor: if the server is killed, the program runs until its own limits. Raises as `run`
    does.
    """
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    process = await with_descriptors(lambda: _start(command, streams))
    code, kept = await _finished(process, "stdout", limit, timeout, data=data)
    return Ended(code, stdout=kept)


async def _start(command: list[str], streams: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start a program. It does not await, so it cannot be cancelled halfway."""
    return subprocess.Popen(  # noqa: ASYNC220, S603 - takes 1 ms; the program comes from the settings
        command,
        stdin=subprocess.PIPE,
        bufsize=0,
        env=environment(os.environ),
        start_new_session=True,
        **streams,
    )


async def _finished(
    process: subprocess.Popen[bytes], keep: str, limit: int, timeout: float, data: bytes | None = None
) -> tuple[int, bytes]:
    """Return the exit code and the output. On an error, end the program."""
    thread = ThreadPoolExecutor(max_workers=1)  # the event loop's threads are for short work
    stream: IO[bytes] = getattr(process, keep)
    work = asyncio.get_running_loop().run_in_executor(thread, _follow, process, stream, limit, data)
    try:
        async with asyncio.timeout(timeout):
            return await asyncio.shield(work)
    finally:
        await _end(process, work, supervised=data is None)
        thread.shutdown(wait=False)


def _follow(
    process: subprocess.Popen[bytes], stream: IO[bytes], limit: int, data: bytes | None
) -> tuple[int, bytes]:
    assert process.stdin is not None  # noqa: S101 - see `_start`
    if data is not None:
        with suppress(BrokenPipeError), process.stdin:
            rest = memoryview(data)
            while rest:
                rest = rest[process.stdin.write(rest) :]
    kept = bytearray()
    with stream:
        while chunk := stream.read(_CHUNK):
            kept += chunk
            if len(kept) > limit:
                raise TooMuch(f"more than {limit} bytes")
    return process.wait(), bytes(kept)


async def _end(process: subprocess.Popen[bytes], work: asyncio.Future[Any], *, supervised: bool) -> None:
    """End the program, and wait until it has ended."""
    if supervised:
        assert process.stdin is not None  # noqa: S101 - see `_start`
        process.stdin.close()
        await asyncio.wait([work], timeout=GRACE)
        await asyncio.to_thread(_wait, process)
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.to_thread(process.wait)
    await asyncio.wait([work], timeout=GRACE)
    if work.done() and not work.cancelled():
        work.exception()  # mark it as retrieved


def _wait(process: subprocess.Popen[bytes]) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
