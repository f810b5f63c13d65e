"""Operations on the whole state: locks, reset, and snapshots of all requests, webhooks and files.

Time does not go back on a restore. All times in the snapshot are moved forward by the time that has passed
since it was taken: a request that had three seconds to run still has three seconds to run. Request numbers
are not reused, and rules do not change.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException
from starlette.responses import Response

from falmock.control import schemas
from falmock.control.api import Part, operation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from falmock.engine.emulator import Emulator
    from falmock.engine.store import Rows

UNKNOWN: Final = {404: "there is no such snapshot"}


class LockControl(Part):
    """Locks and unlocks accounts."""

    @operation("GET", "/locks")
    async def locks(self) -> schemas.LocksView:
        """Show which accounts are locked."""
        locks = self._emulator.locks
        return schemas.LocksView(
            everyone=locks.everyone, exceptions=sorted(map(self._redact.text, locks.exceptions))
        )

    @operation("POST", "/lock")
    async def lock(self, body: schemas.Account) -> schemas.LocksView:
        """Lock an account or all: submits are refused, and waiting requests do not start."""
        self._emulator.manual.lock(body.key)
        return await self.locks()

    @operation("POST", "/unlock")
    async def unlock(self, body: schemas.Account) -> schemas.LocksView:
        """Unlock an account or all: waiting requests start."""
        self._emulator.manual.unlock(body.key)
        return await self.locks()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A saved state.

    Attributes:
        taken_at: unix seconds of the emulator's clock.
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
        """Delete a snapshot; an unknown name is a KeyError."""
        shutil.rmtree(self._kept.pop(name).folder, ignore_errors=True)


class StateControl(Part):
    """Resets an emulator, and keeps its snapshots."""

    def __init__(self, emulator: Emulator) -> None:
        super().__init__(emulator)
        self._snapshots = Snapshots(emulator)

    @operation("POST", "/reset")
    async def reset(self, body: schemas.Reset) -> schemas.ResetResult:
        """Remove requests, webhooks and files: all, or those of a test or a key."""
        return schemas.ResetResult(
            requests=await self._emulator.manual.reset(test=body.test, caller=body.key)
        )

    @operation("GET", "/snapshots")
    async def list_snapshots(self) -> schemas.SnapshotList:
        """List snapshots."""
        return schemas.SnapshotList(
            snapshots=[schemas.SnapshotView.model_validate(snapshot) for snapshot in self._snapshots.all()]
        )

    @operation("POST", "/snapshots", status=201)
    async def take(self, body: schemas.SnapshotIn) -> schemas.SnapshotView:
        """Save all requests, webhooks and files."""
        return schemas.SnapshotView.model_validate(self._snapshots.take(body.name))

    @operation(
        "POST", "/snapshots/{name}/restore", refusals=UNKNOWN | {409: "files of the snapshot are missing"}
    )
    async def restore(self, name: str) -> schemas.SnapshotView:
        """Restore all requests, webhooks and files."""
        with _known(name):
            try:
                return schemas.SnapshotView.model_validate(await self._snapshots.restore(name))
            except FileNotFoundError:
                raise HTTPException(
                    409, f"files of the snapshot {name!r} are missing; nothing was changed"
                ) from None

    @operation("DELETE", "/snapshots/{name}", status=204, refusals=UNKNOWN)
    async def drop(self, name: str) -> Response:
        """Delete a snapshot."""
        with _known(name):
            self._snapshots.drop(name)
        return Response(status_code=204)


@contextmanager
def _known(name: str) -> Iterator[None]:
    try:
        yield
    except KeyError:
        raise HTTPException(404, f"there is no snapshot {name!r}") from None
