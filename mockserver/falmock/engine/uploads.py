"""Uploads to the CDN, whole or in parts.

Each upload is written to its own file and moved into place when it is complete, so two attempts at one file
or one part do not disturb each other.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final
from weakref import WeakValueDictionary

from falmock.engine.files import DISCARDED, PARTIAL, Files, link
from falmock.engine.object_lifecycle import Lifecycle
from falmock.system import disk, private
from falmock.system.descriptors import with_descriptors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from falmock.engine.rows import StoredFile

BUFFER: Final = 1024 * 1024


class UploadTooLargeError(Exception):
    """More bytes arrived than a file may have."""


class PartsMismatchError(Exception):
    """An upload was completed with parts that never arrived, or arrived differently."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to be. It lives in the sealed address that the uploader was given, not in the store.

    Attributes:
        id: names the folder in which its parts gather.
        path: of the file's URL.
        content_type: as it will be served.
        owner: the key id.
        lifecycle: JSON of its object lifecycle, or None.
    """

    id: str
    path: str
    content_type: str
    owner: str
    lifecycle: str | None


@dataclass(frozen=True, slots=True)
class Destination:
    """Bytes that have arrived.

    Attributes:
        file: has all of them.
        etag: their MD5, in hex.
    """

    file: Path
    etag: str


class Uploads:
    """Takes uploads, and puts them on the CDN.

    Args:
        files: of the emulator.
        now: returns the emulator's time, unix seconds.
    """

    def __init__(self, files: Files, now: Callable[[], float]) -> None:
        self._files = files
        self._folder = files.uploads
        self._now = now
        self._completing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def receive(self, chunks: AsyncIterator[bytes]) -> Destination:
        """Stream bytes to disk.

        Raises:
            UploadTooLargeError: there are more than a file may have; none is kept.
            StorageFull: they do not fit; none is kept.
        """
        file = self._fresh(PARTIAL)
        digest = hashlib.md5(usedforsecurity=False)
        try:
            sink = await with_descriptors(lambda: asyncio.to_thread(private.create, file, buffering=0))
            with disk.room(), sink:
                async for buffer in _buffered(chunks, self._files.max_size):
                    await asyncio.to_thread(_write, sink, buffer, digest)
        except BaseException:
            file.unlink(missing_ok=True)
            raise
        return Destination(file, digest.hexdigest())

    def keep_part(self, upload: Upload, number: int, arrival: Destination) -> None:
        """Keep bytes as a part of an upload, until it is completed.

        Raises:
            StorageFull: they are not kept.
        """
        try:
            with disk.room():
                folder = private.folder(self._folder / upload.id)
                arrival.file.replace(folder / f"{number}.{arrival.etag}")
        except BaseException:
            arrival.file.unlink(missing_ok=True)
            raise

    def publish(self, upload: Upload, whole: Path) -> StoredFile:
        """Put a file in which an upload is complete on the CDN; the file itself goes.

        Raises:
            StorageFull: it is not on the CDN.
        """
        try:
            return self._files.publish(
                whole,
                upload.path,
                content_type=upload.content_type,
                owner=upload.owner,
                lifecycle=Lifecycle.parse(upload.lifecycle),
                now=self._now(),
            )
        finally:
            whole.unlink(missing_ok=True)

    async def complete(self, upload: Upload, parts: list[tuple[int, str]]) -> StoredFile:
        """Join the parts of an upload, given as (number, etag), and put the file on the CDN.

        Asked again, because the first answer was lost, it returns the file.

        Raises:
            PartsMismatchError: a part is not here, not with this etag, or named twice.
            UploadTooLargeError: together they have more bytes than a file may have.
            StorageFull: the parts are still there.
        """
        async with self._completing.setdefault(upload.id, asyncio.Lock()):
            folder = self._folder / upload.id
            try:
                whole = await with_descriptors(lambda: asyncio.to_thread(self._join, folder, sorted(parts)))
            except FileNotFoundError:
                if (done := self._files.live(upload.path, self._now())) is not None:
                    return done
                raise PartsMismatchError from None
            file = self.publish(upload, whole)
            if (gone := self._set_aside(folder)) is not None:
                await asyncio.to_thread(shutil.rmtree, gone, ignore_errors=True)
            return file

    def _join(self, folder: Path, parts: list[tuple[int, str]]) -> Path:
        """Return a new file with the bytes of all parts, of which one at a time is open."""
        if len({number for number, _ in parts}) < len(parts):
            raise PartsMismatchError
        sources = [folder / f"{number}.{_plain(etag)}" for number, etag in parts]
        if sum(source.stat().st_size for source in sources) > self._files.max_size:
            raise UploadTooLargeError
        whole = self._fresh(PARTIAL)
        try:
            with disk.room():
                if len(sources) == 1:
                    link(sources[0], whole)
                else:
                    _concatenate(sources, whole)
        except BaseException:
            whole.unlink(missing_ok=True)
            raise
        return whole

    def _set_aside(self, folder: Path) -> Path | None:
        """Give a folder that is done with another name: a late part may need the old one again."""
        gone = self._fresh(DISCARDED)
        try:
            folder.rename(gone)
        except OSError:  # the file is on the CDN already; a later start removes the folder
            return None
        return gone

    def _fresh(self, suffix: str) -> Path:
        return self._folder / f"{os.urandom(16).hex()}{suffix}"


def _plain(etag: str) -> str:
    """Return an etag without quotes, and nothing that could leave the folder."""
    return re.sub(r"[^0-9a-f]", "", etag.lower())[:32]


async def _buffered(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    """Gather small chunks, so that a thread is entered once a megabyte."""
    buffer = bytearray()
    total = 0
    async for chunk in chunks:
        total += len(chunk)
        if total > limit:
            raise UploadTooLargeError
        buffer += chunk
        if len(buffer) >= BUFFER:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer)


def _concatenate(sources: list[Path], target: Path) -> None:
    with private.create(target) as sink:
        for source in sources:
            with source.open("rb") as part:
                shutil.copyfileobj(part, sink, BUFFER)


def _write(sink: BinaryIO, data: bytes, digest: Any) -> None:
    disk.write_all(sink, data)
    digest.update(data)
