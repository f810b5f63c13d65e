"""Renders clips with ffmpeg: off the event loop, a bounded number at once, each clip once."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import imageio_ffmpeg

from falmock import private
from falmock.media import drawing, graph
from falmock.media.environment import environment

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Awaitable
    from pathlib import Path

    from falmock.media.clip import Clip

_TAIL: Final = 2000  # bytes of ffmpeg's complaint that are worth keeping
_PARTIAL: Final = ".partial"


class RenderFailed(Exception):
    """A clip could not be rendered; the text is for the server's log."""


class FfmpegNotFound(ValueError):
    """There is no ffmpeg to run; the text is one sentence for the person who starts the server."""


def find_ffmpeg(configured: str | None = None) -> str:
    """Return the path of the ffmpeg to run.

    Args:
        configured: a path or a name on PATH; without it the program that imageio-ffmpeg brings.

    Raises:
        FfmpegNotFound: when that is no program.
    """
    if configured is None:
        try:
            configured = imageio_ffmpeg.get_ffmpeg_exe()
        except RuntimeError as error:
            raise FfmpegNotFound(
                "There is no ffmpeg: imageio-ffmpeg brings none for this platform."
            ) from error
    found = shutil.which(configured)
    if found is None:
        raise FfmpegNotFound(f"ffmpeg cannot be run: {configured!r} is not an executable program.")
    return found


@dataclass(slots=True)
class _Order:
    """A clip in the making, and how many wait for it."""

    task: asyncio.Task[Path]
    waiting: int = 0


class Studio:
    """Makes videos, and keeps them.

    Args:
        ffmpeg: the program, see `find_ffmpeg`.
        cache: folder of the finished videos, made if need be. It belongs to one studio at a time: what an
            earlier one left unfinished there is removed.
        at_once: how many clips are rendered at the same time at most.
        timeout: seconds of real time that ffmpeg may take for one clip.
    """

    def __init__(self, *, ffmpeg: str, cache: Path, at_once: int, timeout: float) -> None:
        self._ffmpeg = ffmpeg
        self._cache = cache.absolute()
        self._timeout = timeout
        self._slots = asyncio.Semaphore(at_once)
        self._orders: dict[str, _Order] = {}
        self._tasks: set[asyncio.Task[Path]] = set()
        self._version: str | None = None
        self._asking_version = asyncio.Lock()
        self._closed = False
        private.folder(self._cache)
        for left_over in self._cache.glob(f".*{_PARTIAL}"):
            shutil.rmtree(left_over)

    async def render(self, clip: Clip) -> Path:
        """Return the path of the clip's mp4 in the cache, rendered if it is not there yet.

        Whoever asks for a clip in the making waits for the same one; when nobody waits any more, its
        ffmpeg is ended.

        Raises:
            RenderFailed: ffmpeg failed, took too long, or the studio is closed.
        """
        key = clip.key(await self._ffmpeg_version())
        video = self._cache / f"{key}.mp4"
        if video.exists():
            return video
        if self._closed:
            raise RenderFailed("The studio is closed.")
        order = self._orders.get(key) or self._take(key, clip, video)
        order.waiting += 1
        try:
            await asyncio.wait([order.task])
        finally:
            order.waiting -= 1
            if not order.waiting and not order.task.done():
                await self._abandon(key)
        if order.task.cancelled():
            raise RenderFailed("The studio is closed.")
        return order.task.result()

    async def close(self) -> None:
        """End what is being rendered and remove its files. From then on nothing is rendered."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            if not task.cancelling():  # a second cancellation would interrupt the cleaning up
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _take(self, key: str, clip: Clip, video: Path) -> _Order:
        task = asyncio.create_task(self._make(clip, video))
        self._tasks.add(task)
        order = self._orders[key] = _Order(task)

        def finished(task: asyncio.Task[Path]) -> None:
            self._tasks.discard(task)
            if self._orders.get(key) is order:
                del self._orders[key]
            if not task.cancelled():
                task.exception()  # seen, even if those who would have raised it have gone

        task.add_done_callback(finished)
        return order

    async def _abandon(self, key: str) -> None:
        task = self._orders.pop(key).task
        task.cancel()
        await asyncio.wait([task])

    async def _make(self, clip: Clip, video: Path) -> Path:
        async with self._slots:
            try:
                with TemporaryDirectory(prefix=".", suffix=_PARTIAL, dir=self._cache) as folder:
                    partial = self._cache / folder / "video.mp4"
                    await self._fill(clip, partial)
                    partial.replace(video)
            except OSError as error:
                raise RenderFailed(f"Cannot render: {error}") from error
        return video

    async def _fill(self, clip: Clip, video: Path) -> None:
        still, caption = video.with_name("still.ppm"), video.with_name("caption.png")
        for file in (still, caption, video):  # whoever writes them keeps the mode
            private.create(file).close()
        await _to_its_end(asyncio.to_thread(_draw, clip, still, caption))
        await self._run(graph.command(self._ffmpeg, clip, still=still, caption=caption, video=video), video)
        _take_over(video)

    async def _run(self, command: list[str], video: Path) -> None:
        complaint = video.with_name("complaint.txt")
        with private.create(complaint) as stderr:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env=environment(os.environ),
                start_new_session=True,  # Ctrl-C is for the server; a wrapper script ends with its child
            )
        try:
            async with asyncio.timeout(self._timeout):
                code = await process.wait()
        except TimeoutError:
            raise RenderFailed(f"ffmpeg took longer than {self._timeout:g} s.") from None
        finally:
            await _end(process)
        if code:
            tail = complaint.read_bytes()[-_TAIL:].decode(errors="replace").strip()
            raise RenderFailed(f"ffmpeg ended with code {code}: {tail}")

    async def _ffmpeg_version(self) -> str:
        async with self._asking_version:
            if self._version is None:
                self._version = await asyncio.to_thread(_version, self._ffmpeg, self._timeout)
        return self._version


def _version(program: str, timeout: float) -> str:
    try:
        answer = subprocess.run(  # noqa: S603 - the program that the settings name
            [program, "-version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment(os.environ),
            timeout=timeout,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise RenderFailed(f"ffmpeg does not tell its version: {error}") from error
    return answer.stdout.decode(errors="replace").partition("\n")[0]


def _take_over(video: Path) -> None:
    if not video.stat().st_size:
        raise RenderFailed("ffmpeg wrote no video.")
    video.chmod(private.FILE)  # a wrapper may have put a new file in the place of ours


def _draw(clip: Clip, still: Path, caption: Path) -> None:
    drawing.still(clip).save(still)
    if clip.style == "animate":
        drawing.caption(clip).save(caption, compress_level=1)


async def _to_its_end(thread: Awaitable[None]) -> None:
    """Wait for a thread, even when cancelled: it cannot be stopped, and its files are about to be removed."""
    future = asyncio.ensure_future(thread)
    try:
        await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise


async def _end(process: Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
