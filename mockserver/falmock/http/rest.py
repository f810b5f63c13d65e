"""The rest host: uploads, queues, payloads, webhooks and tokens (PROTOCOL.md 4.9, 7.1, 8 and 9)."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from falmock.engine.files import DEFAULT_TYPE
from falmock.engine.lifecycle import State
from falmock.engine.uploads import LONGEST_TOKEN_LIFETIME, TOKEN_LIFETIME
from falmock.http import access
from falmock.http.context import context_of
from falmock.http.listing import document, in_turns, through
from falmock.http.reading import CONTENT_TYPE, lifecycle_of, read_model
from falmock.protocol import endpoints
from falmock.protocol.errors import RequestNotFound
from falmock.protocol.hosts import CDN, MEDIA, BaseURL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from falmock.engine.emulator import Emulator
    from falmock.engine.keys import Caller, Keyring
    from falmock.engine.rows import Delivery
    from falmock.engine.rows import Request as Stored

PAGE_TOKEN_LIFETIME: Final = 60  # seconds, of a token for a web page, which must not have a key
LONGEST_LIFETIME: Final = 100 * 365 * 86_400  # seconds; the emulator's limit, not fal's
LONGEST_REALTIME: Final = 120  # seconds, of a realtime token for one endpoint
LONGEST_REALTIME_OF_APPLICATION: Final = 10  # seconds, of one for an application


class UploadTokenBody(BaseModel):
    """`POST /storage/auth/token`."""

    expiration_seconds: int | None = Field(None, gt=0, le=LONGEST_TOKEN_LIFETIME)


class InitiateBody(BaseModel):
    """`POST /storage/upload/initiate`."""

    file_name: str
    content_type: str = Field(DEFAULT_TYPE, pattern=CONTENT_TYPE)


class TokenBody(BaseModel):
    """`POST /tokens/`. fal's clients send only the aliases, without owners."""

    allowed_apps: list[str]
    token_expiration: int = Field(PAGE_TOKEN_LIFETIME, gt=0, le=LONGEST_LIFETIME)
    extra_data: dict[str, Any] | None = None


class RealtimeBody(BaseModel):
    """`POST /tokens/realtime`. The form in fal's documentation, `{allowed_apps, duration}`, gets a 422."""

    app: str
    token_expiration: int = Field(PAGE_TOKEN_LIFETIME, gt=0)
    extra_data: dict[str, Any] | None = None


def rest_routes(emulator: Emulator, keyring: Keyring) -> list[Route]:
    """Return the routes of `rest.fal.ai`."""
    host = _Rest(emulator, keyring)
    return [
        Route("/.well-known/jwks.json", host.jwks, methods=["GET"]),
        Route("/storage/auth/token", host.upload_token, methods=["POST"]),
        Route("/storage/upload/initiate", host.initiate, methods=["POST"]),
        Route("/storage/upload/initiate-multipart", host.initiate, methods=["POST"]),
        Route("/applications/{owner}/{alias}/queue", host.queue, methods=["GET", "DELETE"]),
        Route("/requests/queue/{owner}/{alias}", host.flush_own, methods=["DELETE"]),
        Route("/requests/delete_io/{id}", host.delete_payloads, methods=["PUT"]),
        Route("/requests/webhooks", host.webhooks, methods=["GET"]),
        Route("/tokens", host.token, methods=["POST"]),
        Route("/tokens/realtime", host.realtime, methods=["POST"]),
        Route("/billing/user_balance", host.balance, methods=["GET"]),
    ]


