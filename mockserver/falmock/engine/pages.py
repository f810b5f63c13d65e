"""Reads many rows for pages, bills and figures, a part at a time, so that a read takes a few milliseconds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from falmock.engine.lifecycle import DeliveryState, State
from falmock.engine.rows import COLUMNS, KEYS, SELECT, TABLES, Delivery, Request

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

PAGE: Final = 100  # rows of one read: about a millisecond
SLICE: Final = 1000  # rows that one step of a selection reads
PIECE: Final = 250  # summaries of one read: half a millisecond
_LAST_ROW: Final = 2**63 - 1

# The newest first. The beginning of a failed request's result has the type of its error.
_SUMMARIES: Final = """
    SELECT rowid, submitted_at, started_at, completed_at, status, error_type, application, path, test,
        headers, CASE WHEN status >= 400 THEN (
            SELECT substr(data, 1, 1000) FROM payloads
            WHERE request_id = requests.id AND kind = 'output'
        ) END
    FROM requests WHERE rowid < ? ORDER BY rowid DESC LIMIT ?
"""

_ENDPOINT: Final = "iif(path = '', application, application || '/' || path)"
_NAMES: Final = ("id", _ENDPOINT, "caller", "test", "error_type")
_INPUT: Final = "(SELECT data FROM payloads WHERE request_id = requests.id AND kind = 'input')"


class Condition(StrEnum):
    """The state of a request, or a state with its outcome."""

    IN_QUEUE = "in_queue"
    IN_PROGRESS = "in_progress"
    HELD = "held"
    COMPLETED = "completed"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


_CONDITIONS: Final = {
    Condition.IN_QUEUE: f"state = '{State.IN_QUEUE}'",
    Condition.IN_PROGRESS: f"state = '{State.IN_PROGRESS}'",
    Condition.HELD: f"state != '{State.COMPLETED}' AND held",
    Condition.COMPLETED: f"state = '{State.COMPLETED}'",
    Condition.SUCCEEDED: "status < 400",
    Condition.FAILED: "status >= 400",
}


@dataclass(frozen=True, slots=True)
class Selection:
    """Selects the requests that match all given fields."""

    condition: Condition | None = None
    endpoint: str | None = None  # a pattern, in which `*` matches any text
    caller: str | None = None
    test: str | None = None
    # A part of the id, the endpoint, the caller, the test, the error type or the input, in any case.
    # Inputs that are kept in files are not searched.
    text: str | None = None

    def sql(self) -> tuple[str, list[Any]]:
        """Return the condition for a row of `requests`, and its parameters."""
        terms, parameters = ["true"], list[Any]()
        if self.condition is not None:
            terms.append(_CONDITIONS[self.condition])
        for column, value in (("caller", self.caller), ("test", self.test)):
            if value is not None:
                terms.append(f"{column} = ?")
                parameters.append(value)
        if self.endpoint is not None:
            terms.append(f"{_ENDPOINT} GLOB ?")
            parameters.append(self.endpoint)
        if self.text is not None:
            escaped = json.dumps(self.text)[1:-1]  # the input is JSON, with or without escapes
            terms.append(
                f"({' OR '.join(f'instr(lower({column}), ?)' for column in _NAMES)}"
                f" OR instr(lower(CAST({_INPUT} AS TEXT)), ?) OR instr(lower(CAST({_INPUT} AS TEXT)), ?))"
            )
            needle = _lower(self.text)
            parameters += [needle] * (len(_NAMES) + 1) + [_lower(escaped)]
        return " AND ".join(terms), parameters


def _lower(text: str) -> str:
    """Return a text with the letters A to Z in lower case, as SQLite's `lower` does."""
    return text.encode(errors="replace").lower().decode()


class Summary(NamedTuple):
    """The columns of a request that figures about many of them need."""

    submitted_at: float
    started_at: float | None
    completed_at: float | None
    status: int | None
    error_type: str | None
    application: str
    path: str
    test: str | None
    headers: str
    beginning: bytes | None  # the first bytes of a failed request's result; None for any other request

    @property
    def endpoint(self) -> str:
        return f"{self.application}/{self.path}" if self.path else self.application


