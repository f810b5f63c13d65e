"""The control API and the document that describes it. Who may call it is for `http.guard` to say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Router

from falmock import __version__
from falmock.control.api import Operation, document, routes
from falmock.control.clock import Time
from falmock.control.inspection import Inspection
from falmock.control.requests import Requests
from falmock.control.rules import Rules
from falmock.control.state import State
from falmock.control.webhooks import Webhooks
from falmock.http.guard import CONTROL

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from falmock.engine.emulator import Emulator
    from falmock.inspection.ledger import Ledger


class Control:
    """Answers below `/control`.

    Args:
        emulator: whose.
        ledger: of the same emulator.
    """

    def __init__(self, emulator: Emulator, ledger: Ledger) -> None:
        self._parts = [
            *(part(emulator) for part in (Time, Requests, Webhooks, Rules)),
            Inspection(emulator, ledger),
            State(emulator),
        ]
        self._router = Router([Mount(CONTROL, routes=routes(self.operations))], redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        await self._router(scope, receive, send)

    @property
    def operations(self) -> list[Operation]:
        """All that can be asked for."""
        itself = Operation("GET", "/openapi.json", "This description", self._describe)
        return [itself, *(operation for part in self._parts for operation in part.operations)]

    async def _describe(self) -> Response:
        info = {
            "title": "falmock's control API",
            "version": __version__,
            "description": "Time, requests, webhooks, rules, journal and snapshots of an emulator, by hand.",
        }
        always = {400: "the call names no host", 403: "the call is not from this machine"}
        return JSONResponse(document(self.operations, base=CONTROL, info=info, always=always))
