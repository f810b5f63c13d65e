"""The CDN: uploads as fal's clients make them, and files for everybody (PROTOCOL.md 8)."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import anyio
from pydantic import BaseModel, Field
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route, Router

from falmock.engine.keys import Caller
from falmock.engine.object_lifecycle import decide
from falmock.engine.uploads import Destination, PartsMismatchError, Upload, Uploads, UploadTooLargeError
from falmock.http.context import context_of
from falmock.http.rest import TOKEN_LIFETIME, content_type_of, lifecycle_of, new_upload, read_model
from falmock.protocol.errors import BodyTooLarge, FileNotServed, InvalidToken, NotFound, PlatformError
from falmock.protocol.hosts import MEDIA

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from falmock.engine.emulator import Emulator
    from falmock.engine.keys import Keyring

LONGEST_TOKEN_LIFETIME: Final = 7 * 24 * 3600
MOST_PARTS: Final = 10_000
LONGEST_COMPLETION: Final = MOST_PARTS * 256  # bytes
# The first three as recorded (v3b.fal.media, 2026-09). The others are not fal's: there files have a domain of
# their own, here they share one with the API, and a page that somebody uploaded must not run in its origin.
# How fal has files with an access list cached is not known; here they are not.
SERVED: Final = {
    "access-control-allow-origin": "*",
    "cache-control": "public, max-age=5184000, immutable",
    "x-fal-storage-type": "tigris",
    "x-content-type-options": "nosniff",
    "content-security-policy": "sandbox",
}


class Part(BaseModel):
    """One part of a multipart upload, as its uploader knows it."""

    part_number: int = Field(alias="partNumber", ge=1, le=MOST_PARTS)
    etag: str


class Parts(BaseModel):
    """The body that completes a multipart upload."""

    parts: list[Part] = Field(min_length=1, max_length=MOST_PARTS)


class CdnHost:
    """Answers for `v3.fal.media` and its siblings."""

    def __init__(self, emulator: Emulator, keyring: Keyring) -> None:
        self._emulator = emulator
        self._keyring = keyring
        self._uploads = Uploads(emulator.files, emulator.clock.now)
        # The address of a multipart upload is made by the clients: `{access_url}/multipart/{uploadId}/{part}`
        # for the Python one, `{upload_url}/{part}?{query}` for the JavaScript one.
        self.routes = Router(
            [
                Route("/files/upload", self.upload, methods=["POST"]),
                Route("/files/upload/multipart", self.start, methods=["POST"]),
                Route("/files/{path:path}/multipart/{token}/complete", self.complete, methods=["POST"]),
                Route("/files/{path:path}/multipart/{token}/{part}", self.put, methods=["PUT"]),
                Route("/uploads/put", self.put, methods=["PUT"]),
                Route("/uploads/put/complete", self.complete, methods=["POST"]),
                Route("/uploads/put/{part}", self.put, methods=["PUT"]),
                Route("/files/{path:path}", self.serve, methods=["GET"]),
            ],
            redirect_slashes=False,
        )

    async def upload(self, request: Request) -> Response:
        """Take a whole file."""
        upload = self._announced(request)
        self._uploads.publish(upload, (await self._receive(request)).file)
        return JSONResponse({"access_url": self._url(request, upload.path)})

    async def start(self, request: Request) -> Response:
        """Announce a file that will come in parts."""
        upload = self._announced(request)
        now = self._emulator.clock.now()
        token = self._emulator.signer.seal({**asdict(upload), "until": now + TOKEN_LIFETIME}, now=now)
        return JSONResponse({"access_url": self._url(request, upload.path), "uploadId": token})

    async def put(self, request: Request) -> Response:
        """Take a part, or, without a number, the whole file."""
        upload = self._opened(request)
        number = _part_number(request.path_params["part"]) if "part" in request.path_params else None
        arrival = await self._receive(request)
        if number is None:
            self._uploads.publish(upload, arrival.file)
        else:
            self._uploads.keep_part(upload, number, arrival)
        # fal's server SDK reads the header, its JavaScript client the body.
        answer = {"partNumber": number or 1, "etag": arrival.etag}
        return JSONResponse(answer, headers={"etag": f'"{arrival.etag}"'})

    async def complete(self, request: Request) -> Response:
        """Join the parts."""
        upload = self._opened(request)
        body = await read_model(request, Parts, limit=LONGEST_COMPLETION)
        try:
            await self._uploads.complete(upload, [(part.part_number, part.etag) for part in body.parts])
        except PartsMismatchError:
            raise PlatformError("bad_request", "The parts are not those that were uploaded") from None
        except UploadTooLargeError:
            raise BodyTooLarge(self._emulator.settings.max_upload) from None
        return JSONResponse({"access_url": self._url(request, upload.path)})

    async def serve(self, request: Request) -> Response:
        """Serve a file, or a range of it, to whom its access list allows."""
        file = self._emulator.files.live(request.scope["path"], self._emulator.clock.now())
        if file is None:
            raise NotFound
        context_of(request).public = file.acl is None
        found = self._keyring.identify(request.headers.get("authorization"))
        decision = decide(file, found.key_id if isinstance(found, Caller) else None)
        if decision != "allow":
            raise FileNotServed(decision)
        source = self._emulator.files.open(file)
        if source is None:
            raise NotFound
        headers = SERVED if file.acl is None else SERVED | {"cache-control": "private, no-store"}
        return OpenFileResponse(source, media_type=file.content_type, headers=headers)

    def _announced(self, request: Request) -> Upload:
        """Return a file to be, for the holder of a token of `/storage/auth/token`."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        claims = self._open(token.strip()) if scheme.lower() == "bearer" else None
        if claims is None:
            raise InvalidToken
        return new_upload(
            self._emulator,
            name=request.headers.get("x-fal-file-name", "file"),
            content_type=content_type_of(request),
            owner=claims["owner"],
            lifecycle=lifecycle_of(request),
        )

    def _opened(self, request: Request) -> Upload:
        """Return the file to be whose sealed address this is."""
        claims = self._open(request.path_params.get("token") or request.query_params.get("token", ""))
        if claims is None or "path" not in claims:
            raise InvalidToken
        del claims["until"]
        return Upload(**claims)

    def _open(self, token: str) -> dict[str, Any] | None:
        now = self._emulator.clock.now()
        claims = self._emulator.signer.open(token, now=now, lifetime=LONGEST_TOKEN_LIFETIME)
        return claims if claims is not None and claims["until"] > now else None

    async def _receive(self, request: Request) -> Destination:
        try:
            return await self._uploads.receive(request.stream())
        except UploadTooLargeError:
            raise BodyTooLarge(self._emulator.settings.max_upload) from None

    def _url(self, request: Request, path: str) -> str:
        return context_of(request).base_url.url(MEDIA, path)


class OpenFileResponse(FileResponse):
    """Serves an open file, so a download is complete even if the file is removed meanwhile."""

    def __init__(self, source: BinaryIO, *, media_type: str, headers: dict[str, str]) -> None:
        status = os.fstat(source.fileno())
        super().__init__(source.name, media_type=media_type, headers=headers, stat_result=status)
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See `FileResponse`."""
        with self._source:
            await super().__call__(scope, receive, send)

    @asynccontextmanager
    async def _open_file(self) -> AsyncIterator[anyio.AsyncFile[bytes]]:
        yield anyio.wrap_file(self._source)


def _part_number(text: str) -> int:
    """Return the number of a part.

    Raises:
        PlatformError: `bad_request`, for one that no part can have.
    """
    digits = text if text.isascii() and text.isdecimal() and len(text) <= len(str(MOST_PARTS)) else "0"
    if not 1 <= int(digits) <= MOST_PARTS:
        raise PlatformError("bad_request", "Invalid part number")
    return int(digits)
