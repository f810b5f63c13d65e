"""Uploads to the CDN, whole or in parts: announce, receive, complete.

An announced upload is not in the store. The id of Python's multipart upload is a token with its data. The URL
of a PUT has a signature of only 16 characters, so the data of such an upload is kept in memory. Each call
writes to a new file, which is moved into place when it is complete, so concurrent uploads of the same file or
part do not interfere.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import re
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from falmock.engine.files import DISCARDED, Files, all_or_nothing, link, new_path
from falmock.protocol.errors import BodyTooLarge, InvalidToken, PlatformError
from falmock.system import disk, private
from falmock.system.descriptors import with_descriptors

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from falmock.engine.rows import StoredFile
    from falmock.engine.signing import Signer

BATCH: Final = 512 * 1024  # bytes of one write
MOST_CHUNKS: Final = 1000  # in a batch: each takes some memory, however small it is
TOKEN_LIFETIME: Final = 24 * 3600  # seconds; fal's server SDK renews below one hour
MOST_ANNOUNCED: Final = 2_000  # uploads with a signed URL; the oldest is forgotten
LONGEST_TOKEN_LIFETIME: Final = 7 * 24 * 3600  # seconds


@dataclass(frozen=True, slots=True)
class Upload:
    """An announced file."""

    id: str  # the name of the folder for its parts
    path: str  # of the file's URL
    content_type: str
    owner: str  # the key id
    lifecycle: str | None  # JSON of its object lifecycle


class Uploads:
    """Receives uploads and publishes them on the CDN."""

    def __init__(
        self,
        files: Files,
        signer: Signer,
        *,
        now: Callable[[], float],
        new_rng: Callable[[str], random.Random],
    ) -> None:
        self._files = files
        self._folder = files.uploads
        self._signer = signer
        self._now = now
        self._new_rng = new_rng
        self._announced: dict[str, tuple[Upload, float]] = {}  # by path, with the time of their expiry
        self._completing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    # Tokens

    def token(self, owner: str, lifetime: int = TOKEN_LIFETIME) -> str:
        """Return a token to announce uploads with, as a key id."""
        return self._seal({"owner": owner}, lifetime)

    def owner(self, token: str) -> str:
        """Return the key id of a token.

        Raises:
            InvalidToken: it is not such a token, or has expired.
        """
        return str(self._claims(token)["owner"])

    def seal(self, upload: Upload) -> str:
        """Return an announced upload as a token."""
        return self._seal(asdict(upload), TOKEN_LIFETIME)

    def open(self, token: str) -> Upload:
        """Return the upload of a token.

        Raises:
            InvalidToken: it is not such a token, or has expired.
        """
        claims = self._claims(token)
        if "path" not in claims:
            raise InvalidToken
        return Upload(**claims)

    def sign(self, upload: Upload) -> str:
        """Return the path of an announced upload with a signature. It works for a day, until a restart."""
        while len(self._announced) >= MOST_ANNOUNCED:
            del self._announced[next(iter(self._announced))]
        self._announced[upload.path] = upload, self._now() + TOKEN_LIFETIME
        return f"{upload.path}?signature={self._signer.url_signature(upload.path)}"

    def signed(self, path: str, signature: str) -> Upload:
        """Return the upload of a signed path.

        Raises:
            InvalidToken: the signature is wrong, or the upload is not known or has expired.
        """
        upload, until = self._announced.get(path, (None, 0.0))
        expected = self._signer.url_signature(path)
        if (
            upload is None
            or until <= self._now()
            or not hmac.compare_digest(expected.encode(), signature.encode(errors="replace"))
        ):
            raise InvalidToken
        return upload

    def _seal(self, claims: Mapping[str, str | None], lifetime: int) -> str:
        now = self._now()
        return self._signer.seal({**claims, "until": now + lifetime}, now=now)

    def _claims(self, token: str) -> dict[str, Any]:
        now = self._now()
        claims = self._signer.open(token, now=now, lifetime=LONGEST_TOKEN_LIFETIME)
        if claims is None or claims.pop("until") <= now:
            raise InvalidToken
        return claims

    # Files

    def announce(self, *, name: str, content_type: str, owner: str, lifecycle: str | None) -> Upload:
        """Choose the address of a new file."""
        rng = self._new_rng("upload")
        return Upload(
            f"{rng.getrandbits(128):032x}", new_path(rng, name, self._now()), content_type, owner, lifecycle
        )

    async def receive_part(self, upload: Upload, number: int, chunks: AsyncIterator[bytes]) -> str:
        """Stream a part of an upload to disk, keep it until the upload is completed, and return its etag.

        The etag is the MD5 of the bytes, in hex. Nothing is kept after an error.

        Raises:
            BodyTooLarge: there are more bytes than a file may have.
            StorageFull: the disk is full.
        """
        digest = hashlib.md5(usedforsecurity=False)
        file = await self.receive(chunks, digest.update)
        etag = digest.hexdigest()
        with all_or_nothing(file), disk.room():
            folder = private.folder(self._folder / upload.id)
            file.replace(folder / f"{number}.{etag}")
        return etag

    async def receive(
        self, chunks: AsyncIterator[bytes], inspect: Callable[[bytes], None] = lambda _: None
    ) -> Path:
        """Stream a file to disk and return it; `inspect` gets its bytes. Nothing is kept after an error.

        Raises:
            BodyTooLarge: there are more bytes than a file may have.
            StorageFull: the disk is full.
        """
        file = self._new_name(private.PART)

        def write(batch: list[bytes]) -> None:
            data = b"".join(batch)
            disk.write_all(sink, data)
            inspect(data)

        with all_or_nothing(file):
            sink = await with_descriptors(lambda: asyncio.to_thread(private.create, file, buffering=0))
            with disk.room(), sink:
                await _write_behind(_batches(chunks, self._files.max_size), write)
        return file

    def publish(self, upload: Upload, whole: Path) -> StoredFile:
        """Publish a complete file on the CDN, and delete the original.

        Raises:
            StorageFull: the disk is full; nothing is published.
        """
        try:
            return self._files.publish(
                whole,
                upload.path,
                content_type=upload.content_type,
                owner=upload.owner,
                lifecycle=upload.lifecycle,
                now=self._now(),
            )
        finally:
            whole.unlink(missing_ok=True)

    async def complete(self, upload: Upload, parts: list[tuple[int, str]]) -> StoredFile:
        """Join the parts of an upload, given as (number, etag), and publish the file.

        A repeated completion, for example after a lost answer, returns the published file.

        Raises:
            PlatformError: `bad_request`: a part is missing, has another etag or is named twice.
            BodyTooLarge: together they have more bytes than a file may have.
            StorageFull: the disk is full; the parts are kept.
        """
        async with self._completing.setdefault(upload.id, asyncio.Lock()):
            folder = self._folder / upload.id
            try:
                whole = await with_descriptors(lambda: asyncio.to_thread(self._join, folder, sorted(parts)))
            except FileNotFoundError:
                if (published := self._files.live(upload.path, self._now())) is not None:
                    return published
                raise _parts_mismatch() from None
            file = self.publish(upload, whole)
            if (discarded := self._discard(folder)) is not None:
                await asyncio.to_thread(shutil.rmtree, discarded, ignore_errors=True)
            return file

    def _join(self, folder: Path, parts: list[tuple[int, str]]) -> Path:
        """Return a new file with the bytes of all parts. Only one part is open at a time."""
        if len({number for number, _ in parts}) < len(parts):
            raise _parts_mismatch()
        sources = [folder / f"{number}.{_plain(etag)}" for number, etag in parts]
        if sum(source.stat().st_size for source in sources) > self._files.max_size:
            raise BodyTooLarge(self._files.max_size)
        whole = self._new_name(private.PART)
        with all_or_nothing(whole), disk.room():
            if len(sources) == 1:
                link(sources[0], whole)
            else:
                _concatenate(sources, whole)
        return whole

    def _discard(self, folder: Path) -> Path | None:
        """Rename the folder of a completed upload, because a late part may make the folder again."""
        discarded = self._new_name(DISCARDED)
        try:
            folder.rename(discarded)
        except OSError:  # the file is published; the next start deletes the folder
            return None
        return discarded

    def _new_name(self, suffix: str) -> Path:
        return self._folder / f"{os.urandom(16).hex()}{suffix}"


def _parts_mismatch() -> PlatformError:
    return PlatformError("bad_request", "The parts are not those that were uploaded")


def _plain(etag: str) -> str:
    """Return an etag without quotes and without characters that could lead to another folder."""
    return re.sub(r"[^0-9a-f]", "", etag.lower())[:32]


async def _batches(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[list[bytes]]:
    """Collect chunks into batches, because each write needs a thread."""
    batch: list[bytes] = []
    size = total = 0
    async for chunk in chunks:
        total += len(chunk)
        if total > limit:
            raise BodyTooLarge(limit)
        batch.append(chunk)
        size += len(chunk)
        if size >= BATCH or len(batch) == MOST_CHUNKS:
            yield batch
            batch, size = [], 0
    yield batch


async def _write_behind(batches: AsyncIterator[list[bytes]], write: Callable[[list[bytes]], None]) -> None:
    """Write each batch in a thread while the next one arrives. No write goes on after an error."""
    loop = asyncio.get_running_loop()
    writing: asyncio.Future[None] = loop.create_future()
    writing.set_result(None)
    try:
        async for batch in batches:
            await asyncio.wait({writing})
            writing.result()
            writing = loop.run_in_executor(None, write, batch)
        await asyncio.wait({writing})
    finally:
        await asyncio.wait({writing})  # also after a cancellation, because the caller closes the file
        error = writing.exception()
    if error is not None:
        raise error


def _concatenate(sources: list[Path], target: Path) -> None:
    with private.create(target, buffering=0) as sink:
        for source in sources:
            with source.open("rb", buffering=0) as part:
                disk.append(part, sink)
