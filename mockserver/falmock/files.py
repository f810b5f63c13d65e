"""The CDN's files: bodies of submits, uploads and outputs, on disk, and who may read them.

inputs/    bodies of submits too large for a row, named by their SHA-256
files/     what the CDN serves
uploads/   what is still arriving
renders/   finished clips by content (kept by `media`); a file on the CDN is a hard link to one
snapshots/ bodies and files as they once were, as hard links (see `snapshots`)
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from falmock import bodies, urls
from falmock.scenarios import load
from falmock.store import Store, StoredFile

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator
    from pathlib import Path

log = logging.getLogger("falmock.files")

BUFFER: Final = 1024 * 1024
LONGEST_NAME: Final = 100
STALE_UPLOAD: Final = 24 * 3600.0
DEFAULT_TYPE: Final = "application/octet-stream"

_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_DECISIONS: Final = frozenset({"allow", "forbid", "hide"})


class LifecycleError(ValueError):
    """An object lifecycle header that is not what fal's clients send; the text says how."""


class UploadTooLargeError(Exception):
    """More bytes arrived than a file may have."""


class PartsMismatchError(Exception):
    """An upload was completed with parts that never arrived, or arrived differently."""


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """How long a file lives and who may read it (PROTOCOL.md 8.4).

    Attributes:
        seconds: until it expires; None for never.
        acl: `{"default": decision, "rules": [{"user", "decision"}]}`, or None for everybody.
    """

    seconds: float | None = None
    acl: dict[str, Any] | None = None

    @classmethod
    def parse(cls, text: str | None) -> Lifecycle:
        """Read the JSON of an `X-Fal-Object-Lifecycle(-Preference)` header; None is the default.

        Raises:
            LifecycleError: it is something else.
        """
        if text is None:
            return cls()
        try:
            value = bodies.load(text.encode(errors="replace"))
        except (ValueError, RecursionError):
            raise LifecycleError("not JSON") from None
        if not isinstance(value, dict):
            raise LifecycleError("not a JSON object")
        return cls(_seconds(value.get("expiration_duration_seconds")), _acl(value.get("initial_acl")))

    def expires_at(self, now: float) -> float | None:
        """Return when a file made now is gone."""
        return None if self.seconds is None else now + self.seconds


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


def _seconds(value: object) -> float | None:
    if value is None or value == 0:  # both mean no expiry to fal (a comment in its Python client)
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e10:  # noqa: PLR2004 - 300 years
        raise LifecycleError("expiration_duration_seconds is not a positive number")
    return float(value)


def _acl(value: object) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or value.get("default", "allow") not in _DECISIONS:
        raise LifecycleError("initial_acl has no usable default")
    rules = value.get("rules") or []
    if not isinstance(rules, list) or not all(
        isinstance(rule, dict) and isinstance(rule.get("user"), str) and rule.get("decision") in _DECISIONS
        for rule in rules
    ):
        raise LifecycleError("initial_acl has an unusable rule")
    return {"default": value.get("default", "allow"), "rules": rules}


def decide(file: StoredFile, reader: str | None) -> str:
    """Return "allow", "forbid" or "hide" for a reader (a key id), or for nobody in particular."""
    if file.acl is None or reader == file.owner:
        return "allow"
    acl = json.loads(file.acl)
    for rule in acl["rules"]:
        if rule["user"] == reader:
            return str(rule["decision"])
    return str(acl["default"])


def new_path(rng: random.Random, name: str) -> str:
    """Return the path of a file's URL in the form that fal serves today (PROTOCOL.md 8.3)."""
    nanoid = "".join(rng.choices(_ALPHABET, k=21))
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name)[-LONGEST_NAME:] or "file"
    return f"/files/b/{rng.getrandbits(32):08x}/{nanoid}_{safe}"


