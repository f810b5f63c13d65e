"""Temporary folders for ffmpeg, and threads that work in them."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from falmock.system.descriptors import with_descriptors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_PARTIAL: Final = ".partial"
_T = TypeVar("_T")


@asynccontextmanager
async def scratch(parent: Path) -> AsyncIterator[Path]:
    """Create a folder for the length of a block, and remove it with its contents."""
    folder = Path(tempfile.mkdtemp(prefix=".", suffix=_PARTIAL, dir=parent))
    try:
        yield folder
    finally:
        await in_thread(shutil.rmtree, folder)


def remove_leftovers(parent: Path) -> None:
    """Remove the folders that a process which was killed left behind."""
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
