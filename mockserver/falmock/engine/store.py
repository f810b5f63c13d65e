"""The store: requests, their payloads, webhook deliveries and files, in SQLite.

Its methods are called on the event loop and do not wait: a write takes about 20 microseconds, a read by key
about 7, less than a hop to a thread.
"""

from __future__ import annotations

import dataclasses
import math
import sqlite3
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from falmock.engine import integrity
from falmock.engine.pages import Pages
from falmock.engine.rows import (
    BY_KEY,
    CREATE,
    INSERT,
    KEYS,
    PAYLOADS,
    SELECT,
    TABLES,
    TIMES,
    VALUES,
    Delivery,
    Request,
    Row,
    StoredFile,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

AnyRow = TypeVar("AnyRow", Request, Delivery, StoredFile)
Rows = dict[str, list[tuple[Any, ...]]]  # the rows of each table

RECENT: Final = 1000  # requests in memory: about a megabyte
PROBE: Final = 64 * 1024  # bytes
DATABASE: Final = "falmock.db"  # its name in a state folder
CHECKPOINT: Final = 250  # pages of the log: a quarter of SQLite's default, because a commit waits for it


class StoreInUseError(Exception):
    """Another process has the database open."""


class Database:
    """An open database that this process owns, with nested transactions and actions that follow their end.

    Without a path, it is in memory.

    Raises:
        StoreInUseError: another process has it open.
        DamagedError: the file is damaged; it is not changed.
        VersionError: the file is from another version of falmock; it is not changed.
    """

    def __init__(self, path: Path | None) -> None:
        self._after_commit: list[Callable[[], object]] = []
        self._after_rollback: list[Callable[[], object]] = []
        try:
            if path is not None and path.exists():
                integrity.check(path)
            self._db = sqlite3.connect(
                path or ":memory:", isolation_level=None, timeout=0, check_same_thread=False
            )
            self._open()
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise StoreInUseError from None
            raise

    def _open(self) -> None:
        try:
            # With EXCLUSIVE, WAL needs no shared-memory file.
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT}")
            # 500 KB of pages. More would not make reads faster, because the system caches the file.
            self._db.execute("PRAGMA cache_size = -500")
            with self.transaction():
                (version,) = self._db.execute("PRAGMA user_version").fetchone()
                if version == 0:
                    for statement in CREATE:
                        self._db.execute(statement)
                integrity.set_aside_damaged_rows(self._db)
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the database, so that another process can open it."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def in_transaction(self) -> bool:
        return self._db.in_transaction

    @property
    def changes(self) -> int:
        """The number of rows that were inserted, changed or deleted since the database was opened."""
        return self._db.total_changes

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all writes of the block, or none if it raises. Nested blocks belong to the outer one."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # after some errors SQLite has rolled back already
                self._db.execute("ROLLBACK")
            self._rolled_back()
            raise
        self._after_rollback.clear()
        actions, self._after_commit = self._after_commit, []
        _call_all(actions)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo only this part of a transaction if it raises."""
        commits, rollbacks = len(self._after_commit), len(self._after_rollback)
        self._db.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK TO part")
                self._db.execute("RELEASE part")
                self._rolled_back(commits, rollbacks)
            raise
        self._db.execute("RELEASE part")

    def on_commit(self, action: Callable[[], object]) -> None:
        """Call `action` after the commit, or immediately if no transaction is open."""
        if self._db.in_transaction:
            self._after_commit.append(action)
        else:
            action()

    def on_rollback(self, action: Callable[[], object]) -> None:
        """Call `action` if the transaction is rolled back, in reverse order of registration."""
        if self._db.in_transaction:
            self._after_rollback.append(action)

    def _rolled_back(self, commits: int = 0, rollbacks: int = 0) -> None:
        """Call the later rollback actions, and drop the later commit actions.

        The arguments are the numbers of earlier actions, which stay.
        """
        del self._after_commit[commits:]
        actions = self._after_rollback[rollbacks:]
        del self._after_rollback[rollbacks:]
        _call_all(reversed(actions))


class Store(Database, Pages):
    """The queries and writes of the emulator. The rows of recent requests stay in memory, for polls."""

    def __init__(self, path: Path | None) -> None:
        self._recent: dict[str, Request] = {}
        self._expires_at = -math.inf  # a lower bound of the next expiry; -infinity if it is not known
        super().__init__(path)

    def insert(self, row: Row) -> None:
        self._db.execute(INSERT[type(row)], VALUES[type(row)](row))
        if isinstance(row, Request):
            self._keep_in_memory(row)
        elif isinstance(row, StoredFile) and row.expires_at is not None:
            self._expires_at = min(self._expires_at, row.expires_at)

    def change(self, request: Request, **changes: Any) -> Request:
        """Change some columns of a request; return the new row."""
        self.update(Request, request.id, **changes)
        changed = dataclasses.replace(request, **changes)
        self._keep_in_memory(changed)
        return changed

    def update(self, kind: type[Row], key: str, **changes: object) -> None:
        columns = ", ".join(f"{column} = ?" for column in changes)
        query = f"UPDATE {TABLES[kind]} SET {columns} WHERE {KEYS[kind]} = ?"
        self._db.execute(query, [*changes.values(), key])
        if kind is Request:
            self._recent.pop(key, None)
        if isinstance(expires_at := changes.get("expires_at"), float):
            self._expires_at = min(self._expires_at, expires_at)

    def delete(self, kind: type[Row], key: str) -> None:
        """Delete a row if it exists."""
        self._db.execute(f"DELETE FROM {TABLES[kind]} WHERE {KEYS[kind]} = ?", (key,))
        self._recent.pop(key, None)
        if kind is not Delivery:
            self._expires_at = -math.inf

    def _keep_in_memory(self, request: Request) -> None:
        self._recent.pop(request.id, None)
        if len(self._recent) >= RECENT:
            del self._recent[next(iter(self._recent))]  # the oldest
        self._recent[request.id] = request

    def _rolled_back(self, commits: int = 0, rollbacks: int = 0) -> None:
        self._recent.clear()
        super()._rolled_back(commits, rollbacks)

    def _select(self, kind: type[AnyRow], condition: str, *parameters: object) -> list[AnyRow]:
        return [kind(*row) for row in self._db.execute(f"{SELECT[kind]} WHERE {condition}", parameters)]

    def _get(self, kind: type[AnyRow], key: str) -> AnyRow | None:
        row = self._db.execute(BY_KEY[kind], (key,)).fetchone()
        return kind(*row) if row else None

    def _value(self, query: str, *parameters: object) -> Any:
        """Return the only column of the first row, or None."""
        row = self._db.execute(query, parameters).fetchone()
        return row[0] if row else None

    # Single values and payloads

    def fact(self, name: str) -> Any:
        """Return a single value by name, or None."""
        return self._value("SELECT value FROM facts WHERE name = ?", name)

    def remember(self, name: str, value: float | bytes | str) -> None:
        """Write a single value by name."""
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def next_seq(self) -> int:
        """Return the next submission number. No number is returned twice."""
        seq = int(self.fact("seq") or 0) + 1
        self.remember("seq", seq)
        return seq

    def latest_time(self) -> float:
        """Return the latest time in the database, or 0."""
        times = "max(max(submitted_at, ifnull(started_at, 0), ifnull(completed_at, 0)))"
        latest = self._value(f"SELECT {times} FROM requests")
        return max(float(latest or 0), float(self.fact("time") or 0))

    def probe(self) -> None:
        """Write 64 KiB and delete them again.

        Raises:
            sqlite3.OperationalError: the write fails.
        """
        self.remember("probe", bytes(PROBE))
        self._db.execute("DELETE FROM facts WHERE name = 'probe'")

    def keep(self, request_id: str, kind: str, data: bytes) -> None:
        """Write a payload of a request; `kind` is "input" or "output"."""
        self._db.execute("INSERT OR REPLACE INTO payloads VALUES (?, ?, ?)", (request_id, kind, data))

    def payload(self, request_id: str, kind: str) -> bytes | None:
        query = "SELECT data FROM payloads WHERE request_id = ? AND kind = ?"
        data: bytes | None = self._value(query, request_id, kind)
        return data

    def drop(self, request_id: str, *kinds: str) -> None:
        for kind in kinds:
            self._db.execute("DELETE FROM payloads WHERE request_id = ? AND kind = ?", (request_id, kind))

    # Requests

    def request(self, request_id: str) -> Request | None:
        if (recent := self._recent.get(request_id)) is not None:
            return recent
        found = self._get(Request, request_id)
        if found is not None:
            self._keep_in_memory(found)
        return found

    def labels(self, request_id: str) -> tuple[str, str, str | None] | None:
        """Return endpoint, caller and test of a request."""
        query = "SELECT trim(application || '/' || path, '/'), caller, test FROM requests WHERE id = ?"
        labels: tuple[str, str, str | None] | None = self._db.execute(query, (request_id,)).fetchone()
        return labels

    def requests(self) -> list[Request]:
        """Return all requests, the oldest first."""
        return self._select(Request, "true ORDER BY seq")

    def open_requests(self) -> list[Request]:
        """Return the requests that are not completed, the oldest first."""
        return self._select(Request, "state != 'COMPLETED' ORDER BY seq")

    def body_is_shared(self, body_file: str) -> bool:
        """Return whether more than one request has this body."""
        return bool(self._value("SELECT count(*) > 1 FROM requests WHERE body_file = ?", body_file))

    # Webhooks

    def delivery(self, request_id: str) -> Delivery | None:
        return self._get(Delivery, request_id)

    def deliveries(self) -> list[Delivery]:
        """Return all webhooks, the oldest first."""
        return self._select(Delivery, "true ORDER BY rowid")

    def pending_deliveries(self) -> list[tuple[float, str, str]]:
        """Return the time of the next attempt, request id and URL of the webhooks that have one."""
        query = "SELECT next_at, request_id, url FROM deliveries WHERE next_at IS NOT NULL"
        return self._db.execute(query).fetchall()

    # Files

    def file(self, path: str) -> StoredFile | None:
        return self._get(StoredFile, path)

    def files(self, owner: str | None = None) -> list[StoredFile]:
        """Return all files on the CDN, or those of one key."""
        return self._select(StoredFile, "owner = ifnull(?, owner)", owner)

    def files_of_request(self, request_id: str) -> list[StoredFile]:
        return self._select(StoredFile, "request_id = ?", request_id)

    def file_names(self) -> set[str]:
        return {name for (name,) in self._db.execute("SELECT disk FROM files")}

    # Rows of several tables

    def expired(self, kind: type[AnyRow], now: float) -> list[AnyRow]:
        """Return the requests with an expired result, or the expired files."""
        return self._select(kind, "expires_at <= ?", now)

    def expires_at(self) -> float:
        """Return when the next result or file expires, or an earlier time; infinity for never."""
        if self._expires_at == -math.inf:
            self.find_next_expiry()
        return self._expires_at

    def find_next_expiry(self) -> None:
        """Make `expires_at` exact."""
        earliest = "SELECT min(expires_at) FROM {} WHERE expires_at IS NOT NULL"
        times = (self._value(earliest.format(table)) for table in ("requests", "files"))
        self._expires_at = min((time for time in times if time is not None), default=math.inf)

    def all_faults(self) -> list[str]:
        """Return the distinct values of the `faults` columns."""
        texts = [f"SELECT faults FROM {table} WHERE faults NOTNULL" for table in TABLES.values()]
        return [text for (text,) in self._db.execute(" UNION ".join(texts))]

    def drop_faults(self, text: str) -> list[str]:
        """Clear a value of the `faults` columns; return the ids of the affected requests."""
        query = "SELECT id FROM requests WHERE faults = ?"
        ids = [request_id for (request_id,) in self._db.execute(query, (text,))]
        for table in TABLES.values():
            self._db.execute(f"UPDATE {table} SET faults = NULL WHERE faults = ?", (text,))
        self._recent.clear()
        return ids

    # Snapshots

    def rows(self) -> Rows:
        """Return all rows of all tables but `facts`."""
        tables = [*TABLES.values(), PAYLOADS]
        return {table: self._db.execute(f"SELECT * FROM {table}").fetchall() for table in tables}

    def replace(self, rows: Rows, *, later: float) -> None:
        """Replace all rows by earlier ones, and add `later` seconds to their times."""
        with self.transaction():
            for table, values in rows.items():
                self._db.execute(f"DELETE FROM {table}")
                if values:
                    marks = ", ".join("?" * len(values[0]))
                    self._db.executemany(f"INSERT INTO {table} VALUES ({marks})", values)
            self.shift(later)

    def shift(self, later: float) -> None:
        """Add `later` seconds to the times in all rows; they may be negative."""
        for row, columns in TIMES.items():
            moved = ", ".join(f"{column} = {column} + :later" for column in columns)
            self._db.execute(f"UPDATE {TABLES[row]} SET {moved}", {"later": later})
        self._recent.clear()
        self._expires_at = -math.inf


def _call_all(actions: Iterable[Callable[[], object]]) -> None:
    """Call every action; then raise the error of the last one that failed."""
    with ExitStack() as stack:
        for action in [*actions][::-1]:
            stack.callback(action)
