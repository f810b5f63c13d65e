"""Operations on the whole state: locks, reset and snapshots."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException
from starlette.responses import Response

from falmock.control.api import operation
from falmock.control.schemas import (
    Account,
    LocksView,
    Reset,
    ResetResult,
    SnapshotIn,
    SnapshotList,
    SnapshotView,
)
from falmock.control.snapshots import Snapshots
from falmock.inspection.journal import journal_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from falmock.engine.emulator import Emulator

UNKNOWN: Final = {404: "there is no such snapshot"}


class LockControl:
    """Locks and unlocks accounts."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    @operation("GET", "/locks")
    async def locks(self) -> LocksView:
        """Show which accounts are locked."""
        locks = self._emulator.locks
        redact = journal_of(self._emulator).redact
        return LocksView(everyone=locks.everyone, exceptions=sorted(map(redact.text, locks.exceptions)))

    @operation("POST", "/lock")
    async def lock(self, body: Account) -> LocksView:
        """Lock an account or all: submits are refused, and waiting requests do not start."""
        self._emulator.manual.lock(body.key)
        return await self.locks()

    @operation("POST", "/unlock")
    async def unlock(self, body: Account) -> LocksView:
        """Unlock an account or all: waiting requests start."""
        self._emulator.manual.unlock(body.key)
        return await self.locks()


class StateControl:
    """Resets an emulator, and keeps its snapshots."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._snapshots = Snapshots(emulator)

    @operation("POST", "/reset")
    async def reset(self, body: Reset) -> ResetResult:
        """Remove requests, webhooks and files: all, or those of a test or a key."""
        return ResetResult(requests=await self._emulator.manual.reset(test=body.test, caller=body.key))

    @operation("GET", "/snapshots")
    async def list_snapshots(self) -> SnapshotList:
        """List snapshots."""
        return SnapshotList(
            snapshots=[SnapshotView.model_validate(snapshot) for snapshot in self._snapshots.all()]
        )

    @operation("POST", "/snapshots", status=201)
    async def take(self, body: SnapshotIn) -> SnapshotView:
        """Save all requests, webhooks and files."""
        return SnapshotView.model_validate(self._snapshots.take(body.name))

    @operation(
        "POST", "/snapshots/{name}/restore", refusals=UNKNOWN | {409: "files of the snapshot are missing"}
    )
    async def restore(self, name: str) -> SnapshotView:
        """Restore all requests, webhooks and files."""
        with _known(name):
            try:
                return SnapshotView.model_validate(await self._snapshots.restore(name))
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
