"""Recognises errors of missing resources, such as a full disk, after which an operation can succeed later."""

from __future__ import annotations

import errno
import sqlite3
from typing import Final

_NO_SPACE: Final = "the disk is full"
_OSERRORS: Final = {
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file is at its size limit",
    errno.EMFILE: "too many open files",
    errno.ENFILE: "too many open files on this machine",
    errno.ENOMEM: "out of memory",
    errno.EROFS: "the file system is read-only",
}
_SQLITE: Final = {
    sqlite3.SQLITE_FULL: _NO_SPACE,
    sqlite3.SQLITE_IOERR: "the disk does not work",
    sqlite3.SQLITE_READONLY: "the database is read-only",
    sqlite3.SQLITE_BUSY: "the database is locked",
    sqlite3.SQLITE_CANTOPEN: "a file of the database cannot be opened",
    sqlite3.SQLITE_NOMEM: "out of memory",
}
_FULL: Final = frozenset({_NO_SPACE, _OSERRORS[errno.EDQUOT], _OSERRORS[errno.EFBIG]})
_PRIMARY: Final = 0xFF  # SQLite's extended codes have the plain code in the low byte


def reason(error: BaseException | None) -> str | None:
    """Return a short text about the missing resource, or None for any other error.

    The causes of an error (`__cause__`) are examined too.
    """
    while error is not None:
        why = None
        if isinstance(error, sqlite3.OperationalError):
            why = _SQLITE.get(getattr(error, "sqlite_errorcode", 0) & _PRIMARY)
        elif isinstance(error, OSError):
            why = _OSERRORS.get(error.errno or 0)
        if why is not None:
            return why
        error = error.__cause__
    return None


def is_full(reason: str) -> bool:
    """Return True for a reason about disk space."""
    return reason in _FULL
