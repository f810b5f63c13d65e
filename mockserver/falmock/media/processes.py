"""Runs ffmpeg and other programs within limits, and ends them when the server ends or is killed.

The event loop does not start them, because uvloop hangs when no file descriptor is left. Their temporary
folders, and the threads that work in these, are here too.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from falmock.system.descriptors import with_descriptors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

SUPERVISOR: Final = str(Path(__file__).with_name("supervisor.py"))
GRACE: Final = 5.0  # real seconds that a program and its supervisor have to end
_CHUNK: Final = 65536
_PRIVATE: Final = ("FALMOCK_", "FAL_")  # variables with settings and keys
_PARTIAL: Final = ".partial"
_T = TypeVar("_T")


class RenderFailed(Exception):
    """A medium could not be made. The text is for the server's log."""


class FfmpegNotFound(ValueError):
    """No ffmpeg was found. The text is one sentence for the user."""


class TooMuchOutput(Exception):
    """A program wrote more than its limit."""


class Completed(NamedTuple):
    """A program that has ended."""

    code: int  # as in a shell: 127 if it could not be started, 128 plus the signal's number if it was killed
    output: bytes  # of the captured stream


def find_ffmpeg(configured: str | None = None) -> str:
    """Return the path of a program, given by its path or a name on PATH; by default that of imageio-ffmpeg.

    Raises:
        FfmpegNotFound: that is not a program.
    """
    if configured is None:
        import imageio_ffmpeg  # noqa: PLC0415 - not needed for another ffmpeg

        try:
            configured = imageio_ffmpeg.get_ffmpeg_exe()
        except RuntimeError as error:
            raise FfmpegNotFound("There is no ffmpeg: imageio-ffmpeg has none for this platform.") from error
    found = shutil.which(configured)
    if found is None:
        raise FfmpegNotFound(f"ffmpeg cannot be run: {configured!r} is not an executable program.")
    return found


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a program: without settings of falmock and keys for fal."""
    return {name: value for name, value in variables.items() if not name.upper().startswith(_PRIVATE)}


async def run(command: list[str], *, limit: int, timeout: float, capture: str, memory: int = 0) -> Completed:
    """Run a program under the supervisor, without standard input and without a terminal.

    Ctrl-C in the terminal does not reach it. After a cancellation or an error, it is killed together with
    its children.

    Args:
        limit: bytes that it may write to the captured stream.
        timeout: real seconds.
        capture: "stdout" or "stderr", which has the reason if the program could not be started; the other
            stream is discarded.
        memory: bytes that it may use; 0 for no limit.

    Raises:
        TimeoutError: it took too long.
        TooMuchOutput: it wrote more than the limit.
        OSError: no process could be started, even after waiting for a descriptor.
    """
    supervised = [sys.executable, "-I", "-S", SUPERVISOR, str(memory), *command]
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, capture: subprocess.PIPE}
    process = await with_descriptors(lambda: _start(supervised, streams))
    return await _wait(process, capture, limit, timeout)


async def communicate(command: list[str], data: bytes, *, limit: int, timeout: float) -> Completed:
    """Run a program of falmock with some input, and return its output. Raises as `run` does.

    There is no supervisor: if the server is killed, the program runs until its own limits.
    """
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    process = await with_descriptors(lambda: _start(command, streams))
    return await _wait(process, "stdout", limit, timeout, data=data)


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
) -> Completed:
    """Wait for the end of a program. On an error, end it."""
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
) -> Completed:
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
    return Completed(process.wait(), bytes(output))


async def _end(process: subprocess.Popen[bytes], work: asyncio.Future[Any], *, supervised: bool) -> None:
    """Kill the program if it still runs, and wait until it has ended."""
    if supervised:
        assert process.stdin is not None  # noqa: S101 - see `_start`
        process.stdin.close()
        await asyncio.wait([work], timeout=GRACE)
        with suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(process.wait, GRACE)
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.to_thread(process.wait)
    await asyncio.wait([work], timeout=GRACE)
    if work.done() and not work.cancelled():
        work.exception()  # mark it as retrieved


@asynccontextmanager
async def scratch(parent: Path) -> AsyncIterator[Path]:
    """Create a temporary folder for the length of a block, and remove it with its contents."""
    folder = Path(tempfile.mkdtemp(prefix=".", suffix=_PARTIAL, dir=parent))
    try:
        yield folder
    finally:
        await in_thread(shutil.rmtree, folder)


def remove_leftovers(parent: Path) -> None:
    """Remove the temporary folders that a process which was killed left behind."""
    for left_over in parent.glob(f".*{_PARTIAL}"):
        shutil.rmtree(left_over)


async def in_thread(work: Callable[..., _T], *arguments: Any) -> _T:
    """Call a function in a thread; if no file descriptor is left, wait and call it again.

    Waits for the thread even when cancelled: it cannot be stopped, and its files are about to be removed.
    """

    async def call() -> _T:
        future = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise

    return await with_descriptors(call)
