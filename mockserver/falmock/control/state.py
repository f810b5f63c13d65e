"""State: to forget it, to keep it, and to have it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from falmock.control.api import Operation
from falmock.control.schemas import Query
from falmock.control.snapshots import Snapshots

if TYPE_CHECKING:
    from falmock.control.snapshots import Snapshot
    from falmock.engine.emulator import Emulator

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class Reset(Query):
    """Whose; everybody's if nothing is said."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"test": "checkout"}, {"key": "me"}]})

    test: str | None = None
    key: str | None = Field(None, description="key id")


class Forgotten(BaseModel):
    """How many requests were forgotten."""

    requests: int


class SnapshotName(Query):
    """What to call a snapshot."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "logged-in"}]})

    name: Name


class SnapshotView(BaseModel):
    """A snapshot: when it was taken, by the emulator's clock, and how many requests it has."""

    name: str
    taken_at: float
    requests: int


class SnapshotList(BaseModel):
    """Snapshots, the oldest first."""

    snapshots: list[SnapshotView]


class State:
    """Resets an emulator, and keeps its snapshots."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._snapshots = Snapshots(emulator)

    @property
    def operations(self) -> list[Operation]:
        """What can be asked for."""
        unknown = {404: "there is no such snapshot"}
        return [
            Operation(
                "POST",
                "/reset",
                "Forget requests, webhooks and files: everybody's, or those of one test or key",
                self._reset,
                Reset,
                Forgotten,
            ),
            Operation("GET", "/snapshots", "List snapshots", self._list_snapshots, gives=SnapshotList),
            Operation(
                "POST",
                "/snapshots",
                "Keep all requests, webhooks and files as they are now",
                self._take_snapshot,
                SnapshotName,
                SnapshotView,
                201,
            ),
            Operation(
                "POST",
                "/snapshots/{name}/restore",
                "Have all requests, webhooks and files as they were",
                self._restore_snapshot,
                gives=SnapshotView,
                refusals=unknown | {409: "files of the snapshot are gone"},
            ),
            Operation(
                "DELETE",
                "/snapshots/{name}",
                "Forget a snapshot",
                self._drop_snapshot,
                status=204,
                refusals=unknown,
            ),
        ]

    async def _reset(self, asked: Reset) -> Forgotten:
        return Forgotten(requests=await self._emulator.manual.reset(test=asked.test, caller=asked.key))

    async def _list_snapshots(self) -> SnapshotList:
        return SnapshotList(snapshots=[_told(each) for each in self._snapshots.all()])

    async def _take_snapshot(self, asked: SnapshotName) -> SnapshotView:
        return _told(self._snapshots.take(asked.name))

    async def _restore_snapshot(self, name: str) -> SnapshotView:
        try:
            return _told(await self._snapshots.restore(name))
        except KeyError:
            raise HTTPException(404, f"there is no snapshot {name!r}") from None
        except FileNotFoundError:
            raise HTTPException(
                409, f"files of the snapshot {name!r} are gone; nothing was changed"
            ) from None

    async def _drop_snapshot(self, name: str) -> Response:
        try:
            self._snapshots.drop(name)
        except KeyError:
            raise HTTPException(404, f"there is no snapshot {name!r}") from None
        return Response(status_code=204)


def _told(snapshot: Snapshot) -> SnapshotView:
    return SnapshotView(name=snapshot.name, taken_at=snapshot.taken_at, requests=snapshot.requests)
