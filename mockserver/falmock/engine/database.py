"""An SQLite database that one process owns, with nested transactions and actions that follow their end."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final, Self

from falmock.engine import integrity, schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

DATABASE: Final = "falmock.db"  # its name in a state folder
CHECKPOINT: Final = 250  # pages of the log: a quarter of SQLite's default, because a commit waits for it


class StoreInUseError(Exception):
    """Another process has the database open."""


class Database:
    """An open database with the tables of `schema`.

    Args:
        path: the database file; None keeps it in memory.

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
                    for statement in schema.CREATE:
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


def _call_all(actions: Iterable[Callable[[], object]]) -> None:
    """Call every action; then raise the error of the last one that failed."""
    with ExitStack() as stack:
        for action in [*actions][::-1]:
            stack.callback(action)
