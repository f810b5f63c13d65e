"""Runs programs within limits, and ends them when the server ends or is killed.

The event loop does not start them, because uvloop hangs when no file descriptor is left.
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
from typing import IO, TYPE_CHECKING, Any, Final

from falmock.system.descriptors import with_descriptors

if TYPE_CHECKING:
    from collections.abc import Mapping

SUPERVISOR: Final = str(Path(__file__).with_name("supervisor.py"))
GRACE: Final = 5.0  # real seconds that a program and its supervisor have to end
_CHUNK: Final = 65536
_PRIVATE: Final = ("FALMOCK_", "FAL_")  # variables with settings and keys


class TooMuchOutput(Exception):
    """A program wrote more than its limit."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A program that has ended.

    Attributes:
        code: the exit code as in a shell: 127 if it could not be started, 128 plus the signal's number if
            it was killed.
        stdout: the output, if it was captured.
        stderr: the error output, if it was captured; the reason if the program could not be started.
    """

    code: int
    stdout: bytes = b""
    stderr: bytes = b""


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a program: without settings of falmock and keys for fal."""
    return {name: value for name, value in variables.items() if not name.upper().startswith(_PRIVATE)}


def run_blocking(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    """Run a program without limits and capture both streams, for command-line tools."""
    return subprocess.run(  # noqa: S603 - the program comes from the settings
        command, stdin=subprocess.DEVNULL, capture_output=True, check=False, env=environment(os.environ)
    )


async def run(command: list[str], *, limit: int, timeout: float, capture: str, memory: int = 0) -> Completed:
    """Run a program under the supervisor, without standard input and without a terminal.

    Ctrl-C in the terminal does not reach it. After a cancellation or an error, it is killed together with
    its children.

    Args:
        command: the program and its arguments.
        limit: bytes that it may write to the captured stream.
        timeout: real seconds.
        capture: "stdout" or "stderr"; the other stream is discarded.
        memory: bytes that it may use; 0 for no limit.

    Raises:
        TimeoutError: it took too long.
        TooMuchOutput: it wrote more than the limit.
        OSError: no process could be started, even after waiting for a descriptor.
    """
    supervised = [sys.executable, "-I", "-S", SUPERVISOR, str(memory), *command]
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, capture: subprocess.PIPE}
    process = await with_descriptors(lambda: _start(supervised, streams))
    code, output = await _wait(process, capture, limit, timeout)
    return Completed(code, **{capture: output})


async def communicate(command: list[str], data: bytes, *, limit: int, timeout: float) -> Completed:
    """Run a program of falmock with some input, and return its output. Raises as `run` does.

    There is no supervisor: if the server is killed, the program runs until its own limits.
    """
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    process = await with_descriptors(lambda: _start(command, streams))
    code, output = await _wait(process, "stdout", limit, timeout, data=data)
    return Completed(code, stdout=output)


async def _start(command: list[str], streams: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start a program. There is no await in it, so it cannot be cancelled halfway."""
    return subprocess.Popen(  # noqa: ASYNC220, S603 - takes 1 ms; the program comes from the settings
        command,
        stdin=subprocess.PIPE,
        bufsize=0,
        env=environment(os.environ),
        start_new_session=True,
        **streams,
    )


async def _wait(
    process: subprocess.Popen[bytes], capture: str, limit: int, timeout: float, data: bytes | None = None
) -> tuple[int, bytes]:
    """Return the exit code and the output. On an error, end the program."""
    thread = ThreadPoolExecutor(max_workers=1)  # the event loop's threads are for short tasks
    stream: IO[bytes] = getattr(process, capture)
    work = asyncio.get_running_loop().run_in_executor(thread, _read_output, process, stream, limit, data)
    try:
        async with asyncio.timeout(timeout):
            return await asyncio.shield(work)
    finally:
        await _end(process, work, supervised=data is None)
        thread.shutdown(wait=False)


def _read_output(
    process: subprocess.Popen[bytes], stream: IO[bytes], limit: int, data: bytes | None
) -> tuple[int, bytes]:
    assert process.stdin is not None  # noqa: S101 - see `_start`
    if data is not None:
        with suppress(BrokenPipeError), process.stdin:
            unsent = memoryview(data)
            while unsent:
                unsent = unsent[process.stdin.write(unsent) :]
    output = bytearray()
    with stream:
        while chunk := stream.read(_CHUNK):
            output += chunk
            if len(output) > limit:
                raise TooMuchOutput(f"more than {limit} bytes")
    return process.wait(), bytes(output)


async def _end(process: subprocess.Popen[bytes], work: asyncio.Future[Any], *, supervised: bool) -> None:
    """Kill the program if it still runs, and wait until it has ended."""
    if supervised:
        assert process.stdin is not None  # noqa: S101 - see `_start`
        process.stdin.close()
        await asyncio.wait([work], timeout=GRACE)
        await asyncio.to_thread(_wait_briefly, process)
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.to_thread(process.wait)
    await asyncio.wait([work], timeout=GRACE)
    if work.done() and not work.cancelled():
        work.exception()  # mark it as retrieved


def _wait_briefly(process: subprocess.Popen[bytes]) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
