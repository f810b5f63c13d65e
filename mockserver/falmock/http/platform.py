"""The platform API's host, `api.fal.ai`: the part about the queue and webhooks (PROTOCOL.md 4.9 and 15)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from falmock.engine.keys import Caller
from falmock.http import payloads
from falmock.http.listing import through
from falmock.protocol import endpoints
from falmock.protocol.errors import PlatformApiError, RequestNotFound

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from falmock.engine.emulator import Emulator
    from falmock.engine.keys import Keyring


def platform_routes(emulator: Emulator, keyring: Keyring) -> list[Route]:
    """Return the routes for the queue, for payloads and for the addresses of webhooks."""

    async def meta(request: Request) -> Response:
        del request
        return JSONResponse({"webhook_ip_ranges": ["127.0.0.1/32"]})

    async def queue(request: Request) -> Response:
        platform_caller(request, keyring)
        endpoint = endpoints.parse("{owner}/{name}".format(**request.path_params))
        if endpoint is None or not emulator.catalogue.has_application(endpoint.application):
            raise PlatformApiError("not_found", "Application not found")
        if request.method == "DELETE":
            await through(emulator.flush(endpoint.application))
            return Response(status_code=204)
        return JSONResponse({"queue_size": len(emulator.waiting_jobs(endpoint.application))})

    async def delete_payloads(request: Request) -> Response:
        caller = platform_caller(request, keyring)
        try:
            return JSONResponse(payloads.delete(emulator, keyring, caller, request.path_params["id"]))
        except RequestNotFound:
            raise PlatformApiError("not_found") from None

    return [
        Route("/v1/meta", meta, methods=["GET"]),
        Route("/v1/serverless/apps/{owner}/{name}/queue", queue, methods=["GET", "DELETE"]),
        Route("/v1/models/requests/{id}/payloads", delete_payloads, methods=["DELETE"]),
    ]


def platform_caller(request: Request, keyring: Keyring, refusal: str | None = None) -> Caller:
    """Return the caller of the platform API.

    Args:
        request: the call.
        keyring: knows the keys.
        refusal: the text for a call without a usable key; None for fal's usual one.

    Raises:
        PlatformApiError: the key is missing, malformed or unknown.
    """
    found = keyring.identify(request.headers.get("authorization"))
    if not isinstance(found, Caller):
        raise PlatformApiError("authorization_error", refusal)
    return found


async def platform_not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a call for an unknown path."""
    error = PlatformApiError("not_found")
    await Response(error.content(), error.status, media_type="application/json")(scope, receive, send)
