"""Waits for a file descriptor when the process or the machine has none left."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import resource
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

log = logging.getLogger("falmock")

T = TypeVar("T")

PATIENCE: Final = 60.0  # real seconds until waiting is given up
FIRST_PAUSE: Final = 0.02  # real seconds; it doubles up to the longest
LONGEST_PAUSE: Final = 1.0
_NONE_LEFT: Final = frozenset({errno.EMFILE, errno.ENFILE})

_logged = False
_spare: int | None = None


def none_left(error: BaseException) -> bool:
    """Return whether an error, or one of its causes, is that no descriptor was left."""
    return any(isinstance(each, OSError) and each.errno in _NONE_LEFT for each in _causes(error))


async def with_descriptors(work: Callable[[], Awaitable[T]]) -> T:
    """Call a function that needs descriptors; if none is left, wait and call it again.

    Args:
        work: called again only after an error for which `none_left` is true.
    """
    pauses = _pauses()
    while True:
        try:
            return await work()
        except Exception as error:
            pause = next(pauses, None) if none_left(error) else None
            if pause is None:
                raise
        _log_once()
        await asyncio.sleep(pause)


def with_spare(work: Callable[[], T]) -> T:
    """Call a function that needs one descriptor and cannot wait. A spare one is reserved for it."""
    global _spare  # noqa: PLW0603 - one for the process
    try:
        if _spare is None:
            _spare = _open_spare()
        return work()
    except OSError as error:
        if _spare is None or not none_left(error):
            raise
        os.close(_spare)
        _spare = None
        _log_once()
    try:
        return work()
    finally:
        with suppress(OSError):  # none is left; the next call opens it
            _spare = _open_spare()


def _open_spare() -> int:
    return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


def share(part: int, *, most: int) -> int:
    """Return the limit of descriptors divided by `part`, but at most `most`."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if soft == resource.RLIM_INFINITY else max(1, min(most, soft // part))


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        left += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            left += each.exceptions


def _pauses() -> Iterator[float]:
    pause, waited = FIRST_PAUSE, 0.0
    while waited < PATIENCE:
        yield pause
        waited += pause
        pause = min(2 * pause, LONGEST_PAUSE)


def _log_once() -> None:
    global _logged  # noqa: PLW0603 - once a process is meant
    if not _logged:
        _logged = True
        log.warning("no file descriptor is left; work waits for one (raise the limit with `ulimit -n`)")
