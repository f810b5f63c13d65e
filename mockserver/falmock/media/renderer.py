"""Renders clips with ffmpeg and caches them. The number of concurrent renders is limited."""

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
import PIL

from falmock.media import drawing, graph, mp4, processes, specifications
from falmock.system import private
from falmock.system.descriptors import with_descriptors, with_spare

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Coroutine

    from falmock.media.specifications import Clip

log = logging.getLogger("falmock.media")

_TAIL: Final = 2000  # last bytes of ffmpeg's error output, for the log
_MAX_ERRORS: Final = 1024 * 1024  # bytes of error output; an ffmpeg that writes more is killed
_MAX_VERSION: Final = 64 * 1024  # bytes of output of `ffmpeg -version`
_VERSION_SECONDS: Final = 10.0  # real seconds for `ffmpeg -version`
_PARTIAL: Final = ".partial"
_CLOSED: Final = "The renderer is closed."
_T = TypeVar("_T")


class RenderFailed(Exception):
    """A clip could not be rendered. The text is for the server's log."""


class FfmpegNotFound(ValueError):
    """No ffmpeg was found. The text is one sentence for the user."""


def find_ffmpeg(configured: str | None = None) -> str:
    """Return the path of the ffmpeg to run.

    Args:
        configured: a path or a name on PATH; by default the program of imageio-ffmpeg.

    Raises:
        FfmpegNotFound: that is not a program.
    """
    if configured is None:
        try:
            configured = imageio_ffmpeg.get_ffmpeg_exe()
        except RuntimeError as error:
            raise FfmpegNotFound("There is no ffmpeg: imageio-ffmpeg has none for this platform.") from error
    found = shutil.which(configured)
    if found is None:
        raise FfmpegNotFound(f"ffmpeg cannot be run: {configured!r} is not an executable program.")
    return found


@dataclass(slots=True)
class _Render:
    """A clip that is being rendered, and the number of callers that wait for it."""

    task: asyncio.Task[Path]
    waiting: int = 0


