"""The rest host's tokens: short-lived passes for pages that must not see a key (PROTOCOL.md 7.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from falmock.http import access
from falmock.http.catalogue import balance
from falmock.http.rest import read_model
from falmock.protocol import endpoints, validation

if TYPE_CHECKING:
    from starlette.requests import Request

    from falmock.engine.emulator import Emulator
    from falmock.engine.keys import Keyring

LIFETIME: Final = 60  # seconds
LONGEST_LIFETIME: Final = 100 * 365 * 86_400  # seconds; a limit of the emulator's own
LONGEST: Final = 120  # seconds, for a realtime token of one endpoint
LONGEST_OF_APPLICATION: Final = 10  # seconds, for one of a whole application


class TokenBody(BaseModel):
    """`POST /tokens/`. fal's clients send aliases alone, without owner."""

    allowed_apps: list[str]
    token_expiration: int = Field(LIFETIME, gt=0, le=LONGEST_LIFETIME)
    extra_data: dict[str, Any] | None = None


class RealtimeBody(BaseModel):
    """`POST /tokens/realtime`, in either of the two shapes that are documented."""

    app: str | None = None
    allowed_apps: list[str] | None = None
    token_expiration: int | None = Field(None, gt=0)
    duration: int | None = Field(None, gt=0)
    extra_data: dict[str, Any] | None = None


class Tokens:
    """Answers for the part of `rest.fal.ai` that pages and their servers use."""

    def __init__(self, emulator: Emulator, keyring: Keyring) -> None:
        self._emulator = emulator
        self._keyring = keyring
        self.routes = [
            Route("/tokens", self.token, methods=["POST"]),
            Route("/tokens/realtime", self.realtime, methods=["POST"]),
            Route("/billing/user_balance", self.user_balance, methods=["GET"]),
        ]

    async def token(self, request: Request) -> Response:
        """Give out a token for some applications: a bare JSON string."""
        caller = access.caller_of_rest(request, self._keyring)
        body = await read_model(request, TokenBody)
        return self._issued(caller.key_id, body.allowed_apps, body.token_expiration)

    async def realtime(self, request: Request) -> Response:
        """Give out a token for a realtime connection."""
        caller = access.caller_of_rest(request, self._keyring)
        body = await read_model(request, RealtimeBody)
        if body.app is None and not body.allowed_apps:
            raise validation.missing("app")
        endpoint = endpoints.parse(body.app or "")
        longest = LONGEST if endpoint and endpoint.path else LONGEST_OF_APPLICATION
        apps = body.allowed_apps or [str(body.app)]
        return self._issued(
            caller.key_id, apps, min(body.token_expiration or body.duration or LIFETIME, longest)
        )

    async def user_balance(self, request: Request) -> Response:
        """Tell the caller's credit: a bare number."""
        found = access.known_to_rest(request, self._keyring)
        return JSONResponse(balance(found))

    def _issued(self, key_id: str, apps: list[str], lifetime: int) -> Response:
        now = int(self._emulator.clock.now())
        aliases = [endpoint.alias if (endpoint := endpoints.parse(app)) else app for app in apps]
        claims = {"sub": key_id, "allowed_apps": aliases, "iat": now, "exp": now + lifetime}
        return JSONResponse(self._emulator.signer.jwt(claims), 201)
