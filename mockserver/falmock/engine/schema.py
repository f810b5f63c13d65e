"""The tables of the database, and the SQL statements for single rows.

Each row class has a table with one column per field. The first field is the primary key. Payloads have a
separate table, so that a status poll does not read them. `facts` has single values by name.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from typing import Final

from falmock.engine.rows import Delivery, Request, Row, StoredFile

VERSION: Final = 3  # PRAGMA user_version

TABLES: Final[dict[type[Row], str]] = {
    Request: "requests",
    Delivery: "deliveries",
    StoredFile: "files",
}
PAYLOADS: Final = "payloads"
COLUMNS: Final = {row: [field.name for field in dataclasses.fields(row)] for row in TABLES}
KEYS: Final = {row: columns[0] for row, columns in COLUMNS.items()}
TIMES: Final = {
    row: [column for column in columns if column.endswith(("_at", "_by"))] for row, columns in COLUMNS.items()
}
EXPECTED: Final = {
    **{table: COLUMNS[row] for row, table in TABLES.items()},
    PAYLOADS: ["request_id", "kind", "data"],
    "facts": ["name", "value"],
}

CREATE: Final = (
    *(
        f"CREATE TABLE {table} ({KEYS[row]} TEXT PRIMARY KEY, {', '.join(COLUMNS[row][1:])})"
        for row, table in TABLES.items()
    ),
    "CREATE INDEX requests_open ON requests (seq) WHERE state != 'COMPLETED'",
    "CREATE INDEX requests_expiry ON requests (expires_at) WHERE expires_at IS NOT NULL",
    "CREATE INDEX requests_body ON requests (body_file) WHERE body_file IS NOT NULL",
    "CREATE INDEX deliveries_pending ON deliveries (next_at) WHERE next_at IS NOT NULL",
    "CREATE INDEX files_expiry ON files (expires_at) WHERE expires_at IS NOT NULL",
    f"CREATE TABLE {PAYLOADS} (request_id TEXT, kind TEXT, data BLOB, PRIMARY KEY (request_id, kind))",
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
    "CREATE INDEX files_request ON files (request_id) WHERE request_id IS NOT NULL",
    f"PRAGMA user_version = {VERSION}",
)

INSERT: Final = {
    row: f"INSERT INTO {table} ({', '.join(COLUMNS[row])}) VALUES ({', '.join('?' * len(COLUMNS[row]))})"
    for row, table in TABLES.items()
}
SELECT: Final = {row: f"SELECT {', '.join(COLUMNS[row])} FROM {table}" for row, table in TABLES.items()}
VALUES: Final = {row: attrgetter(*columns) for row, columns in COLUMNS.items()}  # of a row, in that order
BY_KEY: Final = {row: f"{SELECT[row]} WHERE {KEYS[row]} = ?" for row in TABLES}

# Row ids grow with each insert, so they serve as cursors that need no index.
ROW_ID: Final = {row: f"SELECT rowid FROM {table} WHERE {KEYS[row]} = ?" for row, table in TABLES.items()}
PAGE_UP: Final = {
    row: f"SELECT rowid, {', '.join(COLUMNS[row])} FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT ?"
    for row, table in TABLES.items()
}


def _without_body(columns: list[str]) -> str:
    return ", ".join("x'' AS body" if column == "body" else column for column in columns)


PAGE_DOWN: Final = {
    row: f"SELECT rowid, {_without_body(COLUMNS[row])} FROM {table}"
    " WHERE rowid < ? ORDER BY rowid DESC LIMIT ?"
    for row, table in TABLES.items()
}
