"""The CDN: uploads as fal's clients make them, and files for everybody (PROTOCOL.md 8)."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, Field
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route, Router

from falmock.errors import BodyTooLarge, FileNotServed, InvalidToken, NotFound, PlatformError
from falmock.files import DEFAULT_TYPE, PartsMismatchError, Upload, UploadTooLargeError, decide
from falmock.hosts import MEDIA, Origin
from falmock.http.rest import TOKEN_LIFETIME, lifecycle_of, new_upload, read_model
from falmock.keys import Caller

if TYPE_CHECKING:
    from starlette.requests import Request

    from falmock.emulator import Emulator
    from falmock.keys import Keyring

LONGEST_TOKEN_LIFETIME: Final = 7 * 24 * 3600
MOST_PARTS: Final = 10_000


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
        await self._finish(upload, [(1, await self._receive(request, upload, 1))])
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
        number = _part_number(request.path_params.get("part"))
        etag = await self._receive(request, upload, number or 1)
        if number is None:
            await self._finish(upload, [(1, etag)])
        # fal's server SDK reads the header, its JavaScript client the body.
        return JSONResponse({"partNumber": number or 1, "etag": etag}, headers={"etag": f'"{etag}"'})

    async def complete(self, request: Request) -> Response:
        """Join the parts."""
        upload = self._opened(request)
        body = await read_model(request, Parts)
        await self._finish(upload, [(part.part_number, part.etag) for part in body.parts])
        return JSONResponse({"access_url": self._url(request, upload.path)})

    async def serve(self, request: Request) -> Response:
        """Serve a file, or a range of it, to whom its access list allows."""
        file = self._emulator.files.live(request.scope["path"], self._emulator.clock.now())
        if file is None:
            raise NotFound
        request.scope["falmock.public"] = file.acl is None
        found = self._keyring.identify(request.headers.get("authorization"))
        decision = decide(file, found.key_id if isinstance(found, Caller) else None)
        if decision != "allow":
            raise FileNotServed(decision)
        return FileResponse(self._emulator.files.on_disk(file), media_type=file.content_type)

    def _announced(self, request: Request) -> Upload:
        """Return a file to be, for the holder of a token of `/storage/auth/token`."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        claims = self._open(token.strip()) if scheme.lower() == "bearer" else None
        if claims is None:
            raise InvalidToken
        return new_upload(
            self._emulator,
            name=request.headers.get("x-fal-file-name", "file"),
            content_type=request.headers.get("content-type", DEFAULT_TYPE),
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

    async def _receive(self, request: Request, upload: Upload, part: int) -> str:
        try:
            return await self._emulator.files.receive(upload, part, request.stream())
        except UploadTooLargeError:
            raise BodyTooLarge(self._emulator.settings.max_upload) from None

    async def _finish(self, upload: Upload, parts: list[tuple[int, str]]) -> None:
        try:
            await self._emulator.files.complete(upload, parts, now=self._emulator.clock.now())
        except PartsMismatchError:
            raise PlatformError("bad_request", "The parts are not those that were uploaded") from None
        except UploadTooLargeError:
            raise BodyTooLarge(self._emulator.settings.max_upload) from None

    def _url(self, request: Request, path: str) -> str:
        origin: Origin = request.scope["falmock.origin"]
        return origin.url(MEDIA, path)


def _part_number(text: str | None) -> int | None:
    """Return the number of a part; None for a whole file.

    Raises:
        NotFound: it is no number.
        PlatformError: `bad_request`, for one that no part may have.
    """
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()):
        raise NotFound
    number = (
        int(text) if len(text) <= len(str(MOST_PARTS)) else 0
    )  # Python refuses to read thousands of digits
    if not 1 <= number <= MOST_PARTS:
        raise PlatformError("bad_request", f"Invalid part number {text[:20]}")
    return number
