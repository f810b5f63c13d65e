"""The rows of the database, its tables, and the SQL statements for single rows.

Each row class has a table with one column per field. The first field is the primary key. Payloads have a
separate table, so that a status poll does not read them. `facts` has single values by name.
All times are unix seconds of the emulator's clock.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from falmock.engine.lifecycle import DeliveryState, State
from falmock.faults.effects import Injections


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
    """A request, from its submission until it is forgotten.

    Attributes:
        seq: the number of the submission; with the seed it determines all random choices.
        application: "owner/alias".
        path: the rest of the endpoint id, for example "image-to-video".
        test: the test that it belongs to (see `calls`), or None.
        origin: the base URL of the submission (see `hosts.BaseURL`).
        direct: whether it came over the run host; such a request cannot be polled.
        input_sha256: of the body, in hex.
        body_file: hex SHA-256 of a large body, which is kept as a file. None for a body in `payloads`.
        ready_at: the earliest start.
        run_seconds: the minimum duration of the run.
        priority: see `queue`.
        start_by: the start timeout that the caller set, or None.
        lifecycle: JSON of the object lifecycle preference, or None.
        faults: the injections, as `Injections.dump` returns them.
        gateway_id: id of the last run; that of the first run is the request id.
        status: HTTP status of the outcome; None before completion.
        headers: JSON of the outcome's headers.
        expires_at: when the result is deleted.
        held: whether it stays in its state until it is released.
        due_at: when the control API ended its run, or None.
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
    """A webhook to deliver.

    Attributes:
        user_id: fal's user id in the headers; a part of the signed message.
        body: the same bytes at each attempt.
        next_at: when the next attempt is due; None after the last one.
        give_up_at: when the result expires; there is no attempt after that.
        faults: the injections, as `Injections.dump` returns them.
        outcome: a `DeliveryState`.
        last: the result of the last attempt, for example "200" or "connection refused".
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
        path: the path of its URL, for example "/files/b/0aa9eef6/..._output.mp4".
        disk: its name in the `files` folder.
        owner: the key id that uploaded or generated it.
        acl: JSON of its access list; None allows every reader.
        faults: the injections, as `Injections.dump` returns them.
        request_id: the request that produced it; None for an upload.
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
