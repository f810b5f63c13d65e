"""Reads the rows of a database for `falmock state export`, even if the file is damaged."""

from __future__ import annotations

import base64
import json
import math
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from falmock.system import temporary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TABLES: Final = ("requests", "payloads", "deliveries", "files")
_LOG: Final = "-wal"  # changes that SQLite has not yet moved into the database


class NoDatabaseError(Exception):
    """The database does not exist or is not readable. The text is one line."""


def rows(database: Path) -> Iterator[dict[str, Any]]:
    """Yield the readable rows, each as `{"table": name, **columns}`.

    Bytes become text if they are UTF-8, otherwise `{"base64": ...}`. Rows in a damaged part of the file
    are skipped. The function reads a copy and does not change the file.

    Raises:
        NoDatabaseError: the file does not exist or is not a database.
    """
    if not database.is_file():
        raise NoDatabaseError(f"there is no database {database}")
    with temporary.folder() as folder:
        copy = folder / "copy.db"
        shutil.copyfile(database, copy)
        log = database.with_name(database.name + _LOG)
        if log.exists():
            shutil.copyfile(log, copy.with_name(copy.name + _LOG))
        with closing(sqlite3.connect(copy)) as db:
            db.row_factory = sqlite3.Row
            db.text_factory = lambda text: text.decode(errors="replace")
            try:
                db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            except sqlite3.DatabaseError as error:
                raise NoDatabaseError(f"nothing of {database} can be read: {error}") from None
            for table in TABLES:
                for row in _readable(db, table):
                    columns = {name: _text(row[name]) for name in dict(row) if name != "rowid"}
                    yield {"table": table, **columns}


def _readable(db: sqlite3.Connection, table: str) -> Iterator[sqlite3.Row]:
    """Yield the rows before the first damaged page of a table, then those after the last one."""
    first: int | None = None
    for row in _walk(db, f"SELECT rowid, * FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT 1", -(2**63)):
        first = row["rowid"]
        yield row
    least = -(2**63) if first is None else first
    backwards = f"SELECT rowid, * FROM {table} WHERE rowid < ? ORDER BY rowid DESC LIMIT 1"
    for row in _walk(db, backwards, 2**63 - 1):
        if row["rowid"] <= least:
            return
        yield row


def _walk(db: sqlite3.Connection, query: str, start: int) -> Iterator[sqlite3.Row]:
    at = start
    while True:
        try:
            row = db.execute(query, (at,)).fetchone()
        except sqlite3.DatabaseError:
            return
        if row is None:
            return
        yield row
        at = row["rowid"]


def _text(value: Any) -> Any:
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def line(row: dict[str, Any]) -> str:
    """Return a row as one line of JSON. Infinity becomes the string "inf"."""
    return json.dumps({name: str(value) if _is_infinite(value) else value for name, value in row.items()})


def _is_infinite(value: object) -> bool:
    return isinstance(value, float) and math.isinf(value)
