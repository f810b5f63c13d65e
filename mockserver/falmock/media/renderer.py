"""Makes media, those with ffmpeg under its supervisor, and keeps them in a cache of limited size."""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections import Counter, OrderedDict
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import PIL

from falmock.media import checks, drawing, graph, objects, processes, specifications
from falmock.media.checks import BrokenFile
from falmock.media.fonts import installed
from falmock.media.processes import RenderFailed, in_thread, remove_leftovers, scratch
from falmock.media.specifications import Clip, Document, Mesh, Sound, Still, Weights
from falmock.system import private
from falmock.system.descriptors import with_spare

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator
    from pathlib import Path

    from PIL import Image

    from falmock.media.fonts import Library
    from falmock.media.specifications import Specification

log = logging.getLogger("falmock.media")

_TAIL: Final = 2000  # last bytes of ffmpeg's error output, for the log
_MAX_ERRORS: Final = 1024 * 1024  # bytes of error output; an ffmpeg that writes more is killed
_MAX_VERSION: Final = 64 * 1024  # bytes of output of `ffmpeg -version`
_VERSION_SECONDS: Final = 10.0  # real seconds for `ffmpeg -version`
_CLOSED: Final = "The renderer is closed."
_ENCODINGS: Final[dict[str, dict[str, Any]]] = {
    "png": {"compress_level": 1},
    "jpeg": {"quality": 88},
    "webp": {"quality": 85, "method": 1},
}
_T = TypeVar("_T")


