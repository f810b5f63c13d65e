"""Snapshots of all requests, webhooks and files.

Time does not go back on a restore. All times in the snapshot are moved forward by the time that has passed
since it was taken: a request that had three seconds to run still has three seconds to run. Request numbers
are not reused, and rules do not change.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from falmock.engine.emulator import Emulator
    from falmock.engine.store import Rows


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A saved state.

    Attributes:
        taken_at: unix seconds of the emulator's clock.
        requests: the number of requests in it.
        rows: of the store.
        folder: has the bodies and files.
    """

    name: str
    taken_at: float
    requests: int
    rows: Rows
    folder: Path


class Snapshots:
    """The snapshots of one emulator, kept until it closes."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._kept: dict[str, Snapshot] = {}

    def all(self) -> list[Snapshot]:
        """Return the snapshots, the oldest first."""
        return list(self._kept.values())

    def take(self, name: str) -> Snapshot:
        """Save the state. A snapshot of the same name is replaced."""
        now = self._emulator.advance()
        folder = Path(tempfile.mkdtemp(dir=self._emulator.files.snapshots))
        try:
            self._emulator.files.keep(folder)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        rows = self._emulator.store.rows()
        if name in self._kept:
            self.drop(name)
        self._kept[name] = Snapshot(name, now, len(rows["requests"]), rows, folder)
        return self._kept[name]

    async def restore(self, name: str) -> Snapshot:
        """Restore a saved state. Renderings and deliveries in progress are cancelled.

        Raises:
            KeyError: the name is unknown.
            OSError: a file is missing; nothing was changed.
            StorageUnavailable: the state cannot be written; nothing was changed.
        """
        snapshot = self._kept[name]

        def put_back() -> None:
            later = self._emulator.clock.now() - snapshot.taken_at
            self._emulator.store.replace(snapshot.rows, later=later)
            self._emulator.files.put_back(snapshot.folder)

        await self._emulator.manual.restore(put_back)
        return snapshot

    def drop(self, name: str) -> None:
        """Delete a snapshot.

        Raises:
            KeyError: the name is unknown.
        """
        shutil.rmtree(self._kept.pop(name).folder, ignore_errors=True)
