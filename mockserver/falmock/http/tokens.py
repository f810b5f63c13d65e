"""The rest host's tokens for web pages, which must not have a key (PROTOCOL.md 7.1), and its balance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from falmock.http import access
from falmock.http.reading import read_model
from falmock.protocol import endpoints

if TYPE_CHECKING:
    from starlette.requests import Request

    from falmock.engine.emulator import Emulator
    from falmock.engine.keys import Keyring

LIFETIME: Final = 60  # seconds
LONGEST_LIFETIME: Final = 100 * 365 * 86_400  # seconds; the emulator's limit, not fal's
LONGEST: Final = 120  # seconds, for a realtime token of one endpoint
LONGEST_OF_APPLICATION: Final = 10  # seconds, for a realtime token of an application


class TokenBody(BaseModel):
    """`POST /tokens/`. fal's clients send only the aliases, without owners."""

    allowed_apps: list[str]
    token_expiration: int = Field(LIFETIME, gt=0, le=LONGEST_LIFETIME)
    extra_data: dict[str, Any] | None = None


class RealtimeBody(BaseModel):
    """`POST /tokens/realtime`. The form in fal's documentation, `{allowed_apps, duration}`, gets a 422."""

    app: str
    token_expiration: int = Field(LIFETIME, gt=0)
    extra_data: dict[str, Any] | None = None


def token_routes(emulator: Emulator, keyring: Keyring) -> list[Route]:
    """Return the routes of `rest.fal.ai` for web pages and their servers."""
    host = _Tokens(emulator, keyring)
    return [
        Route("/tokens", host.token, methods=["POST"]),
        Route("/tokens/realtime", host.realtime, methods=["POST"]),
        Route("/billing/user_balance", host.balance, methods=["GET"]),
    ]


class _Tokens:
    def __init__(self, emulator: Emulator, keyring: Keyring) -> None:
        self._emulator = emulator
        self._keyring = keyring

    async def token(self, request: Request) -> Response:
        """Return a token for some applications, as a JSON string."""
        caller = access.caller_of_rest(request, self._keyring)
        body = await read_model(request, TokenBody)
        return self._issue(caller.key_id, body.allowed_apps, body.token_expiration)

    async def realtime(self, request: Request) -> Response:
        """Return a token for a realtime connection."""
        caller = access.caller_of_rest(request, self._keyring)
        body = await read_model(request, RealtimeBody)
        endpoint = endpoints.parse(body.app)
        longest = LONGEST if endpoint and endpoint.path else LONGEST_OF_APPLICATION
        return self._issue(caller.key_id, [body.app], min(body.token_expiration, longest))

    async def balance(self, request: Request) -> Response:
        """Return the caller's credit, as a JSON number."""
        return JSONResponse(access.known_to_rest(request, self._keyring).balance)

    def _issue(self, key_id: str, apps: list[str], lifetime: int) -> Response:
        now = int(self._emulator.clock.now())
        aliases = [endpoint.alias if (endpoint := endpoints.parse(app)) else app for app in apps]
        claims = {"sub": key_id, "allowed_apps": aliases, "iat": now, "exp": now + lifetime}
        return JSONResponse(self._emulator.signer.jwt(claims), 201)
