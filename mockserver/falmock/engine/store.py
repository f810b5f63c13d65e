"""The truth: requests, their payloads, webhook deliveries and files, in SQLite.

Called straight from the event loop: an insert that commits takes some 20 microseconds and a read
by key a third of that, less than a hop to a thread would. One process owns the database; a second
one that opens it is told so at once.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from falmock.engine import integrity
from falmock.engine.lifecycle import DeliveryState, State
from falmock.faults.injections import Injections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROBE: Final = 64 * 1024  # bytes


class StoreInUseError(Exception):
    """Another process holds the database."""


class WithFaults:
    """A row that carries injections."""

    __slots__ = ()
    faults: str | None

    @property
    def injections(self) -> Injections:
        """The faults chosen for this row; equal texts are decoded once."""
        return Injections.parse(self.faults)


@dataclass(frozen=True, slots=True)
class Request(WithFaults):
    """One request, from the submit to the day it is forgotten. Times are unix seconds.

    Attributes:
        id: what the caller knows it by.
        seq: rises with each submit; random choices about this request follow from it and the seed.
        application: as "fal-ai/veo2".
        path: the rest of the endpoint id, as "image-to-video".
        caller: the key id that submitted it.
        test: that it belongs to, or None (see `calls`).
        origin: how the submit arrived, so that URLs lead back the same way (see `http.origin`).
        direct: it came over the run host, and is nobody's to poll.
        method: HTTP method and content type of the submit, for the runner to judge.
        content_type: likewise.
        input_sha256: of the body, in hex.
        body_file: hex SHA-256 of a large body, which is in a file; None for one among the payloads.
        submitted_at: when it was accepted.
        ready_at: no runner takes it earlier.
        run_seconds: how long its run takes at least.
        priority: as in `queue`.
        start_by: the caller's deadline for the start, or None.
        retry: the platform may run it again after a 503 or 504.
        store_io: False when the caller asked to keep no payloads.
        lifecycle: JSON of the caller's object lifecycle preference, or None.
        webhook: where to deliver, or None.
        faults: the injections, as `Injections.dump` returns them.
        state: as the status says.
        started_at: when the run began that counts.
        completed_at: when it ended.
        attempts: how many runs there have been.
        gateway_id: names the last run; the request id unless it was run again.
        status: HTTP status of the outcome, None before.
        headers: JSON of the outcome's headers.
        error: text and type of a platform error, else None.
        error_type: likewise.
        expires_at: when the result is gone.
        held: it stays in its state.
        due_at: when its run was ended by hand; None for by itself.
    """

    id: str
    seq: int
    application: str
    path: str
    caller: str
    test: str | None
    origin: str
    direct: bool
    method: str
    content_type: str | None
    input_sha256: str
    body_file: str | None
    submitted_at: float
    ready_at: float
    run_seconds: float
    priority: int
    start_by: float | None
    retry: bool
    store_io: bool
    lifecycle: str | None
    webhook: str | None
    faults: str | None = None
    state: str = State.IN_QUEUE
    started_at: float | None = None
    completed_at: float | None = None
    attempts: int = 0
    gateway_id: str = ""
    status: int | None = None
    headers: str = "{}"
    error: str | None = None
    error_type: str | None = None
    expires_at: float | None = None
    held: bool = False
    due_at: float | None = None

    @property
    def endpoint(self) -> str:
        """The full endpoint id."""
        return "/".join(filter(None, (self.application, self.path)))


@dataclass(frozen=True, slots=True)
class Delivery(WithFaults):
    """A webhook on its way.

    Attributes:
        request_id: whose result it carries.
        url: where it goes.
        user_id: for the signature.
        body: what is posted, the same bytes at each attempt.
        attempts: how many there have been.
        next_at: when the next is due; None when there is none.
        give_up_at: when the result expires, and with it the reason to deliver.
        faults: the injections, as `Injections.dump` returns them.
        outcome: a `DeliveryState`.
        last: what the last attempt ended with, as "200" or "ConnectError".
    """

    request_id: str
    url: str
    user_id: str
    body: bytes
    attempts: int
    next_at: float | None
    give_up_at: float
    faults: str | None = None
    outcome: str = DeliveryState.PENDING
    last: str | None = None


@dataclass(frozen=True, slots=True)
class StoredFile(WithFaults):
    """A file on the CDN.

    Attributes:
        path: of its URL, as "/files/b/0aa9eef6/..._output.mp4".
        disk: its name in the files folder.
        content_type: as it is served.
        size: in bytes.
        owner: the key id that uploaded it or asked for it.
        created_at: unix seconds.
        expires_at: when it is gone; None for never.
        acl: JSON of its access list, or None for everybody.
        faults: the injections, as `Injections.dump` returns them.
        request_id: of the request whose run produced it; None for an upload.
    """

    path: str
    disk: str
    content_type: str
    size: int
    owner: str
    created_at: float
    expires_at: float | None
    acl: str | None
    faults: str | None = None
    request_id: str | None = None


Row = Request | Delivery | StoredFile
Rows = dict[str, list[tuple[Any, ...]]]  # of each table

_TABLES: Final[dict[type[Row], str]] = {
    Request: "requests",
    Delivery: "deliveries",
    StoredFile: "files",
}


def _listed(columns: list[str]) -> list[str]:
    return ["x'' AS body" if column == "body" else column for column in columns]


_COLUMNS: Final = {row: [column.name for column in dataclasses.fields(row)] for row in _TABLES}
_KEYS: Final = {row: columns[0] for row, columns in _COLUMNS.items()}
_TIMES: Final = {
    row: [column for column in columns if column.endswith(("_at", "_by"))]
    for row, columns in _COLUMNS.items()
}
_PAYLOADS: Final = "payloads"
_INSERT: Final = {
    row: f"INSERT INTO {_TABLES[row]} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    for row, columns in _COLUMNS.items()
}
_SELECT: Final = {
    row: f"SELECT {', '.join(columns)} FROM {_TABLES[row]} WHERE {_KEYS[row]} = ?"
    for row, columns in _COLUMNS.items()
}

PAGE: Final = 100  # rows that are read at once: about a millisecond
_LAST_ROW: Final = 2**63 - 1
# Rows are numbered as they come, so the number of a row is a cursor that no index needs.
_PAGE_UP: Final = {
    row: f"SELECT rowid, {', '.join(columns)} FROM {_TABLES[row]} WHERE rowid > ? ORDER BY rowid LIMIT ?"
    for row, columns in _COLUMNS.items()
}
_PAGE_DOWN: Final = {
    row: f"SELECT rowid, {', '.join(_listed(columns))} FROM {_TABLES[row]}"
    " WHERE rowid < ? ORDER BY rowid DESC LIMIT ?"
    for row, columns in _COLUMNS.items()
}

_LAYOUT: Final = 3
_FILES_OF_REQUEST: Final = "CREATE INDEX files_request ON files (request_id) WHERE request_id IS NOT NULL"
_EXPECTED: Final = {
    **{_TABLES[row]: columns for row, columns in _COLUMNS.items()},
    _PAYLOADS: ["request_id", "kind", "data"],
    "facts": ["name", "value"],
}
_INDEXES: Final = """
CREATE INDEX requests_open ON requests (seq) WHERE state != 'COMPLETED';
CREATE INDEX requests_expiry ON requests (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX requests_body ON requests (body_file) WHERE body_file IS NOT NULL;
CREATE INDEX deliveries_pending ON deliveries (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX files_expiry ON files (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE payloads (request_id TEXT, kind TEXT, data BLOB, PRIMARY KEY (request_id, kind));
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
"""


class Store:
    """An open database. All methods return at once.

    Args:
        path: the database file; None keeps it in memory.

    Raises:
        StoreInUseError: another process has it open.
        DamagedError: the file is damaged; it is not changed.
        VersionError: the file is from another version of falmock; it is not changed.
    """

    def __init__(self, path: Path | None) -> None:
        self._after: list[Callable[[], object]] = []
        self._undo: list[Callable[[], object]] = []
        try:
            if path is not None and path.exists():
                integrity.check(path, _LAYOUT, _EXPECTED)
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
            # EXCLUSIVE also spares the shared-memory file that WAL would need for several processes.
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            with self.transaction():
                (layout,) = self._db.execute("PRAGMA user_version").fetchone()
                if layout == 0:
                    self._create()
                integrity.set_aside_damaged_rows(self._db)
        except BaseException:
            self._db.close()
            raise

    def _create(self) -> None:
        for row, columns in _COLUMNS.items():
            rest = ", ".join(columns[1:])
            self._db.execute(f"CREATE TABLE {_TABLES[row]} ({_KEYS[row]} TEXT PRIMARY KEY, {rest})")
        for statement in filter(str.strip, _INDEXES.split(";")):
            self._db.execute(statement)
        self._db.execute(_FILES_OF_REQUEST)
        self._db.execute(f"PRAGMA user_version = {_LAYOUT}")

    def close(self) -> None:
        """Release the database."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._db.in_transaction

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside is written together, or not at all. May be nested."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # after some errors SQLite has rolled back by itself
                self._db.execute("ROLLBACK")
            self._take_back()
            raise
        self._undo.clear()
        after, self._after = self._after, []
        for action in after:
            action()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo only this part of a transaction if it raises."""
        after, undo = len(self._after), len(self._undo)
        self._db.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK TO part")
                self._db.execute("RELEASE part")
                self._take_back(after, undo)
            raise
        self._db.execute("RELEASE part")

    def on_commit(self, action: Callable[[], object]) -> None:
        """Call `action` after the commit, or immediately if no transaction is open."""
        if self._db.in_transaction:
            self._after.append(action)
        else:
            action()

    def on_rollback(self, action: Callable[[], object]) -> None:
        """Call `action` if the transaction is rolled back, in reverse order of registration."""
        if self._db.in_transaction:
            self._undo.append(action)

    def _take_back(self, after: int = 0, undo: int = 0) -> None:
        del self._after[after:]
        while len(self._undo) > undo:
            self._undo.pop()()

    def probe(self) -> None:
        """Write 64 KiB and delete them again.

        Raises:
            sqlite3.OperationalError: the write fails.
        """
        self.remember("probe", bytes(PROBE))
        self._db.execute("DELETE FROM facts WHERE name = 'probe'")

    def fact(self, name: str) -> Any:
        """Return a single remembered value, or None."""
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def remember(self, name: str, value: float | bytes | str) -> None:
        """Keep a single value."""
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def insert(self, row: Row) -> None:
        """Write a new row."""
        kind = type(row)
        self._db.execute(_INSERT[kind], [getattr(row, column) for column in _COLUMNS[kind]])

    def update(self, kind: type[Row], key: str, **changes: object) -> None:
        """Change some columns of a row."""
        columns = ", ".join(f"{column} = ?" for column in changes)
        self._db.execute(
            f"UPDATE {_TABLES[kind]} SET {columns} WHERE {_KEYS[kind]} = ?",
            [*changes.values(), key],
        )

    def delete(self, kind: type[Row], key: str) -> None:
        """Forget a row."""
        self._db.execute(f"DELETE FROM {_TABLES[kind]} WHERE {_KEYS[kind]} = ?", (key,))

    def request(self, request_id: str) -> Request | None:
        """Return a request by its id."""
        row = self._db.execute(_SELECT[Request], (request_id,)).fetchone()
        return Request(*row) if row else None

    def keep(self, request_id: str, kind: str, data: bytes) -> None:
        """Write a payload, "input" or "output", beside a request, so that who polls does not read it."""
        self._db.execute("INSERT OR REPLACE INTO payloads VALUES (?, ?, ?)", (request_id, kind, data))

    def payload(self, request_id: str, kind: str) -> bytes | None:
        """Return a payload, or None when it is gone."""
        query = "SELECT data FROM payloads WHERE request_id = ? AND kind = ?"
        row = self._db.execute(query, (request_id, kind)).fetchone()
        return row[0] if row else None

    def drop(self, request_id: str, *kinds: str) -> None:
        """Forget payloads."""
        for kind in kinds:
            self._db.execute("DELETE FROM payloads WHERE request_id = ? AND kind = ?", (request_id, kind))

    def delivery(self, request_id: str) -> Delivery | None:
        """Return the delivery of a request's webhook."""
        row = self._db.execute(_SELECT[Delivery], (request_id,)).fetchone()
        return Delivery(*row) if row else None

    def file(self, path: str) -> StoredFile | None:
        """Return a file by the path of its URL."""
        row = self._db.execute(_SELECT[StoredFile], (path,)).fetchone()
        return StoredFile(*row) if row else None

    def next_seq(self) -> int:
        """Return the number of the next request; numbers are not used twice, even for forgotten ones."""
        seq = int(self.fact("seq") or 0) + 1
        self.remember("seq", seq)
        return seq

    def requests(self) -> list[Request]:
        """Return all requests that are remembered, in the order of their submits."""
        return self._select(Request, "true ORDER BY seq")

    def request_pages(self) -> Iterator[list[Request]]:
        """Yield all requests in the order of their submits, `PAGE` at a time; what comes meanwhile too."""
        last = 0
        while rows := self._db.execute(_PAGE_UP[Request], (last, PAGE)).fetchall():
            last = rows[-1][0]
            yield [Request(*row) for _, *row in rows]

    def request_pages_before(self, request_id: str | None) -> Iterator[list[Request]]:
        """Yield the requests before one, or all, the newest first, `PAGE` at a time.

        Raises:
            KeyError: there is no request of that id.
        """
        for rows in self._pages_down(Request, request_id):
            yield [Request(*row) for row in rows]

    def delivery_pages_before(self, request_id: str | None) -> Iterator[list[Delivery]]:
        """Yield the webhooks before a request's, or all, the newest first and without their bodies.

        Raises:
            KeyError: there is no webhook of that request.
        """
        for rows in self._pages_down(Delivery, request_id):
            yield [Delivery(*row) for row in rows]

    def _pages_down(self, kind: type[Row], key: str | None) -> Iterator[list[Any]]:
        first = _LAST_ROW
        if key is not None:
            query = f"SELECT rowid FROM {_TABLES[kind]} WHERE {_KEYS[kind]} = ?"
            if (found := self._db.execute(query, (key,)).fetchone()) is None:
                raise KeyError(key)
            (first,) = found
        while rows := self._db.execute(_PAGE_DOWN[kind], (first, PAGE)).fetchall():
            first = rows[-1][0]
            yield [row[1:] for row in rows]

    def deliveries(self) -> list[Delivery]:
        """Return the webhooks that are remembered, the oldest first."""
        return self._select(Delivery, "true ORDER BY rowid")

    def files(self, owner: str | None = None) -> list[StoredFile]:
        """Return the files on the CDN: all, or those of one key."""
        return self._select(StoredFile, "owner = ifnull(?, owner)", owner)

    def files_of_request(self, request_id: str) -> list[StoredFile]:
        """Return the files that the runs of a request have produced."""
        return self._select(StoredFile, "request_id = ?", request_id)

    def file_names(self) -> set[str]:
        """Return the names on disk of all files on the CDN."""
        return {name for (name,) in self._db.execute("SELECT disk FROM files")}

    def delivered(self) -> int:
        """Return how many webhooks have arrived."""
        query = f"SELECT count(*) FROM deliveries WHERE outcome = '{DeliveryState.DELIVERED}'"
        return int(self._db.execute(query).fetchone()[0])

    def open_requests(self) -> list[Request]:
        """Return the requests that are not completed, in the order of their submits."""
        return self._select(Request, "state != 'COMPLETED' ORDER BY seq")

    def pending_deliveries(self) -> list[Delivery]:
        """Return the deliveries that have another attempt before them."""
        return self._select(Delivery, "next_at IS NOT NULL")

    def expired_requests(self, now: float) -> list[Request]:
        """Return the requests whose payload is due to go."""
        return self._select(Request, "expires_at <= ?", now)

    def expired_files(self, now: float) -> list[StoredFile]:
        """Return the files whose time is up."""
        return self._select(StoredFile, "expires_at <= ?", now)

    def next_expiry_at(self) -> float | None:
        """Return when the next request or file expires."""
        times = (self._min("expires_at", "requests"), self._min("expires_at", "files"))
        return min((time for time in times if time is not None), default=None)

    def body_is_shared(self, body_file: str) -> bool:
        """Tell whether more than one request names this body."""
        (count,) = self._db.execute(
            "SELECT count(*) FROM requests WHERE body_file = ?", (body_file,)
        ).fetchone()
        return bool(count > 1)

    def all_faults(self) -> list[str]:
        """Return the distinct values of the `faults` columns."""
        texts = [f"SELECT faults FROM {table} WHERE faults NOTNULL" for table in _TABLES.values()]
        return [text for (text,) in self._db.execute(" UNION ".join(texts))]

    def drop_faults(self, text: str) -> list[str]:
        """Clear a value of the `faults` columns; return the ids of the affected requests."""
        query = "SELECT id FROM requests WHERE faults = ?"
        ids = [request_id for (request_id,) in self._db.execute(query, (text,))]
        for table in _TABLES.values():
            self._db.execute(f"UPDATE {table} SET faults = NULL WHERE faults = ?", (text,))
        return ids

    def latest_time(self) -> float:
        """Return the latest time that was written down, or 0."""
        query = "SELECT max(max(submitted_at, ifnull(started_at, 0), ifnull(completed_at, 0))) FROM requests"
        (latest,) = self._db.execute(query).fetchone()
        return max(float(latest or 0), float(self.fact("time") or 0))

    def rows(self) -> Rows:
        """Return all rows, but for the facts."""
        tables = [*_TABLES.values(), _PAYLOADS]
        return {table: self._db.execute(f"SELECT * FROM {table}").fetchall() for table in tables}

    def replace(self, rows: Rows, *, later: float) -> None:
        """Put rows in place of all that there are, with their times so many seconds later."""
        with self.transaction():
            for table, values in rows.items():
                self._db.execute(f"DELETE FROM {table}")
                if values:
                    marks = ", ".join("?" * len(values[0]))
                    self._db.executemany(f"INSERT INTO {table} VALUES ({marks})", values)
            for row, columns in _TIMES.items():
                moved = ", ".join(f"{column} = {column} + :later" for column in columns)
                self._db.execute(f"UPDATE {_TABLES[row]} SET {moved}", {"later": later})

    def _select(self, kind: type[Any], where: str, *parameters: object) -> list[Any]:
        query = f"SELECT {', '.join(_COLUMNS[kind])} FROM {_TABLES[kind]} WHERE {where}"
        return [kind(*row) for row in self._db.execute(query, parameters)]

    def _min(self, column: str, table: str) -> float | None:
        (value,) = self._db.execute(
            f"SELECT min({column}) FROM {table} WHERE {column} IS NOT NULL"
        ).fetchone()
        return value  # type: ignore[no-any-return]  # sqlite3 is untyped here
