"""Requests: how they stand, and what is done to them by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from falmock.control.api import Operation
from falmock.control.schemas import Patience, Query, no_request, patience, plainly
from falmock.engine.delivery import without_secrets
from falmock.engine.lifecycle import State
from falmock.faults.vocabulary import FaultError, parse
from falmock.http.listing import in_turns
from falmock.protocol.patterns import LONGEST, matches

if TYPE_CHECKING:
    from falmock.engine.emulator import Emulator
    from falmock.engine.rows import Request


class RequestFilter(Query):
    """Which requests: all that fit, the newest `limit` of them."""

    state: State | None = None
    endpoint: str | None = Field(None, max_length=LONGEST, description="with * for anything")
    caller: str | None = Field(None, description="key id")
    test: str | None = None
    limit: int = Field(100, ge=1, le=10_000)
    before: str | None = Field(None, description="a request id: only those that were submitted earlier")


class RequestView(BaseModel):
    """A request as it stands. Times are unix seconds of the emulator's clock."""

    id: str
    endpoint: str
    caller: str
    test: str | None
    state: State
    held: bool
    position: int | None
    submitted_at: float
    started_at: float | None
    completed_at: float | None
    attempts: int
    status: int | None
    error_type: str | None
    webhook: str | None
    faults: list[str]


class RequestList(BaseModel):
    """Requests in the order of their submits; to go on with the older ones, ask with this `before`."""

    requests: list[RequestView]
    before: str | None


class RequestWait(Query):
    """Until when."""

    state: State = State.COMPLETED
    within: Patience = 10.0


class Finish(Query):
    """How long to wait for the rendering."""

    within: Patience = 10.0


class Failure(Query):
    """What a request shall end with."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"fault": "content_policy_violation"}]})

    fault: str


class Requests:
    """Lists requests, waits for them, and takes them in hand."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    @property
    def operations(self) -> list[Operation]:
        """What can be asked for."""
        unknown = {404: "there is no such request"}
        over = {409: "it is completed, and nothing can happen to it any more"}
        late = {408: "it was not reached in time"}
        return [
            Operation(
                "GET",
                "/requests",
                "List requests",
                self._list_requests,
                takes=RequestFilter,
                gives=RequestList,
                refusals={404: "there is no such request to begin before"},
            ),
            Operation(
                "GET",
                "/requests/{id}",
                "Tell how a request stands",
                self._tell_request,
                gives=RequestView,
                refusals=unknown,
            ),
            Operation(
                "GET",
                "/requests/{id}/wait",
                "Wait until a request is in a state, or completed: after that nothing comes",
                self._wait_for_request,
                takes=RequestWait,
                gives=RequestView,
                refusals=unknown | late,
            ),
            Operation(
                "POST",
                "/requests/{id}/hold",
                "Keep a request in its state: no runner takes it, or its run does not end",
                self._hold,
                gives=RequestView,
                refusals=unknown | over,
            ),
            Operation(
                "POST",
                "/requests/{id}/release",
                "Let a request go on that was held",
                self._release,
                gives=RequestView,
                refusals=unknown | over,
            ),
            Operation(
                "POST",
                "/requests/{id}/finish",
                "End a request now with its own outcome, and wait until that is rendered",
                self._finish,
                takes=Finish,
                gives=RequestView,
                refusals=unknown | over | late,
            ),
            Operation(
                "POST",
                "/requests/{id}/fail",
                "End a request now with an error of the model or the platform",
                self._fail,
                takes=Failure,
                gives=RequestView,
                refusals=unknown | over,
            ),
        ]

    async def _list_requests(self, asked: RequestFilter) -> RequestList:
        self._emulator.advance()
        found: list[RequestView] = []
        before = asked.before.lower() if asked.before is not None else None
        try:
            async for page in in_turns(self._emulator.store.request_pages_before(before)):
                found += [self._told(each) for each in page if _fits(each, asked)]
                if len(found) > asked.limit:
                    break
        except KeyError:
            raise no_request(str(asked.before)) from None
        shown = found[: asked.limit][::-1]
        return RequestList(requests=shown, before=shown[0].id if len(found) > asked.limit else None)

    async def _tell_request(self, request_id: str) -> RequestView:
        request = self._emulator.request(request_id.lower())
        if request is None:
            raise no_request(request_id)
        return self._told(request)

    async def _wait_for_request(self, request_id: str, asked: RequestWait) -> RequestView:
        with plainly(request_id):
            async with patience(asked.within, f"{request_id} is not {asked.state}"):
                return self._told(await self._emulator.wait_for(request_id.lower(), asked.state))

    async def _hold(self, request_id: str) -> RequestView:
        with plainly(request_id):
            return self._told(self._emulator.manual.hold(request_id.lower()))

    async def _release(self, request_id: str) -> RequestView:
        with plainly(request_id):
            return self._told(self._emulator.manual.release(request_id.lower()))

    async def _finish(self, request_id: str, asked: Finish) -> RequestView:
        with plainly(request_id):
            self._emulator.manual.finish(request_id.lower())
        return await self._wait_for_request(request_id, RequestWait(within=asked.within))

    async def _fail(self, request_id: str, asked: Failure) -> RequestView:
        with plainly(request_id):
            try:
                return self._told(self._emulator.manual.fail(request_id.lower(), parse(asked.fault)))
            except FaultError as error:
                raise HTTPException(422, str(error)) from None

    def _told(self, request: Request) -> RequestView:
        waits = request.state == State.IN_QUEUE
        return RequestView(
            id=request.id,
            endpoint=request.endpoint,
            caller=request.caller,
            test=request.test,
            state=State(request.state),
            held=bool(request.held),
            position=self._emulator.position(request) if waits else None,
            submitted_at=request.submitted_at,
            started_at=request.started_at,
            completed_at=request.completed_at,
            attempts=request.attempts,
            status=request.status,
            error_type=request.error_type,
            webhook=None if request.webhook is None else without_secrets(request.webhook),
            faults=list(request.injections),
        )


def _fits(request: Request, asked: RequestFilter) -> bool:
    return (
        asked.state in {None, request.state}
        and asked.caller in {None, request.caller}
        and asked.test in {None, request.test}
        and (asked.endpoint is None or matches(request.endpoint, asked.endpoint))
    )
