"""Checks a database before the emulator opens it: the file, the schema and each row.

A damaged file, or one from another version, is rejected and not changed. An invalid row is moved to another
table.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

log = logging.getLogger("falmock.engine.store")

LATEST: Final = 4e10  # unix seconds; emulated time ends before


class DamagedError(Exception):
    """The database is damaged. The text is a short description of the damage."""


class VersionError(Exception):
    """The database is from another version of falmock. The text names both layouts."""


def check(path: Path, layout: int, tables: Mapping[str, Sequence[str]]) -> None:
    """Check a database file without writing to it.

    This reads the whole file: about 0.5 s per gigabyte from the page cache.

    Args:
        path: the database file.
        layout: the expected `user_version`.
        tables: the expected tables with their columns.

    Raises:
        DamagedError: the file is damaged.
        VersionError: the layout differs.
        sqlite3.OperationalError: the file is locked or unreadable.
    """
    beside = [path.with_name(path.name + suffix) for suffix in ("-shm", "-wal")]
    made = [file for file in beside if not file.exists()]  # SQLite creates them even for reading
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0)) as db:
            _check(db, layout, tables)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise DamagedError(str(error)) from None
    finally:
        for file in made:
            file.unlink(missing_ok=True)


def _check(db: sqlite3.Connection, layout: int, tables: Mapping[str, Sequence[str]]) -> None:
    (found,) = db.execute("PRAGMA user_version").fetchone()
    (is_empty,) = db.execute("SELECT count(*) = 0 FROM sqlite_schema").fetchone()
    if found == 0 and is_empty:
        return
    if found != layout:
        raise VersionError(f"its layout is {found}, not {layout}")
    (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise DamagedError(" ".join(str(verdict).split()))
    for table, columns in tables.items():
        there = {name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")}
        if not there.issuperset(columns):
            raise DamagedError(f"the table {table} is not complete")


def set_aside_damaged_rows(db: sqlite3.Connection) -> None:
    """Move invalid rows to `damaged_<table>`. Call this inside a transaction."""
    for table, usable in _USABLE.items():
        for (rowid,) in db.execute(f"SELECT rowid FROM {table} WHERE NOT ({usable})").fetchall():
            damaged = f"damaged_{table}"
            db.execute(f"CREATE TABLE IF NOT EXISTS {damaged} AS SELECT * FROM {table} WHERE false")
            db.execute(f"INSERT INTO {damaged} SELECT * FROM {table} WHERE rowid = ?", (rowid,))
            db.execute(f"DELETE FROM {table} WHERE rowid = ?", (rowid,))
            log.error("row %d of the table %s is damaged, and was moved to %s", rowid, table, damaged)


def _typed(types: str, columns: str) -> str:
    """Return an SQL condition: all columns have values of these types."""
    allowed = ", ".join(f"'{name}'" for name in types.split())
    return " AND ".join(f"typeof({column}) IN ({allowed})" for column in columns.split())


def _timed(columns: str) -> str:
    return " AND ".join(f"ifnull({column} BETWEEN 0 AND {LATEST}, 1)" for column in columns.split())


# SQL conditions for valid rows. SQLite stores NaN as NULL.
_USABLE: Final = {
    "requests": " AND ".join(
        [
            _typed("text", "id application path caller origin method input_sha256 state gateway_id headers"),
            _typed("text null", "test content_type body_file lifecycle webhook faults error error_type"),
            _typed("integer", "seq direct priority retry store_io attempts held"),
            _typed("integer null", "status"),
            _typed("real integer", "submitted_at ready_at run_seconds"),
            _typed("real integer null", "start_by started_at completed_at expires_at due_at"),
            _timed("submitted_at start_by started_at completed_at due_at"),
            "state IN ('IN_QUEUE', 'IN_PROGRESS', 'COMPLETED')",
            "(state != 'IN_PROGRESS' OR started_at NOTNULL)",
            "(state != 'COMPLETED' OR (completed_at NOTNULL AND status NOTNULL))",
            "json_valid(headers)",
        ]
    ),
    "deliveries": " AND ".join(
        [
            _typed("text", "request_id url user_id outcome"),
            _typed("text null", "faults last"),
            _typed("blob", "body"),
            _typed("integer", "attempts"),
            _typed("real integer", "give_up_at"),
            _typed("real integer null", "next_at"),
            "request_id IN (SELECT id FROM requests)",
        ]
    ),
    "files": " AND ".join(
        [
            _typed("text", "path disk content_type owner"),
            _typed("text null", "acl faults"),
            _typed("integer", "size"),
            _typed("real integer", "created_at"),
            _typed("real integer null", "expires_at"),
            "(acl IS NULL OR json_valid(acl))",
        ]
    ),
}
