"""Checks a database before the emulator opens it: the file, the schema and each row.

A damaged file, or one from another version, is rejected and not changed. An invalid row is moved to another
table.
"""

from __future__ import annotations

import dataclasses
import logging
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

from falmock.engine.rows import EXPECTED, TABLES, VERSION, Delivery, Request, Row, StoredFile

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("falmock.engine.store")

LATEST: Final = 4e10  # unix seconds, after the end of emulated time


class DamagedError(Exception):
    """The database is damaged. The text is a short description of the damage."""


class VersionError(Exception):
    """The database is from another version of falmock. The text names the layouts of both versions."""


def check(path: Path) -> None:
    """Check a database file without writing to it.

    This reads the whole file: about 0.5 s per gigabyte from the page cache.

    Raises:
        DamagedError: the file is damaged.
        VersionError: the layout differs.
        sqlite3.OperationalError: the file is locked or unreadable.
    """
    beside = [path.with_name(path.name + suffix) for suffix in ("-shm", "-wal")]
    made = [file for file in beside if not file.exists()]  # SQLite creates them even for reading
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0)) as db:
            _check(db)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise DamagedError(str(error)) from None
    finally:
        for file in made:
            file.unlink(missing_ok=True)


def _check(db: sqlite3.Connection) -> None:
    (found,) = db.execute("PRAGMA user_version").fetchone()
    (is_empty,) = db.execute("SELECT count(*) = 0 FROM sqlite_schema").fetchone()
    if found == 0 and is_empty:
        return
    if found != VERSION:
        raise VersionError(f"its layout is {found}, not {VERSION}")
    (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise DamagedError(" ".join(str(verdict).split()))
    for table, columns in EXPECTED.items():
        there = {name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")}
        if not there.issuperset(columns):
            raise DamagedError(f"the table {table} is not complete")


def set_aside_damaged_rows(db: sqlite3.Connection) -> None:
    """Move invalid rows to `damaged_<table>`. Call this inside a transaction."""
    for row, conditions in _VALID.items():
        table = TABLES[row]
        query = f"SELECT rowid FROM {table} WHERE NOT ({' AND '.join(conditions)})"
        for (rowid,) in db.execute(query).fetchall():
            damaged = f"damaged_{table}"
            db.execute(f"CREATE TABLE IF NOT EXISTS {damaged} AS SELECT * FROM {table} WHERE false")
            db.execute(f"INSERT INTO {damaged} SELECT * FROM {table} WHERE rowid = ?", (rowid,))
            db.execute(f"DELETE FROM {table} WHERE rowid = ?", (rowid,))
            log.error("row %d of the table %s is damaged, and was moved to %s", rowid, table, damaged)


_SQL_TYPES: Final = {
    "str": "'text'",
    "int": "'integer'",
    "bool": "'integer'",
    "float": "'real', 'integer'",
    "bytes": "'blob'",
}


def _typed(row: type[Row]) -> str:
    """Return an SQL condition: the columns have the types of the row's fields. SQLite stores NaN as NULL."""
    conditions = []
    for field in dataclasses.fields(row):
        name, _, optional = str(field.type).partition(" | ")
        types = _SQL_TYPES[name] + (", 'null'" if optional else "")
        conditions.append(f"typeof({field.name}) IN ({types})")
    return " AND ".join(conditions)


def _in_range(*columns: str) -> str:
    return " AND ".join(f"ifnull({column} BETWEEN 0 AND {LATEST}, 1)" for column in columns)


_VALID: Final = {
    Request: (
        _typed(Request),
        _in_range("submitted_at", "start_by", "started_at", "completed_at", "due_at"),
        "state IN ('IN_QUEUE', 'IN_PROGRESS', 'COMPLETED')",
        "(state != 'IN_PROGRESS' OR started_at NOTNULL)",
        "(state != 'COMPLETED' OR (completed_at NOTNULL AND status NOTNULL))",
        "json_valid(headers)",
    ),
    Delivery: (_typed(Delivery), "request_id IN (SELECT id FROM requests)"),
    StoredFile: (_typed(StoredFile), "(acl IS NULL OR json_valid(acl))"),
}
