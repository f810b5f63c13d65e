"""Waits for a file descriptor when the process or the machine has none left."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import resource
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

log = logging.getLogger("falmock")

T = TypeVar("T")

PATIENCE: Final = 60.0  # real seconds until the error is raised
FIRST_PAUSE: Final = 0.02  # real seconds; it doubles up to the longest
LONGEST_PAUSE: Final = 1.0
_NONE_LEFT: Final = frozenset({errno.EMFILE, errno.ENFILE})


class _Spare:
    """An open descriptor in reserve. There is one per process, because the limit is per process."""

    def __init__(self) -> None:
        self.descriptor: int | None = None
        self.logged = False
        self._lock = threading.Lock()  # bodies are written on the event loop and in threads

    def reserve(self) -> None:
        with self._lock:
            if self.descriptor is None:
                self.descriptor = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def give_up(self) -> bool:
        """Close the descriptor; return False if it is not open."""
        with self._lock:
            if self.descriptor is None:
                return False
            os.close(self.descriptor)
            self.descriptor = None
            return True

    def log_once(self) -> None:
        if not self.logged:
            self.logged = True
            log.warning("no file descriptor is left; work waits for one (raise the limit with `ulimit -n`)")


spare: Final = _Spare()


def none_left(error: BaseException) -> bool:
    """Return whether an error or one of its causes is EMFILE or ENFILE."""
    return any(
        (isinstance(cause, OSError) and cause.errno in _NONE_LEFT)
        or (isinstance(cause, ImportError) and os.strerror(errno.EMFILE) in str(cause))  # it has no errno
        for cause in _causes(error)
    )


async def with_descriptors(work: Callable[[], Awaitable[T]]) -> T:
    """Call a function that needs descriptors; if none is left, wait and call it again."""
    for pause in _pauses():
        try:
            return await work()
        except Exception as error:
            if not none_left(error):
                raise
        spare.log_once()
        await asyncio.sleep(pause)
    return await work()


def with_spare(work: Callable[[], T]) -> T:
    """Call a function that needs one descriptor and cannot wait. If none is left, the spare one is closed."""
    try:
        spare.reserve()
        return work()
    except OSError as error:
        if not none_left(error) or not spare.give_up():
            raise
        spare.log_once()
    try:
        return work()
    finally:
        with suppress(OSError):  # none is left; the next call reserves one
            spare.reserve()


def share(part: int, *, most: int) -> int:
    """Return the process's limit of descriptors divided by `part`, from 1 to `most`."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if soft == resource.RLIM_INFINITY else max(1, min(most, soft // part))


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    unseen: list[BaseException | None] = [error]
    while unseen:
        cause = unseen.pop()
        if cause is None or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        unseen += [cause.__cause__, cause.__context__]
        if isinstance(cause, BaseExceptionGroup):
            unseen += cause.exceptions


def _pauses() -> Iterator[float]:
    pause, waited = FIRST_PAUSE, 0.0
    while waited < PATIENCE:
        yield pause
        waited += pause
        pause = min(2 * pause, LONGEST_PAUSE)