class Renderer:
    """Renders and caches videos, and checks each before it is returned.

    Args:
        ffmpeg: the program, see `find_ffmpeg`.
        cache: folder for the videos, created if missing. It must not be shared with another renderer:
            unfinished videos in it are removed.
        at_once: maximum number of clips that are rendered at the same time.
        timeout: real seconds that ffmpeg may take for a clip.
    """

    def __init__(self, *, ffmpeg: str, cache: Path, at_once: int, timeout: float) -> None:
        self._ffmpeg = ffmpeg
        self._cache = cache.absolute()
        self._timeout = timeout
        self._slots = asyncio.Semaphore(at_once)
        self._renders: dict[str, _Render] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._version: asyncio.Task[str] | None = None
        self._checked: set[str] = set()  # keys of cached videos that are complete
        self._closed = False
        private.folder(self._cache)
        for left_over in self._cache.glob(f".*{_PARTIAL}"):
            shutil.rmtree(left_over)

    async def render(self, clip: Clip) -> Path:
        """Return the path of the clip's mp4 in the cache, after rendering it if necessary.

        Concurrent calls for the same clip share one ffmpeg, which is killed when all are cancelled.

        Raises:
            RenderFailed: ffmpeg failed or took too long, or the renderer is closed.
        """
        key = specifications.key(clip, (await self._ffmpeg_version(), PIL.__version__))
        video = self._cache / f"{key}.mp4"
        if await self._is_cached(key, clip, video):
            return video
        if self._closed:
            raise RenderFailed(_CLOSED)
        render = self._renders.get(key) or self._start(key, clip, video)
        render.waiting += 1
        try:
            await asyncio.wait([render.task])
        finally:
            render.waiting -= 1
            if not render.waiting and not render.task.done():
                await self._cancel(key)
        if render.task.cancelled():
            raise RenderFailed(_CLOSED)
        return render.task.result()

    async def close(self) -> None:
        """Cancel all renders and remove their files. Later calls of `render` fail."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            if not task.cancelling():  # a second cancellation would interrupt the cleanup
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
        """Start a task that `close` cancels."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _start(self, key: str, clip: Clip, video: Path) -> _Render:
        task = self._track(self._make(clip, video))
        render = self._renders[key] = _Render(task)

        def finished(task: asyncio.Task[Path]) -> None:
            if self._renders.get(key) is render:
                del self._renders[key]
            if not task.cancelled():
                task.exception()  # mark it as retrieved, in case all callers were cancelled

        task.add_done_callback(finished)
        return render

    async def _cancel(self, key: str) -> None:
        task = self._renders.pop(key).task
        task.cancel()
        await asyncio.wait([task])

    async def _make(self, clip: Clip, video: Path) -> Path:
        async with self._slots:
            try:
                async with _scratch(self._cache) as folder:
                    unchecked = folder / "video.mp4"
                    await self._write(clip, unchecked)
                    await _check(unchecked, clip)
                    unchecked.replace(video)
            except mp4.BrokenVideo as error:
                raise RenderFailed(f"ffmpeg made an unusable video: {error}") from error
            except OSError as error:
                raise RenderFailed(f"Cannot render: {error}") from error
        return video

    async def _write(self, clip: Clip, video: Path) -> None:
        still, caption = video.with_name("still.ppm"), video.with_name("caption.png")
        for file in (still, caption, video):  # created here for their mode, whatever the umask
            with_spare(partial(private.create, file)).close()
        await with_descriptors(lambda: _uncancelled(asyncio.to_thread(_draw, clip, still, caption)))
        await self._run(graph.command(self._ffmpeg, clip, still=still, caption=caption, video=video))
        _restrict(video)

    async def _run(self, command: list[str]) -> None:
        try:
            done = await processes.run(command, limit=_MAX_ERRORS, timeout=self._timeout, capture="stderr")
        except TimeoutError:
            raise RenderFailed(f"ffmpeg took longer than {self._timeout:g} s.") from None
        except processes.TooMuchOutput as error:
            raise RenderFailed(f"ffmpeg wrote too many errors: {error}") from None
        if done.code:
            tail = done.stderr[-_TAIL:].decode(errors="replace").strip()
            raise RenderFailed(f"ffmpeg ended with code {done.code}: {tail}")

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
            self._version = None  # try again for the next clip
        return task.result()


def _restrict(video: Path) -> None:
    video.chmod(private.FILE)  # a wrapper script may have replaced the file


async def _version(program: str, timeout: float) -> str:
    try:
        done = await processes.run(
            [program, "-version"], limit=_MAX_VERSION, timeout=timeout, capture="stdout"
        )
    except TimeoutError:
        raise RenderFailed(f"ffmpeg does not report its version within {timeout:g} s.") from None
    except (OSError, processes.TooMuchOutput) as error:
        raise RenderFailed(f"ffmpeg does not report its version: {error}") from error
    if done.code:
        raise RenderFailed(f"ffmpeg does not report its version: it ended with code {done.code}.")
    return done.stdout.decode(errors="replace").partition("\n")[0]


async def _check(video: Path, clip: Clip) -> None:
    """Check that a file is a complete video of a clip. Raises as `mp4.check` does."""
    shape = mp4.Shape(clip.width, clip.height, clip.frames)
    await with_descriptors(lambda: _uncancelled(asyncio.to_thread(mp4.check, video, shape)))


@asynccontextmanager
async def _scratch(parent: Path) -> AsyncIterator[Path]:
    """Create a folder for the length of a block, and remove it with its contents."""
    folder = Path(tempfile.mkdtemp(prefix=".", suffix=_PARTIAL, dir=parent))
    try:
        yield folder
    finally:
        await with_descriptors(lambda: _uncancelled(asyncio.to_thread(shutil.rmtree, folder)))


def _draw(clip: Clip, still: Path, caption: Path) -> None:
    drawing.still(clip).save(still)
    if clip.style == "animate":
        drawing.caption(clip).save(caption, compress_level=1)


async def _uncancelled(thread: Awaitable[_T]) -> _T:
    """Wait for a thread even when cancelled: it cannot be stopped, and its files are about to be removed."""
    future = asyncio.ensure_future(thread)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise
