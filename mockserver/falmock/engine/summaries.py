"""Reads the columns of many requests that figures need, in pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from falmock.engine.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE: Final = 250  # rows of one read: half a millisecond
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


class Summary(NamedTuple):
    """The columns of a request that figures about many of them need.

    Attributes:
        beginning: of the result of a failed request; None for another.
    """

    submitted_at: float
    started_at: float | None
    completed_at: float | None
    status: int | None
    error_type: str | None
    application: str
    path: str
    test: str | None
    headers: str
    beginning: bytes | None

    @property
    def endpoint(self) -> str:
        """The full endpoint id."""
        return f"{self.application}/{self.path}" if self.path else self.application


class Summaries(Database):
    """A database of requests, read for figures."""

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