class Cache:
    """Files by name. Those of an earlier cache in the folder are kept, in the order of their times of change.

    `limit` is the number of bytes that all may have together. Files that are held count, but stay.
    """

    def __init__(self, folder: Path, limit: int | None) -> None:
        self._folder = folder
        self._limit = math.inf if limit is None else limit
        self._held: Counter[str] = Counter()
        found = [(path.name, path.stat()) for path in folder.iterdir() if path.is_file()]
        found.sort(key=lambda pair: pair[1].st_mtime_ns)
        # The one used last is last.
        self._sizes = OrderedDict((name, status.st_size) for name, status in found)
        self._total = sum(self._sizes.values())

    def path(self, name: str) -> Path:
        return self._folder / name

    def use(self, name: str) -> None:
        """Note that a file is used, also for later caches of this folder."""
        if name in self._sizes:
            self._sizes.move_to_end(name)
            with suppress(OSError):  # only its place in the order is lost
                os.utime(self.path(name))

    def add(self, name: str) -> set[str]:
        """Add a file that is in the folder, or replace it. Return the names of those that were removed."""
        self._total -= self._sizes.pop(name, 0)
        self._sizes[name] = self.path(name).stat().st_size
        self._total += self._sizes[name]
        removed = set()
        for old in list(self._sizes):
            if self._total <= self._limit:
                break
            if not self._held[old]:
                self.path(old).unlink(missing_ok=True)
                self._total -= self._sizes.pop(old)
                removed.add(old)
        return removed

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Keep a file for the length of a block, whether it exists or is about to."""
        self._held[name] += 1
        try:
            yield
        finally:
            self._held[name] -= 1
            if not self._held[name]:
                del self._held[name]


@dataclass(slots=True)
class _Render:
    """A file that is being made, and the number of callers that wait for it."""

    task: asyncio.Task[Path]
    waiting: int = 0


class Renderer:
    """Makes and caches media, and checks each before it is returned.

    Args:
        ffmpeg: the program, see `find_ffmpeg`.
        cache: folder for the files, created if missing. It must not be shared with another renderer:
            unfinished files in it are removed.
        at_once: maximum number of files that are made at the same time.
        timeout: real seconds that ffmpeg may take for a file.
        limit: bytes that the cache may have, or None; files used longest ago are removed.
    """

    def __init__(
        self, *, ffmpeg: str, cache: Path, at_once: int, timeout: float, limit: int | None = None
    ) -> None:
        self._ffmpeg = ffmpeg
        self._timeout = timeout
        self._library = installed()
        self._slots = asyncio.Semaphore(at_once)
        self._renders: dict[str, _Render] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._version: asyncio.Task[str] | None = None
        self._checked: set[str] = set()  # names of cached files that are complete
        self._closed = False
        folder = private.folder(cache.absolute())
        remove_leftovers(folder)
        self._cache = Cache(folder, limit)

    async def render(self, wanted: Specification) -> Path:
        """Return the path of a medium in the cache, after making it if necessary.

        The file can be removed as soon as another one is made, so link or open it before the next `await`, or
        use `hold`. Concurrent calls for the same medium share one ffmpeg, which is killed when all are
        cancelled.

        Raises:
            RenderFailed: ffmpeg failed or took too long, or the renderer is closed.
        """
        async with self.hold(wanted) as path:
            return path

    @asynccontextmanager
    async def hold(self, wanted: Specification) -> AsyncIterator[Path]:
        """Render, and keep the file in the cache for the length of a block. Raises as `render` does."""
        name = await self._name(wanted)
        with self._cache.held(name):
            yield await self._get(name, wanted)

    async def close(self) -> None:
        """Cancel all renders and remove their files. Later calls of `render` fail."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            if not task.cancelling():  # a second cancellation would interrupt the cleanup
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _name(self, wanted: Specification) -> str:
        """Return the name of a medium's file in the cache."""
        tools: list[str] = []
        if isinstance(wanted, Clip | Sound):
            tools.append(await self._ffmpeg_version())
        if isinstance(wanted, Clip | Still):
            tools.append(PIL.__version__)
            if not (wanted.prompt + wanted.model).isascii():  # Pillow's own font has no more
                tools += await in_thread(drawing.used_fonts, wanted, self._library)
        return specifications.key(wanted, tools) + wanted.suffix

    async def _get(self, name: str, wanted: Specification) -> Path:
        path = self._cache.path(name)
        if await self._is_cached(name, wanted, path):
            return path
        if self._closed:
            raise RenderFailed(_CLOSED)
        render = self._renders.get(name) or self._start(name, wanted, path)
        render.waiting += 1
        try:
            await asyncio.wait([render.task])
        finally:
            render.waiting -= 1
            if not render.waiting and not render.task.done():
                await self._cancel(name)
        if render.task.cancelled():
            raise RenderFailed(_CLOSED)
        return render.task.result()

    async def _is_cached(self, name: str, wanted: Specification, path: Path) -> bool:
        """Return whether the cache has the complete file."""
        if not path.exists():  # noqa: ASYNC240 - quicker than a thread
            return False
        if name not in self._checked:
            try:
                await in_thread(checks.check, path, wanted)
            except (BrokenFile, FileNotFoundError) as error:
                log.warning("a cached file is damaged and is made again: %s", error)
                return False
            self._checked.add(name)
        self._cache.use(name)
        return True

    def _track(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """Start a task that `close` cancels."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _start(self, name: str, wanted: Specification, path: Path) -> _Render:
        task = self._track(self._make(name, wanted, path))
        render = self._renders[name] = _Render(task)

        def finished(task: asyncio.Task[Path]) -> None:
            if self._renders.get(name) is render:
                del self._renders[name]
            if not task.cancelled():
                task.exception()  # mark it as retrieved, in case all callers were cancelled

        task.add_done_callback(finished)
        return render

    async def _cancel(self, name: str) -> None:
        task = self._renders.pop(name).task
        task.cancel()
        await asyncio.wait([task])

    async def _make(self, name: str, wanted: Specification, path: Path) -> Path:
        async with self._slots:
            try:
                async with scratch(path.parent) as folder:
                    unchecked = folder / f"result{wanted.suffix}"
                    with_spare(partial(private.create, unchecked)).close()  # for its mode, whatever the umask
                    await self._write(wanted, unchecked)
                    unchecked.chmod(private.FILE)  # a wrapper script may have replaced the file
                    await in_thread(checks.check, unchecked, wanted)
                    unchecked.replace(path)
                    self._checked -= self._cache.add(name)
                    self._checked.add(name)
            except BrokenFile as error:
                raise RenderFailed(f"The file is unusable: {error}") from error
            except OSError as error:
                raise RenderFailed(f"Cannot render: {error}") from error
        return path

    async def _write(self, wanted: Specification, target: Path) -> None:
        """Write a medium to a file, with other files beside it."""
        await in_thread(_prepare, wanted, target, self._library)
        if isinstance(wanted, Clip):
            await self._run(graph.video(self._ffmpeg, wanted, target.parent, target))
        elif isinstance(wanted, Sound):
            await self._run(graph.sound(self._ffmpeg, wanted, target))

    async def _run(self, command: list[str]) -> None:
        try:
            done = await processes.run(command, limit=_MAX_ERRORS, timeout=self._timeout, capture="stderr")
        except TimeoutError:
            raise RenderFailed(f"ffmpeg took longer than {self._timeout:g} s.") from None
        except processes.TooMuchOutput as error:
            raise RenderFailed(f"ffmpeg wrote too many errors: {error}") from None
        if done.code:
            tail = done.output[-_TAIL:].decode(errors="replace").strip()
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
    return done.output.decode(errors="replace").partition("\n")[0]


def _prepare(wanted: Specification, target: Path, library: Library) -> None:
    """Write a medium that needs no ffmpeg, or for a video the images that it is made of, beside it."""
    match wanted:
        case Clip():
            _prepare_clip(wanted, target.parent, library)
        case Still():
            drawing.still(wanted, library).save(target, wanted.format, **_ENCODINGS[wanted.format])
        case Document():
            target.write_bytes(wanted.data)
        case Mesh():
            target.write_bytes(objects.mesh(wanted))
        case Weights():
            target.write_bytes(objects.weights(wanted))


def _prepare_clip(clip: Clip, folder: Path, library: Library) -> None:
    canvas, strip = drawing.canvas(clip), drawing.caption(clip, library)
    if clip.style == "plain":
        canvas.paste(strip, (0, 0), strip)
    else:
        _save(strip, folder / "caption.png", compress_level=1)
        if clip.last_picture is not None:
            _save(drawing.scene(clip.last_picture, clip.size, clip.seed), folder / "last.ppm")
    _save(canvas, folder / "canvas.ppm")


def _save(image: Image.Image, path: Path, **options: Any) -> None:
    with private.create(path) as file:
        image.save(file, path.suffix[1:], **options)
