"""The rest host: upload addresses and the keys that webhooks are signed with (PROTOCOL.md 8 and 9.2)."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from falmock import validation
from falmock.errors import PlatformError
from falmock.files import DEFAULT_TYPE, Lifecycle, LifecycleError, Upload, new_path
from falmock.hosts import CDN, MEDIA, Origin
from falmock.http import access
from falmock.http.submission import read_body

if TYPE_CHECKING:
    from starlette.requests import Request

    from falmock.emulator import Emulator
    from falmock.keys import Keyring

Body = TypeVar("Body", bound=BaseModel)

TOKEN_LIFETIME: Final = 24 * 3600  # seconds; fal's server SDK renews below one hour
LONGEST_BODY: Final = 64 * 1024
LIFECYCLE_HEADERS: Final = ("x-fal-object-lifecycle", "x-fal-object-lifecycle-preference")


class TokenBody(BaseModel):
    """`POST /storage/auth/token`."""

    expiration_seconds: int | None = Field(None, gt=0, le=7 * 24 * 3600)


class InitiateBody(BaseModel):
    """`POST /storage/upload/initiate`."""

    file_name: str
    content_type: str = DEFAULT_TYPE


class RestHost:
    """Answers for `rest.fal.ai`."""

    def __init__(self, emulator: Emulator, keyring: Keyring) -> None:
        self._emulator = emulator
        self._keyring = keyring
        self.routes = Router(
            [
                Route("/.well-known/jwks.json", self.jwks, methods=["GET"]),
                Route("/storage/auth/token", self.token, methods=["POST"]),
                Route("/storage/upload/initiate", self.initiate, methods=["POST"]),
                Route("/storage/upload/initiate-multipart", self.initiate, methods=["POST"]),
            ],
            redirect_slashes=False,
        )

    async def jwks(self, request: Request) -> Response:
        """Serve the public key; no credentials are asked for."""
        del request
        return JSONResponse(self._emulator.signer.jwks())

    async def token(self, request: Request) -> Response:
        """Give out a token for the CDN's upload API."""
        caller = access.caller_of_rest(request, self._keyring)
        body = await read_model(request, TokenBody)
        now = self._emulator.clock.now()
        lifetime = body.expiration_seconds or TOKEN_LIFETIME
        claims = {"owner": caller.key_id, "until": now + lifetime}
        return JSONResponse(
            {
                "token": self._emulator.signer.seal(claims, now=now),
                "token_type": "Bearer",
                "base_url": _origin(request).url(CDN, ""),
                "created_at": datetime.fromtimestamp(now, UTC).isoformat(),
                "expires_at": datetime.fromtimestamp(now + lifetime, UTC).isoformat(),
            }
        )

    async def initiate(self, request: Request) -> Response:
        """Give out an address to PUT a file to; the parts of a large one go below it."""
        caller = access.caller_of_rest(request, self._keyring)
        body = await read_model(request, InitiateBody)
        upload = new_upload(
            self._emulator,
            name=body.file_name,
            content_type=body.content_type,
            owner=caller.key_id,
            lifecycle=lifecycle_of(request),
        )
        now = self._emulator.clock.now()
        claims = {**asdict(upload), "until": now + TOKEN_LIFETIME}
        origin = _origin(request)
        return JSONResponse(
            {
                "file_url": origin.url(MEDIA, upload.path),
                "upload_url": origin.url(
                    CDN, f"/uploads/put?token={self._emulator.signer.seal(claims, now=now)}"
                ),
            }
        )


def new_upload(
    emulator: Emulator, *, name: str, content_type: str, owner: str, lifecycle: str | None
) -> Upload:
    """Return a file to be."""
    rng = emulator.fresh_rng("upload")
    return Upload(f"{rng.getrandbits(128):032x}", new_path(rng, name), content_type, owner, lifecycle)


def lifecycle_of(request: Request) -> str | None:
    """Return the JSON of an upload's object lifecycle header, checked.

    Raises:
        PlatformError: `bad_request`, for one that cannot be understood.
    """
    for name in LIFECYCLE_HEADERS:
        if (text := request.headers.get(name)) is not None:
            try:
                Lifecycle.parse(text)
            except LifecycleError:
                raise PlatformError("bad_request", f"Invalid {name} header") from None
            return text
    return None


async def read_model(request: Request, kind: type[Body]) -> Body:
    """Return a JSON body that fits a schema; see `validation.read` for what is raised."""
    body = await read_body(request, LONGEST_BODY)
    return validation.read(kind, body, request.headers.get("content-type"))


def _origin(request: Request) -> Origin:
    origin: Origin = request.scope["falmock.origin"]
    return origin
