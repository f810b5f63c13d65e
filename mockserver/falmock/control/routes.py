"""The control API as an application. `http.guard` decides which calls are allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse
from starlette.routing import Mount, Router

from falmock import __version__
from falmock.control.api import Operation, document, operation, operations, routes
from falmock.control.clock import ClockControl
from falmock.control.inspection import InspectionControl
from falmock.control.requests import RequestControl, WebhookControl
from falmock.control.rules import RuleControl
from falmock.control.state import LockControl, StateControl
from falmock.http.context import CONTROL

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from falmock.engine.emulator import Emulator
    from falmock.inspection.ledger import Ledger


class Control:
    """The ASGI application below `/control`."""

    def __init__(self, emulator: Emulator, ledger: Ledger) -> None:
        parts = [
            self,
            ClockControl(emulator),
            RequestControl(emulator),
            WebhookControl(emulator),
            RuleControl(emulator),
            InspectionControl(emulator, ledger),
            LockControl(emulator),
            StateControl(emulator),
        ]
        self.operations: list[Operation] = [each for part in parts for each in operations(part)]
        self._router = Router([Mount(CONTROL, routes=routes(self.operations))], redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._router(scope, receive, send)

    @operation("GET", "/openapi.json")
    async def describe(self) -> JSONResponse:
        """Return this description."""
        info = {
            "title": "falmock's control API",
            "version": __version__,
            "description": "Controls an emulator: time, requests, webhooks, rules, journal and snapshots.",
        }
        always = {400: "the call names no host", 403: "the call is not from this machine"}
        return JSONResponse(document(self.operations, base=CONTROL, info=info, always=always))
