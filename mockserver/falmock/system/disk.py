"""Writing to disk: complete or an error."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from falmock.protocol.errors import StorageFull
from falmock.system import transient

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def room() -> Iterator[None]:
    """Turn a full disk into a refusal inside the block.

    Raises:
        StorageFull: a write of the block found no space.
    """
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        reason = transient.reason(error)
        if reason is not None and transient.is_full(reason):
            raise StorageFull(reason) from error
        raise


def write_all(sink: BinaryIO, data: bytes) -> None:
    """Write all bytes: the system may take some of them and report the full disk at the next write only."""
    left = memoryview(data)
    while left:
        left = left[sink.write(left) :]
