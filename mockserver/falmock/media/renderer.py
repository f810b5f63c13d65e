"""Renders clips with ffmpeg: off the event loop, a bounded number at once, each clip once."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import imageio_ffmpeg

from falmock.media import drawing, graph, mp4, processes
from falmock.system import private
from falmock.system.descriptors import with_descriptors, with_spare

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Coroutine

    from falmock.media.clip import Clip

log = logging.getLogger("falmock.media")

_TAIL: Final = 2000  # bytes of ffmpeg's complaint that are worth keeping
_MAX_COMPLAINT: Final = 1024 * 1024  # bytes; an ffmpeg that writes more is ended
_MAX_VERSION: Final = 64 * 1024  # bytes that `ffmpeg -version` may write
_VERSION_SECONDS: Final = 10.0  # real ones that it may take
_PARTIAL: Final = ".partial"
_T = TypeVar("_T")


_CLOSED: Final = "The studio is closed."


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


class Renderer:
    """Renders videos and caches them. Each video is checked before it is returned.

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
        self._tasks: set[asyncio.Task[Any]] = set()
        self._version: asyncio.Task[str] | None = None
        self._checked: set[str] = set()  # keys of cached videos that have been looked at
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
        if await self._is_cached(key, clip, video):
            return video
        if self._closed:
            raise RenderFailed(_CLOSED)
        order = self._orders.get(key) or self._take(key, clip, video)
        order.waiting += 1
        try:
            await asyncio.wait([order.task])
        finally:
            order.waiting -= 1
            if not order.waiting and not order.task.done():
                await self._abandon(key)
        if order.task.cancelled():
            raise RenderFailed(_CLOSED)
        return order.task.result()

    async def close(self) -> None:
        """End what is being rendered and remove its files. From then on nothing is rendered."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            if not task.cancelling():  # a second cancellation would interrupt the cleaning up
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _is_cached(self, key: str, clip: Clip, video: Path) -> bool:
        """Return whether the cache has a complete video of the clip."""
        if not video.exists():  # noqa: ASYNC240 - quicker than a thread
            return False
        if key not in self._checked:
            try:
                await _check(video, clip)
            except (mp4.BrokenVideo, FileNotFoundError) as error:
                log.warning("a cached video is damaged and is rendered again: %s", error)
                return False
            self._checked.add(key)
        return True

    def _track(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """Run something that `close` ends."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _take(self, key: str, clip: Clip, video: Path) -> _Order:
        task = self._track(self._make(clip, video))
        order = self._orders[key] = _Order(task)

        def finished(task: asyncio.Task[Path]) -> None:
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
                async with _scratch(self._cache) as folder:
                    unchecked = folder / "video.mp4"
                    await self._fill(clip, unchecked)
                    await _check(unchecked, clip)
                    unchecked.replace(video)
            except mp4.BrokenVideo as error:
                raise RenderFailed(f"ffmpeg made no usable video: {error}") from error
            except OSError as error:
                raise RenderFailed(f"Cannot render: {error}") from error
        return video

    async def _fill(self, clip: Clip, video: Path) -> None:
        still, caption = video.with_name("still.ppm"), video.with_name("caption.png")
        for file in (still, caption, video):  # a file that exists keeps its mode, whatever the umask
            with_spare(partial(private.create, file)).close()
        await with_descriptors(lambda: _to_its_end(asyncio.to_thread(_draw, clip, still, caption)))
        await self._run(graph.command(self._ffmpeg, clip, still=still, caption=caption, video=video))
        _restrict(video)

    async def _run(self, command: list[str]) -> None:
        try:
            ended = await processes.run(command, limit=_MAX_COMPLAINT, timeout=self._timeout, keep="stderr")
        except TimeoutError:
            raise RenderFailed(f"ffmpeg took longer than {self._timeout:g} s.") from None
        except processes.TooMuch as error:
            raise RenderFailed(f"ffmpeg says too much: {error}") from None
        if ended.code:
            tail = ended.stderr[-_TAIL:].decode(errors="replace").strip()
            raise RenderFailed(f"ffmpeg ended with code {ended.code}: {tail}")

    async def _ffmpeg_version(self) -> str:
        if self._version is None:
            if self._closed:
                raise RenderFailed(_CLOSED)
            self._version = self._track(_version(self._ffmpeg, min(self._timeout, _VERSION_SECONDS)))
        task = self._version
        await asyncio.wait([task])
        if task.cancelled():
            raise RenderFailed(_CLOSED)
        if task.exception() is not None and self._version is task:
            self._version = None  # asked again for the next clip
        return task.result()


def _restrict(video: Path) -> None:
    video.chmod(private.FILE)  # a wrapper script may have put a new file in its place


async def _version(program: str, timeout: float) -> str:
    try:
        ended = await processes.run([program, "-version"], limit=_MAX_VERSION, timeout=timeout, keep="stdout")
    except TimeoutError:
        raise RenderFailed(f"ffmpeg does not tell its version within {timeout:g} s.") from None
    except (OSError, processes.TooMuch) as error:
        raise RenderFailed(f"ffmpeg does not tell its version: {error}") from error
    if ended.code:
        raise RenderFailed(f"ffmpeg does not tell its version: it ended with code {ended.code}.")
    return ended.stdout.decode(errors="replace").partition("\n")[0]


async def _check(video: Path, clip: Clip) -> None:
    """Check that a file is the whole video of a clip. Raises as `mp4.check` does."""
    shape = mp4.Shape(clip.width, clip.height, clip.frames)
    await with_descriptors(lambda: _to_its_end(asyncio.to_thread(mp4.check, video, shape)))


@asynccontextmanager
async def _scratch(parent: Path) -> AsyncIterator[Path]:
    """Make a folder, and remove it with all that is in it."""
    folder = Path(tempfile.mkdtemp(prefix=".", suffix=_PARTIAL, dir=parent))
    try:
        yield folder
    finally:
        await with_descriptors(lambda: _to_its_end(asyncio.to_thread(shutil.rmtree, folder)))


def _draw(clip: Clip, still: Path, caption: Path) -> None:
    drawing.still(clip).save(still)
    if clip.style == "animate":
        drawing.caption(clip).save(caption, compress_level=1)


async def _to_its_end(thread: Awaitable[_T]) -> _T:
    """Wait for a thread, even when cancelled: it cannot be stopped, and its files are about to be removed."""
    future = asyncio.ensure_future(thread)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise
