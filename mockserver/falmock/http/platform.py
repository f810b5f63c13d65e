"""The platform API's host (PROTOCOL.md 4.9 and 15): what belongs to the queue and to webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from falmock.engine.keys import Caller
from falmock.http import payloads
from falmock.http.listing import through
from falmock.models import APPLICATIONS
from falmock.protocol import endpoints
from falmock.protocol.errors import PlatformApiError, RequestNotFound

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from falmock.engine.emulator import Emulator
    from falmock.engine.keys import Keyring


class PlatformHost:
    """Answers for `api.fal.ai`."""

    def __init__(self, emulator: Emulator, keyring: Keyring) -> None:
        self._emulator = emulator
        self._keyring = keyring
        self.routes = Router(
            [
                Route("/v1/meta", self.meta, methods=["GET"]),
                Route("/v1/serverless/apps/{owner}/{name}/queue", self.queue, methods=["GET", "DELETE"]),
                Route("/v1/models/requests/{id}/payloads", self.drop_payloads, methods=["DELETE"]),
            ],
            redirect_slashes=False,
            default=_not_found,
        )

    async def meta(self, request: Request) -> Response:
        """Tell where webhooks come from: here, this machine."""
        del request
        return JSONResponse({"webhook_ip_ranges": ["127.0.0.1/32"]})

    async def queue(self, request: Request) -> Response:
        """Tell how long an application's queue is, or empty it."""
        self._caller(request)
        endpoint = endpoints.parse("{owner}/{name}".format(**request.path_params))
        if endpoint is None or endpoint.application not in APPLICATIONS:
            raise PlatformApiError("not_found")
        if request.method == "DELETE":
            await through(self._emulator.flush(endpoint.application))
            return Response(status_code=204)
        return JSONResponse({"queue_size": len(self._emulator.waiting_jobs(endpoint.application))})

    async def drop_payloads(self, request: Request) -> Response:
        """Forget what went into a request and what came out."""
        caller = self._caller(request)
        try:
            return JSONResponse(
                payloads.delete(self._emulator, self._keyring, caller, request.path_params["id"])
            )
        except RequestNotFound:
            raise PlatformApiError("not_found") from None

    def _caller(self, request: Request) -> Caller:
        found = self._keyring.identify(request.headers.get("authorization"))
        if not isinstance(found, Caller):
            raise PlatformApiError("authorization_error")
        return found


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    error = PlatformApiError("not_found")
    await Response(error.content(), error.status, media_type="application/json")(scope, receive, send)
