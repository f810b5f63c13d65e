"""The platform API's host (PROTOCOL.md 15): what inference needs of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send


class PlatformHost:
    """Answers for `api.fal.ai`."""

    def __init__(self) -> None:
        self.routes = Router(
            [Route("/v1/meta", self.meta, methods=["GET"])], redirect_slashes=False, default=_not_found
        )

    async def meta(self, request: Request) -> Response:
        """Tell where webhooks come from: here, this machine."""
        del request
        return JSONResponse({"webhook_ip_ranges": ["127.0.0.1/32"]})


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    body = {"error": {"type": "not_found", "message": "Resource not found"}}
    await JSONResponse(body, 404)(scope, receive, send)
