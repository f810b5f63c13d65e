"""Writes to disk completely, or raises an error."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, Final

from falmock.protocol.errors import StorageFull
from falmock.system import transient

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE: Final = 1024 * 1024  # bytes of one read and one write


@contextmanager
def room() -> Iterator[None]:
    """Raise `StorageFull` if a write of the block finds no space."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        reason = transient.reason(error)
        if reason is not None and transient.is_full(reason):
            raise StorageFull(reason) from error
        raise


def write_all(sink: BinaryIO, data: bytes) -> None:
    """Write all bytes. One write may take only some of them, and the next one report the full disk."""
    left = memoryview(data)
    while left:
        left = left[sink.write(left) :]


def append(source: BinaryIO, sink: BinaryIO) -> None:
    """Write the rest of an unbuffered file to the end of another one.

    The system copies the bytes where it can. Where it cannot, they are read and written.
    """
    with suppress(OSError, AttributeError):  # a full disk is reported again below
        while os.copy_file_range(source.fileno(), sink.fileno(), PIECE):
            pass
    while data := source.read(PIECE):
        write_all(sink, data)
