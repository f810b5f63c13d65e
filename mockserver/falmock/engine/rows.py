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
    faults: str | None  # as `Injections.dump` returns them

    @property
    def injections(self) -> Injections:
        """The faults chosen for this row; equal texts are decoded once."""
        return Injections.parse(self.faults)


@dataclass(frozen=True, slots=True)
class Request(WithFaults):
    """A request, from its submission until it is forgotten."""

    id: str
    seq: int  # of the submission; with the seed it determines all random choices
    application: str  # "owner/alias"
    path: str  # the rest of the endpoint id, for example "image-to-video"
    caller: str
    test: str | None  # the test that it belongs to (see `calls`)
    origin: str  # the base URL of the submission, as `str(BaseURL)`
    direct: bool  # whether it came over the run host; such a request cannot be polled
    method: str
    content_type: str | None
    input_sha256: str  # of the body, in hex
    body_file: str | None  # SHA-256 of a large body, which is kept as a file; None for one in `payloads`
    submitted_at: float
    ready_at: float  # the earliest start
    run_seconds: float  # the minimum duration of the run
    priority: int  # see `queue`
    start_by: float | None  # the start timeout that the caller set
    retry: bool
    store_io: bool
    lifecycle: str | None  # JSON of the object lifecycle preference
    webhook: str | None
    faults: str | None = None
    state: str = State.IN_QUEUE
    started_at: float | None = None
    completed_at: float | None = None
    attempts: int = 0
    gateway_id: str = ""  # id of the last run; that of the first run is the request id
    status: int | None = None  # HTTP status of the outcome; None before completion
    headers: str = "{}"  # JSON of the outcome's headers
    error: str | None = None
    error_type: str | None = None
    expires_at: float | None = None  # when the result is deleted
    held: bool = False  # whether it stays in its state until it is released
    due_at: float | None = None  # when the control API ended its run

    @property
    def endpoint(self) -> str:
        return "/".join(filter(None, (self.application, self.path)))


@dataclass(frozen=True, slots=True)
class Delivery(WithFaults):
    """A webhook to deliver."""

    request_id: str
    url: str
    user_id: str  # fal's user id in the headers; a part of the signed message
    body: bytes  # the same bytes at each attempt
    attempts: int
    next_at: float | None  # when the next attempt is due; None after the last one
    give_up_at: float  # when the result expires; there is no attempt after that
    faults: str | None = None
    outcome: str = DeliveryState.PENDING  # a `DeliveryState`
    last: str | None = None  # the result of the last attempt, for example "200" or "connection refused"


@dataclass(frozen=True, slots=True)
class StoredFile(WithFaults):
    """A file on the CDN."""

    path: str  # the path of its URL, for example "/files/b/0aa9eef6/..._output.mp4"
    disk: str  # its name in the `files` folder
    content_type: str
    size: int
    owner: str  # the key id that uploaded or generated it
    created_at: float
    expires_at: float | None
    acl: str | None  # JSON of its access list; None allows every reader
    faults: str | None = None
    request_id: str | None = None  # the request that produced it; None for an upload


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