class _Rest:
    def __init__(self, emulator: Emulator, keyring: Keyring) -> None:
        self._emulator = emulator
        self._uploads = emulator.uploads
        self._keyring = keyring

    async def jwks(self, request: Request) -> Response:
        """Return the public keys of webhook signatures. It takes no credentials."""
        del request
        return JSONResponse(self._emulator.signer.jwks())

    async def upload_token(self, request: Request) -> Response:
        """Return a token for the CDN's upload API."""
        caller = access.caller_of_rest(request, self._keyring)
        body = await read_model(request, UploadTokenBody)
        now = self._emulator.clock.now()
        lifetime = body.expiration_seconds or TOKEN_LIFETIME
        return JSONResponse(
            {
                "token": self._uploads.token(caller.key_id, lifetime),
                "token_type": "Bearer",
                "base_url": _base_url(request).url(CDN, ""),
                "created_at": _iso(now),
                "expires_at": _iso(now + lifetime),
            }
        )

    async def initiate(self, request: Request) -> Response:
        """Return the URL to PUT a file to, or its parts below it."""
        caller = access.caller_of_rest(request, self._keyring)
        body = await read_model(request, InitiateBody)
        upload = self._uploads.announce(
            name=body.file_name,
            content_type=body.content_type,
            owner=caller.key_id,
            lifecycle=lifecycle_of(request),
        )
        base = _base_url(request)
        return JSONResponse(
            {
                "file_url": base.url(MEDIA, upload.path),
                "upload_url": base.url(MEDIA, self._uploads.sign(upload)),
            }
        )

    async def queue(self, request: Request) -> Response:
        """Return the length of an application's queue, or empty it (PROTOCOL.md 4.9)."""
        access.caller_of_rest(request, self._keyring)
        application = _application(request)
        access.existing(self._emulator, endpoints.parse(application), application)
        if request.method == "DELETE":
            await through(self._emulator.flush(application))
        waiting = self._emulator.waiting_jobs(application)
        return JSONResponse(
            {
                "queue_size": len(waiting),
                "in_progress": self._emulator.running(application),
                "by_user": Counter(job.caller for job in waiting),
            }
        )

    async def flush_own(self, request: Request) -> Response:
        """Remove the caller's requests from an application's queue."""
        caller = access.caller_of_rest(request, self._keyring)
        await through(self._emulator.flush(_application(request), caller.key_id))
        return JSONResponse({})

    async def delete_payloads(self, request: Request) -> Response:
        """Delete a request's payloads, by the older of two routes."""
        caller = access.caller_of_rest(request, self._keyring)
        request_id = request.path_params["id"]
        return JSONResponse(delete_payloads(self._emulator, self._keyring, caller, request_id))

    async def webhooks(self, request: Request) -> Response:
        """Return the caller's webhooks, the newest first (PROTOCOL.md 9.3)."""
        caller = access.caller_of_rest(request, self._keyring)
        pages = in_turns(_webhook_pages(self._emulator, caller.key_id))
        pieces = ([_webhook(*pair) for pair in page] async for page in pages)
        return StreamingResponse(document({}, {"items": pieces}), media_type="application/json")

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
        longest = LONGEST_REALTIME if endpoint and endpoint.path else LONGEST_REALTIME_OF_APPLICATION
        return self._issue(caller.key_id, [body.app], min(body.token_expiration, longest))

    async def balance(self, request: Request) -> Response:
        """Return the caller's credit, as a JSON number."""
        return JSONResponse(access.caller_of_rest(request, self._keyring, may_be_locked=True).balance)

    def _issue(self, key_id: str, apps: list[str], lifetime: int) -> Response:
        now = int(self._emulator.clock.now())
        aliases = [endpoint.alias if (endpoint := endpoints.parse(app)) else app for app in apps]
        claims = {"sub": key_id, "allowed_apps": aliases, "iat": now, "exp": now + lifetime}
        return JSONResponse(self._emulator.signer.jwt(claims), 201)


def delete_payloads(emulator: Emulator, keyring: Keyring, caller: Caller, request_id: str) -> dict[str, Any]:
    """Delete a request's payloads, and return fal's answer with the deleted files (PROTOCOL.md 4.9).

    Raises:
        RequestNotFound: the caller has no such request, or it is not completed.
    """
    found = emulator.request(request_id)
    if found is None or not keyring.may_see(caller, found.caller) or found.state != State.COMPLETED:
        raise RequestNotFound
    links = emulator.drop_payloads(found)
    return {"cdn_delete_results": [{"link": link, "exception": None} for link in links]}


def _webhook_pages(emulator: Emulator, key_id: str) -> Iterator[list[tuple[Stored, Delivery]]]:
    """Yield a key's requests with their webhooks, the newest first, in pages."""
    for page in emulator.store.request_pages_before(None):
        own = (request for request in page if request.caller == key_id and request.webhook is not None)
        pairs = ((request, emulator.store.delivery(request.id)) for request in own)
        yield [(request, delivery) for request, delivery in pairs if delivery is not None]


def _webhook(request: Stored, delivery: Delivery) -> dict[str, Any]:
    return {
        "request_id": request.id,
        "webhook_url": delivery.url,
        "created_at": _iso(request.completed_at or 0),
        "caller_user_id": delivery.user_id,
        "status_code": int(delivery.last) if delivery.last and delivery.last.isdecimal() else None,
        "endpoint": request.endpoint,
    }


def _application(request: Request) -> str:
    return "{owner}/{alias}".format(**request.path_params)


def _base_url(request: Request) -> BaseURL:
    return context_of(request).base_url


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