class Files:
    """What the emulator keeps on disk.

    Args:
        store: knows what the files are.
        folder: to keep them in.
        max_size: bytes that an uploaded file may have.
    """

    def __init__(self, store: Store, folder: Path, *, max_size: int) -> None:
        self._store = store
        self._max_size = max_size
        self._inputs = folder / "inputs"
        self._files = folder / "files"
        self._uploads = folder / "uploads"
        self.renders = folder / "renders"
        self.snapshots = folder / "snapshots"
        for path in (self._inputs, self._files, self._uploads, self.renders, self.snapshots):
            path.mkdir(parents=True, exist_ok=True)

    # Bodies of submits

    def keep_body(self, body: bytes) -> str:
        """Write a submit's body once, however often it comes, and return its name."""
        name = hashlib.sha256(body).hexdigest()
        path = self._inputs / name
        if not path.exists():
            partial = self._inputs / f"{name}.part"
            partial.write_bytes(body)
            partial.replace(path)
        return name

    def body(self, name: str) -> bytes:
        """Return a submit's body."""
        return (self._inputs / name).read_bytes()

    def drop_body(self, name: str) -> None:
        """Remove a submit's body, if no other submit had the same."""
        if not self._store.body_is_shared(name):
            (self._inputs / name).unlink(missing_ok=True)

    # What the CDN serves

    def on_disk(self, file: StoredFile) -> Path:
        """Return where a file's bytes are."""
        return self._files / file.disk

    def find(self, url: str, now: float) -> StoredFile | None:
        """Return the file that a URL of this emulator means, by whatever way it leads here."""
        try:
            path = unquote(urls.split(url).path)
        except ValueError:
            return None
        start = path.find("/files/")
        return self.live(path[start:], now) if start >= 0 else None

    def live(self, path: str, now: float) -> StoredFile | None:
        """Return a file by the path of its URL, unless its time is up."""
        file = self._store.file(path)
        if file is None or (file.expires_at is not None and file.expires_at <= now):
            return None
        return file

    def withdraw(self, url: str) -> bool:
        """Take a file off the CDN; tell whether there was one."""
        file = self.find(url, 0.0)
        if file is not None:
            self._remove(file)
        return file is not None

    def publish(
        self,
        source: Path,
        path: str,
        *,
        content_type: str,
        owner: str,
        lifecycle: Lifecycle,
        now: float,
        faults: str | None = None,
    ) -> StoredFile:
        """Put a finished file on the CDN. The source may be shared: nothing is ever written to it again."""
        expired = load(faults).get("media_expired")
        disk = hashlib.sha256(path.encode()).hexdigest()
        target = self._files / disk
        target.unlink(missing_ok=True)  # of an attempt that was cut off before its row was written
        _link(source, target)
        file = StoredFile(
            path=path,
            disk=disk,
            content_type=content_type,
            size=target.stat().st_size,
            owner=owner,
            created_at=now,
            expires_at=now + expired.fault.options["seconds"] if expired else lifecycle.expires_at(now),
            acl=json.dumps(lifecycle.acl) if lifecycle.acl else None,
            faults=faults,
        )
        with self._store.transaction():
            self._store.delete(StoredFile, path)
            self._store.insert(file)
        return file

    # Uploads

    async def receive(self, upload: Upload, part: int, chunks: AsyncIterator[bytes]) -> str:
        """Stream one part of an upload to disk and return its etag, the hex MD5.

        Raises:
            UploadTooLargeError: it has more bytes than a file may have; nothing is kept of it.
        """
        folder = self._uploads / upload.id
        folder.mkdir(exist_ok=True)
        partial = folder / f"{part}.{os.urandom(4).hex()}.part"  # two tries at one part may overlap
        digest = hashlib.md5(usedforsecurity=False)
        try:
            with partial.open("wb", buffering=0) as sink:
                async for buffer in _buffered(chunks, self._max_size):
                    await asyncio.to_thread(_write, sink, buffer, digest)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        partial.replace(folder / f"{part}.{digest.hexdigest()}")
        return digest.hexdigest()

    async def complete(self, upload: Upload, parts: list[tuple[int, str]], *, now: float) -> StoredFile:
        """Join the parts of an upload, given as (number, etag), and put the file on the CDN.

        Raises:
            PartsMismatchError: a part is not here, or not with this etag.
            UploadTooLargeError: together they have more bytes than a file may have.
        """
        folder = self._uploads / upload.id
        sources = [folder / f"{number}.{_plain(etag)}" for number, etag in sorted(parts)]
        if not sources or not all(source.is_file() for source in sources):
            if (done := self.live(upload.path, now)) is not None:  # asked again: the first answer was lost
                return done
            raise PartsMismatchError
        if sum(source.stat().st_size for source in sources) > self._max_size:
            raise UploadTooLargeError
        whole = sources[0]
        if len(sources) > 1:
            whole = folder / "whole"
            await asyncio.to_thread(_join, sources, whole)
        file = self.publish(
            whole,
            upload.path,
            content_type=upload.content_type,
            owner=upload.owner,
            lifecycle=Lifecycle.parse(upload.lifecycle),
            now=now,
        )
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return file

    # Housekeeping

    def sweep(self, now: float) -> None:
        """Remove the files whose time is up."""
        for file in self._store.expired_files(now):
            self._remove(file)

    def _remove(self, file: StoredFile) -> None:
        self.on_disk(file).unlink(missing_ok=True)
        self._store.delete(StoredFile, file.path)

    def remove(self, owner: str | None = None) -> None:
        """Take everybody's files off the CDN, or those of one key."""
        for file in self._store.files(owner):
            self._remove(file)

    # Snapshots

    def keep(self, folder: Path) -> None:
        """Keep all bodies and files as they are now in a new folder."""
        for part in (self._inputs, self._files):
            (folder / part.name).mkdir(parents=True)
            for source in part.iterdir():
                _link(source, folder / part.name / source.name)

    def put_back(self, folder: Path) -> None:
        """Have the bodies and files that were kept, and no others."""
        for part in (self._inputs, self._files):
            for path in part.iterdir():
                path.unlink()
            for source in (folder / part.name).iterdir():
                _link(source, part / source.name)

    def sweep_leftovers(self, wall: float) -> None:
        """Remove what a process left half-written that was killed, or meant to keep while it lived, and
        uploads that nobody finished for a day."""
        for kept in self.snapshots.iterdir():
            shutil.rmtree(kept)
        for partial in [*self._inputs.glob("*.part"), *self._uploads.glob("*/*.part")]:
            partial.unlink(missing_ok=True)
        for folder in self._uploads.iterdir():
            if folder.stat().st_mtime < wall - STALE_UPLOAD:
                shutil.rmtree(folder, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


def _plain(etag: str) -> str:
    """Return an etag without quotes, and nothing that could leave the folder."""
    return re.sub(r"[^0-9a-f]", "", etag.strip().strip('"').lower())


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


def _write(sink: Any, data: bytes, digest: Any) -> None:
    sink.write(data)
    digest.update(data)


def _join(sources: list[Path], target: Path) -> None:
    with target.open("wb") as sink:
        for source in sources:
            with source.open("rb") as part:
                shutil.copyfileobj(part, sink, BUFFER)
