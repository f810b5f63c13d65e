"""A database with injected write failures."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from falmock.engine.store import Store

WRITES: Final = ("BEGIN", "INSERT", "UPDATE", "DELETE", "RELEASE", "COMMIT")


def disk_full() -> sqlite3.OperationalError:
    """Return the error that SQLite raises on a full disk."""
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


class _Fragile:
    """A connection with failing writes."""

    def __init__(self, usual: sqlite3.Connection, *, after: int, times: float, rolls_back: bool) -> None:
        self._usual = usual
        self._after = after
        self._times = times
        self._rolls_back = rolls_back

    def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
        if sql.startswith(WRITES):
            self._after -= 1
            if self._after < 0 and self._times > 0:
                self._times -= 1
                if self._rolls_back and self._usual.in_transaction:
                    self._usual.execute("ROLLBACK")
                raise disk_full()
        return self._usual.execute(sql, *given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._usual, name)


@contextmanager
def failing(
    store: Store, *, after: int = 0, times: float = float("inf"), rolls_back: bool = False
) -> Iterator[None]:
    """Make writes fail within a block.

    Args:
        store: the store of the emulator.
        after: number of writes that succeed first.
        times: number of writes that fail; later writes succeed.
        rolls_back: whether SQLite also rolls back the transaction, which some errors do.
    """
    usual = store._db
    store._db = _Fragile(usual, after=after, times=times, rolls_back=rolls_back)  # type: ignore[assignment]
    try:
        yield
    finally:
        store._db = usual
