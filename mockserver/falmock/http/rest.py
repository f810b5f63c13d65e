"""The rest host: upload addresses and the keys that webhooks are signed with (PROTOCOL.md 8 and 9.2)."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, Router

from falmock.engine.files import DEFAULT_TYPE, new_path
from falmock.engine.lifecycle import State
from falmock.engine.object_lifecycle import Lifecycle, LifecycleError
from falmock.engine.uploads import Upload
from falmock.http import access
from falmock.http.context import context_of
from falmock.http.listing import document, in_turns, through
from falmock.http.submission import read_body
from falmock.protocol import endpoints, validation
from falmock.protocol.errors import PlatformError, RequestNotFound
from falmock.protocol.hosts import CDN, MEDIA, BaseURL
from falmock.protocol.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from falmock.engine.emulator import Emulator
    from falmock.engine.keys import Caller, Keyring
    from falmock.engine.store import Delivery
    from falmock.engine.store import Request as Stored

Body = TypeVar("Body", bound=BaseModel)

TOKEN_LIFETIME: Final = 24 * 3600  # seconds; fal's server SDK renews below one hour
LONGEST_BODY: Final = 64 * 1024
CONTENT_TYPE: Final = r"^[\x20-\x7e]{1,255}$"  # printable ASCII, which is safe in a header
BODY_LIMITS: Final = Limits(members=40_000)  # 10,000 parts of a multipart upload have three members each
LIFECYCLE_HEADERS: Final = ("x-fal-object-lifecycle", "x-fal-object-lifecycle-preference")


class TokenBody(BaseModel):
    """`POST /storage/auth/token`."""

    expiration_seconds: int | None = Field(None, gt=0, le=7 * 24 * 3600)


class InitiateBody(BaseModel):
    """`POST /storage/upload/initiate`."""

    file_name: str
    content_type: str = Field(DEFAULT_TYPE, pattern=CONTENT_TYPE)


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
                Route("/applications/{owner}/{alias}/queue", self.queue, methods=["GET", "DELETE"]),
                Route("/requests/queue/{owner}/{alias}", self.flush_own, methods=["DELETE"]),
                Route("/requests/delete_io/{id}", self.drop_payloads, methods=["PUT"]),
                Route("/requests/webhooks", self.webhooks, methods=["GET"]),
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

    async def queue(self, request: Request) -> Response:
        """Tell how long an application's queue is, or empty it (PROTOCOL.md 4.9)."""
        access.caller_of_rest(request, self._keyring)
        application = "{owner}/{alias}".format(**request.path_params)
        access.existing(endpoints.parse(application), application)
        if request.method == "DELETE":
            await through(self._emulator.flush(application))
        line = self._emulator.line(application)
        return JSONResponse(
            {
                "queue_size": len(line),
                "in_progress": self._emulator.running(application),
                "by_user": Counter(job.caller for job in line),
            }
        )

    async def flush_own(self, request: Request) -> Response:
        """Take the caller's own requests out of an application's queue."""
        caller = access.caller_of_rest(request, self._keyring)
        application = "{owner}/{alias}".format(**request.path_params)
        await through(self._emulator.flush(application, caller.key_id))
        return JSONResponse({})

    async def drop_payloads(self, request: Request) -> Response:
        """Forget what went into a request and what came out, by the older of two ways."""
        caller = access.caller_of_rest(request, self._keyring)
        return JSONResponse(dropped(self._emulator, self._keyring, caller, request.path_params["id"]))

    async def webhooks(self, request: Request) -> Response:
        """Tell the caller's webhooks, the newest first (PROTOCOL.md 9.3)."""
        caller = access.caller_of_rest(request, self._keyring)
        sent_by_caller = _sent_by(self._emulator, caller.key_id)
        pieces = (list(map(_webhook, page)) async for page in in_turns(sent_by_caller))
        return StreamingResponse(document({}, {"items": pieces}), media_type="application/json")


def _sent_by(emulator: Emulator, key_id: str) -> Iterator[list[tuple[Stored, Delivery]]]:
    """Yield a key's requests with their webhooks, the newest first, in pages."""
    for page in emulator.store.request_pages_before(None):
        mine = (sent for sent in page if sent.caller == key_id and sent.webhook is not None)
        pairs = ((sent, emulator.store.delivery(sent.id)) for sent in mine)
        yield [(sent, delivery) for sent, delivery in pairs if delivery is not None]


def _webhook(pair: tuple[Stored, Delivery]) -> dict[str, Any]:
    sent, delivery = pair
    return {
        "request_id": sent.id,
        "webhook_url": delivery.url,
        "created_at": datetime.fromtimestamp(sent.completed_at or 0, UTC).isoformat(),
        "caller_user_id": delivery.user_id,
        "status_code": int(delivery.last) if delivery.last and delivery.last.isdecimal() else None,
        "endpoint": sent.endpoint,
    }


def dropped(emulator: Emulator, keyring: Keyring, caller: Caller, request_id: str) -> dict[str, Any]:
    """Forget a request's payloads, and return what fal says of the files among them.

    Raises:
        RequestNotFound: the caller has no such request, or it is not completed.
    """
    found = emulator.request(request_id)
    if found is None or not keyring.may_see(caller, found.caller) or found.state != State.COMPLETED:
        raise RequestNotFound
    links = emulator.drop_payloads(found)
    return {"cdn_delete_results": [{"link": link, "exception": None} for link in links]}


def new_upload(
    emulator: Emulator, *, name: str, content_type: str, owner: str, lifecycle: str | None
) -> Upload:
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


def content_type_of(request: Request) -> str:
    """Return the content type of an upload.

    Raises:
        PlatformError: `bad_request`, for one that cannot be served as a header again.
    """
    kind = request.headers.get("content-type") or DEFAULT_TYPE
    if not re.fullmatch(CONTENT_TYPE, kind):
        raise PlatformError("bad_request", "Invalid content-type header")
    return kind


async def read_model(request: Request, kind: type[Body], *, limit: int = LONGEST_BODY) -> Body:
    """Return a JSON body of at most `limit` bytes that fits a schema; see `validation.read`."""
    body = await read_body(request, limit)
    content_type = request.headers.get("content-type")
    if len(body) > LONGEST_BODY:  # takes long enough to hold others up
        return await asyncio.to_thread(validation.read, kind, body, content_type, BODY_LIMITS)
    return validation.read(kind, body, content_type, BODY_LIMITS)


def _origin(request: Request) -> BaseURL:
    return context_of(request).base_url
