"""Errors of missing resources are recognized, other errors are not."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import closing

import pytest
from storage import disk_full

from falmock.system import transient


def caused(error: Exception) -> Exception:
    """Return an error that was raised from another one."""
    outer = RuntimeError("cannot render")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    ("error", "reason", "is_full"),
    [
        (OSError(errno.ENOSPC, "x"), "the disk is full", True),
        (OSError(errno.EDQUOT, "x"), "the disk quota is used up", True),
        (OSError(errno.EMFILE, "x"), "too many open files", False),
        (disk_full(), "the disk is full", True),
        (caused(disk_full()), "the disk is full", True),
        (caused(OSError(errno.EMFILE, "x")), "too many open files", False),
    ],
)
def test_a_missing_resource_has_a_short_reason(error: Exception, reason: str, is_full: bool) -> None:
    assert (transient.reason(error), transient.is_full(reason)) == (reason, is_full)


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "x"),
        ValueError("x"),
        sqlite3.OperationalError("no such column: x"),
        sqlite3.DatabaseError("database disk image is malformed"),
        caused(ValueError("x")),
        None,
    ],
)
def test_errors_that_no_missing_resource_causes_have_no_reason(error: Exception | None) -> None:
    assert transient.reason(error) is None


def test_a_full_sqlite_database_is_recognized_by_its_error_code() -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("PRAGMA max_page_count = 2")
        with pytest.raises(sqlite3.OperationalError) as caught:
            db.execute("CREATE TABLE a AS SELECT zeroblob(100000)")

    assert transient.reason(caught.value) == "the disk is full"
