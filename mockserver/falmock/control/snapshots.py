"""Snapshots: all requests, webhooks and files as they once were, to go back to.

Time does not go back with them. What is restored is as old as it was when the snapshot was taken: all its
times are moved on by what has passed since, so that a request that had three seconds to run has three
seconds to run. Numbers of requests are not given out twice either, and rules stay as they are.
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
    """What an emulator knew.

    Attributes:
        name: as given.
        taken_at: unix seconds of the emulator's clock.
        requests: how many there were.
        rows: of the store.
        folder: with bodies and files.
    """

    name: str
    taken_at: float
    requests: int
    rows: Rows
    folder: Path


class Snapshots:
    """Those of one emulator; they live as long as it does."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._kept: dict[str, Snapshot] = {}

    def all(self) -> list[Snapshot]:
        """Return them, the oldest first."""
        return list(self._kept.values())

    def take(self, name: str) -> Snapshot:
        """Keep everything as it is now; an earlier snapshot of that name is dropped."""
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
        """Have everything as it was. Renderings and webhooks under way are broken off.

        Raises:
            KeyError: there is no snapshot of that name.
            OSError: one of its files is gone; nothing was changed.
            StorageUnavailable: it cannot be written; nothing was changed.
        """
        snapshot = self._kept[name]

        def put_back() -> None:
            later = self._emulator.clock.now() - snapshot.taken_at
            self._emulator.store.replace(snapshot.rows, later=later)
            self._emulator.files.put_back(snapshot.folder)

        await self._emulator.manual.restore(put_back)
        return snapshot

    def drop(self, name: str) -> None:
        """Forget a snapshot.

        Raises:
            KeyError: there is none of that name.
        """
        shutil.rmtree(self._kept.pop(name).folder, ignore_errors=True)