class Pages:
    """The part of the store that reads many rows.

    Row ids grow with each insert, so they serve as cursors that need no index.
    """

    _db: sqlite3.Connection

    def count_requests(self) -> tuple[int, int]:
        """Return the number of all requests and of those that are not completed."""
        counts = "SELECT count(*), (SELECT count(*) FROM requests WHERE state != 'COMPLETED') FROM requests"
        every, unfinished = self._db.execute(counts).fetchone()
        return every, unfinished

    def delivered(self) -> int:
        count = f"SELECT count(*) FROM deliveries WHERE outcome = '{DeliveryState.DELIVERED}'"
        return int(self._db.execute(count).fetchone()[0])

    def request_pages(self) -> Iterator[list[Request]]:
        """Yield all requests, the oldest first, `PAGE` at a time. Later ones are included."""
        columns = ", ".join(COLUMNS[Request])
        query = f"SELECT rowid, {columns} FROM requests WHERE rowid > ? ORDER BY rowid LIMIT ?"
        last = 0
        while rows := self._db.execute(query, (last, PAGE)).fetchall():
            last = rows[-1][0]
            yield [Request(*row) for _, *row in rows]

    def request_pages_before(self, request_id: str | None) -> Iterator[list[Request]]:
        """Yield the requests before one (None: all), the newest first, `PAGE` at a time.

        Raises:
            KeyError: there is no request of that id.
        """
        return self._pages_down(Request, request_id)

    def selected_pages_before(self, selection: Selection, request_id: str | None) -> Iterator[list[Request]]:
        """Yield the selected requests before one (None: all), the newest first.

        Each list has those among `SLICE` rows, which takes a few milliseconds, and may be empty.

        Raises:
            KeyError: there is no request of that id.
        """
        condition, parameters = selection.sql()
        query = f"{SELECT[Request]} WHERE rowid < ? AND rowid >= ? AND {condition} ORDER BY rowid DESC"
        (newest,) = self._db.execute("SELECT ifnull(max(rowid), 0) FROM requests").fetchone()
        end = min(self._cursor(Request, request_id), newest + 1)
        while end > 0:
            start = end - SLICE
            yield [Request(*row) for row in self._db.execute(query, (end, start, *parameters))]
            end = start

    def delivery_pages_before(self, request_id: str | None) -> Iterator[list[Delivery]]:
        """Yield the webhooks before a request's (None: all), the newest first and without bodies.

        Raises:
            KeyError: there is no webhook of that request.
        """
        return self._pages_down(Delivery, request_id)

    def _pages_down(self, kind: type[Any], key: str | None) -> Iterator[list[Any]]:
        columns = ", ".join("x'' AS body" if column == "body" else column for column in COLUMNS[kind])
        query = f"SELECT rowid, {columns} FROM {TABLES[kind]} WHERE rowid < ? ORDER BY rowid DESC LIMIT ?"
        cursor = self._cursor(kind, key)
        while rows := self._db.execute(query, (cursor, PAGE)).fetchall():
            cursor = rows[-1][0]
            yield [kind(*row) for _, *row in rows]

    def _cursor(self, kind: type[Any], key: str | None) -> int:
        """Return the row id of a key, or one above all others."""
        if key is None:
            return _LAST_ROW
        row = self._db.execute(f"SELECT rowid FROM {TABLES[kind]} WHERE {KEYS[kind]} = ?", (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        return int(row[0])

    def summaries(self, since: float) -> Iterator[list[Summary]]:
        """Yield the requests that were submitted since a time, the newest first, `PIECE` at a time."""
        cursor = _LAST_ROW
        while rows := self._db.execute(_SUMMARIES, (cursor, PIECE)).fetchall():
            cursor = rows[-1][0]
            yield [summary for _, *row in rows if (summary := Summary(*row)).submitted_at >= since]
            if rows[-1][1] < since:
                return

    def submits(self, newest: int) -> tuple[float, float] | None:
        """Return when the first and the last of the newest requests were submitted; None without any.

        Those that were deleted since count as well.
        """
        first = "SELECT submitted_at FROM requests WHERE rowid > (SELECT max(rowid) FROM requests) - ?"
        last = "SELECT submitted_at FROM requests ORDER BY rowid DESC"
        found = self._db.execute(f"{first} ORDER BY rowid LIMIT 1", (newest,)).fetchone()
        return None if found is None else (found[0], self._db.execute(f"{last} LIMIT 1").fetchone()[0])
