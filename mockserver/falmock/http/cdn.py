"""The CDN: uploads as fal's clients make them, and downloads (PROTOCOL.md 8)."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

import anyio
from pydantic import BaseModel, Field
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from falmock.engine.files import decide
from falmock.engine.ids import rng
from falmock.engine.keys import Caller
from falmock.http.context import context_of
from falmock.http.reading import content_type_of, lifecycle_of, read_model
from falmock.protocol.errors import FileNotServed, InvalidToken, NotFound, PlatformError
from falmock.protocol.hosts import MEDIA
from falmock.system.descriptors import with_descriptors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from falmock.engine.emulator import Emulator
    from falmock.engine.keys import Keyring
    from falmock.engine.rows import StoredFile
    from falmock.engine.uploads import Upload

MOST_PARTS: Final = 10_000
ANNOUNCED: Final = "/files/b/{digits}/{name}"  # the path of an upload_url
LONGEST_COMPLETION: Final = MOST_PARTS * 256  # bytes
# The first three are as recorded (v3b.fal.media, 2026-09). The last two are the emulator's: fal serves
# files from a separate domain. Here they share the API's, and an uploaded page must not run in that origin.
# It is not known how fal caches files with an access list; here they are not cached.
SERVED: Final = {
    "access-control-allow-origin": "*",
    "cache-control": "public, max-age=5184000, immutable",
    "x-fal-storage-type": "tigris",
    "x-content-type-options": "nosniff",
    "content-security-policy": "sandbox",
}


class Part(BaseModel):
    """One part of a multipart upload."""

    part_number: int = Field(alias="partNumber", ge=1, le=MOST_PARTS)
    etag: str


class Parts(BaseModel):
    """The body that completes a multipart upload."""

    parts: list[Part] = Field(min_length=1, max_length=MOST_PARTS)


def cdn_routes(emulator: Emulator, keyring: Keyring) -> list[Route]:
    """Return the routes of `v3.fal.media` and the other names of the CDN.

    The clients build the URLs of a multipart upload: `{access_url}/multipart/{uploadId}/{part}` in Python,
    `{path of upload_url}/{part}?{query of upload_url}` in JavaScript.
    """
    host = _Cdn(emulator, keyring)
    return [
        Route("/files/upload", host.upload, methods=["POST"]),
        Route("/files/upload/multipart", host.start, methods=["POST"]),
        Route("/files/{path:path}/multipart/{token}/complete", host.complete, methods=["POST"]),
        Route("/files/{path:path}/multipart/{token}/{part}", host.put, methods=["PUT"]),
        Route(ANNOUNCED, host.put_whole, methods=["PUT"]),
        Route(f"{ANNOUNCED}/complete", host.complete, methods=["POST"]),
        Route(f"{ANNOUNCED}/{{part}}", host.put, methods=["PUT"]),
        Route("/files/{path:path}", host.serve, methods=["GET"]),
    ]


class _Cdn:
    def __init__(self, emulator: Emulator, keyring: Keyring) -> None:
        self._emulator = emulator
        self._uploads = emulator.uploads
        self._keyring = keyring
        # As recorded, without `via` and `alt-svc`: there is no HTTP/3 here (PROTOCOL.md 8.2).
        backend = rng(emulator.seed, "CDN").getrandbits(128)
        self._stored = {"access-control-allow-origin": "*", "x-fal-backend-id": f"{backend:032x}"}

    async def upload(self, request: Request) -> Response:
        """Receive a whole file."""
        upload = self._announce(request)
        self._uploads.publish(upload, await self._uploads.receive(request.stream()))
        return JSONResponse({"access_url": _url(request, upload)})

    async def start(self, request: Request) -> Response:
        """Start a multipart upload."""
        upload = self._announce(request)
        return JSONResponse({"access_url": _url(request, upload), "uploadId": self._uploads.seal(upload)})

    async def put_whole(self, request: Request) -> Response:
        """Receive an announced file."""
        upload = self._upload(request)
        self._uploads.publish(upload, await self._uploads.receive(request.stream()))
        return Response(headers=self._stored)

    async def put(self, request: Request) -> Response:
        """Receive a part."""
        upload = self._upload(request)
        number = _part_number(request.path_params["part"])
        etag = await self._uploads.receive_part(upload, number, request.stream())
        # fal's server SDK reads the header, its JavaScript client the body.
        content = {"partNumber": number, "etag": etag}
        return JSONResponse(content, headers={"etag": f'"{etag}"'})

    async def complete(self, request: Request) -> Response:
        """Join the parts."""
        upload = self._upload(request)
        body = await read_model(request, Parts, limit=LONGEST_COMPLETION)
        await self._uploads.complete(upload, [(part.part_number, part.etag) for part in body.parts])
        return JSONResponse({"access_url": _url(request, upload)})

    async def serve(self, request: Request) -> Response:
        """Serve a file or a range of it, if its access list allows."""
        file = self._emulator.files.live(request.scope["path"], self._emulator.clock.now())
        if file is None:
            raise NotFound
        context_of(request).public = file.acl is None
        found = self._keyring.identify(request.headers.get("authorization"))
        decision = decide(file, found.key_id if isinstance(found, Caller) else None)
        if decision != "allow":
            raise FileNotServed(decision)
        source = await self._open(file)
        if source is None:
            raise NotFound
        headers = SERVED if file.acl is None else SERVED | {"cache-control": "private, no-store"}
        return OpenFileResponse(source, media_type=file.content_type, headers=headers)

    async def _open(self, file: StoredFile) -> BinaryIO | None:
        async def work() -> BinaryIO | None:
            return self._emulator.files.open(file)

        return await with_descriptors(work)

    def _announce(self, request: Request) -> Upload:
        """Announce a file for the owner of a token of `/storage/auth/token`."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise InvalidToken
        return self._uploads.announce(
            owner=self._uploads.owner(token.strip()),
            name=request.headers.get("x-fal-file-name", "file"),
            content_type=content_type_of(request),
            lifecycle=lifecycle_of(request),
        )

    def _upload(self, request: Request) -> Upload:
        """Return the announced upload that the call's URL names."""
        if (token := request.path_params.get("token")) is not None:
            return self._uploads.open(token)
        path = ANNOUNCED.format(**request.path_params)
        return self._uploads.signed(path, request.query_params.get("signature", ""))


class OpenFileResponse(FileResponse):
    """Serves an open file, so a download is complete even if the file is deleted before its end."""

    chunk_size = 256 * 1024  # each is read in a thread

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


def _url(request: Request, upload: Upload) -> str:
    return context_of(request).base_url.url(MEDIA, upload.path)


def _part_number(text: str) -> int:
    """Return the number of a part, from 1 to `MOST_PARTS`; any other text is refused."""
    digits = text if text.isascii() and text.isdecimal() and len(text) <= len(str(MOST_PARTS)) else "0"
    if not 1 <= int(digits) <= MOST_PARTS:
        raise PlatformError("bad_request", "Invalid part number")
    return int(digits)
