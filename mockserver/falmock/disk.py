"""Writing to disk: complete or an error."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

from falmock.errors import StorageFull

if TYPE_CHECKING:
    from collections.abc import Iterator

# No space, no quota, or past the size that a file may have here (RLIMIT_FSIZE).
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def room() -> Iterator[None]:
    """Turn a full disk into a refusal inside the block.

    Raises:
        StorageFull: a write of the block found no space.
    """
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        if is_full(error):
            raise StorageFull from error
        raise


def is_full(error: BaseException) -> bool:
    """Return whether an error of the system or of SQLite means that there is no space."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    return (
        isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    )


def write_all(sink: BinaryIO, data: bytes) -> None:
    """Write all bytes: the system may take some of them and report the full disk at the next write only."""
    left = memoryview(data)
    while left:
        left = left[sink.write(left) :]
