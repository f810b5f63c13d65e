"""The files of an emulator, and the inputs and results of requests. Other users cannot read them.

inputs/    bodies of submissions that are too large for a row, named by their SHA-256
files/     the files of the CDN
uploads/   uploads in progress
renders/   rendered media (see `media`); a generated file of the CDN is a hard link to one
snapshots/ bodies and files of snapshots, as hard links
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO, Final
from urllib.parse import unquote

from falmock.engine.rows import StoredFile
from falmock.faults import effects
from falmock.faults.effects import Injections
from falmock.protocol import urls
from falmock.system import disk, private
from falmock.system.descriptors import spare, with_spare

if TYPE_CHECKING:
    import random
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from falmock.engine.rows import Request
    from falmock.engine.store import Store

log = logging.getLogger("falmock.engine.files")

LARGE_INPUT: Final = 16 * 1024  # bytes; a larger body is kept in a file
LONGEST_NAME: Final = 100
STALE_UPLOAD: Final = 24 * 3600.0
DEFAULT_TYPE: Final = "application/octet-stream"

_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
DISCARDED: Final = ".gone"  # suffix of a folder that is being deleted
_DECISIONS: Final = ("allow", "forbid", "hide")
_LONGEST_LIFETIME: Final = 1e10  # seconds, some 300 years


def new_path(rng: random.Random, name: str, now: float) -> str:
    """Return a new path for the URL of a file that is stored now (PROTOCOL.md 8.3)."""
    nanoid = "".join(rng.choices(_ALPHABET, k=21))
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name)[-LONGEST_NAME:] or "file"
    return f"/files/b/{int(now // 10):08x}/{nanoid}_{safe}"


class LifecycleError(ValueError):
    """An object lifecycle header is invalid. The text says why."""


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """The expiry and access list of a file on the CDN (PROTOCOL.md 8.4)."""

    seconds: float | None = None  # until the file expires; None for never
    # {"default": decision, "rules": [{"user", "decision"}]}; None allows every reader.
    acl: dict[str, Any] | None = None

    @classmethod
    def parse(cls, text: str | None) -> Lifecycle:
        """Read the JSON of an `X-Fal-Object-Lifecycle(-Preference)` header; None is the default.

        Raises:
            LifecycleError: the text is invalid.
        """
        if text is None:
            return cls()
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise LifecycleError("not JSON") from None
        if not isinstance(value, dict):
            raise LifecycleError("not a JSON object")
        return cls(_seconds(value.get("expiration_duration_seconds")), _acl(value.get("initial_acl")))

    def expires_at(self, now: float) -> float | None:
        return None if self.seconds is None else now + self.seconds


def decide(file: StoredFile, reader: str | None) -> str:
    """Return "allow", "forbid" or "hide" for a reader: a key id, or None without credentials."""
    if file.acl is None or reader == file.owner:
        return "allow"
    acl = json.loads(file.acl)
    for rule in acl["rules"]:
        if rule["user"] == reader:
            return str(rule["decision"])
    return str(acl["default"])


def _seconds(value: object) -> float | None:
    if value is None or value == 0:  # both mean no expiry to fal (a comment in its Python client)
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _LONGEST_LIFETIME:
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


class Files:
    """The files of one emulator, in its state folder or a temporary one.

    An upload may have `max_size` bytes.
    """

    def __init__(self, store: Store, folder: Path, *, max_size: int) -> None:
        self._store = store
        self.max_size = max_size
        self.folder = folder
        self._inputs = folder / "inputs"
        self._files = folder / "files"
        self.uploads = folder / "uploads"
        self.renders = folder / "renders"
        self.snapshots = folder / "snapshots"
        for path in (self._inputs, self._files, self.uploads, self.renders, self.snapshots):
            private.folder(path)
        self.payloads = Payloads(store, self._inputs)
        spare.reserve()  # while a descriptor is left

    # The CDN

    def on_disk(self, file: StoredFile) -> Path:
        return self._files / file.disk

    def open(self, file: StoredFile) -> BinaryIO | None:
        """Open a file for reading. A missing or damaged file is logged, and None is returned."""
        try:
            source = self.on_disk(file).open("rb")
        except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
            log.warning("the file %s cannot be served: %s", file.path, error.strerror)
            return None
        status = os.fstat(source.fileno())
        if stat.S_ISREG(status.st_mode) and status.st_size == file.size:
            return source
        source.close()
        log.warning("the file %s is damaged: it has %d of %d bytes", file.path, status.st_size, file.size)
        return None

    def find(self, url: str, now: float) -> StoredFile | None:
        """Return the file of a URL of this emulator, under any base URL."""
        try:
            path = unquote(urls.split(url).path)
            path.encode()
        except ValueError:  # also for a lone surrogate
            return None
        start = path.find("/files/")
        return self.live(path[start:], now) if start >= 0 else None

    def live(self, path: str, now: float) -> StoredFile | None:
        """Return a file by the path of its URL, unless it has expired."""
        file = self._store.file(path)
        if file is None or (file.expires_at is not None and file.expires_at <= now):
            return None
        return file

    def withdraw(self, request_id: str) -> list[str]:
        """Delete the files that a request produced; return the paths of their URLs."""
        files = self._store.files_of_request(request_id)
        for file in files:
            self._remove(file)
        return [file.path for file in files]

    def publish(
        self,
        source: Path,
        path: str,
        *,
        content_type: str,
        owner: str,
        lifecycle: str | None,
        now: float,
        faults: str | None = None,
        request_id: str | None = None,
    ) -> StoredFile:
        """Publish a complete file on the CDN. It is linked, so it must not change later.

        It replaces a file at the same path.

        Raises:
            StorageFull: the disk is full; nothing has changed.
        """
        wanted = Lifecycle.parse(lifecycle)
        target = self._files / os.urandom(16).hex()
        with all_or_nothing(target), disk.room():
            link(source, target)
            file = StoredFile(
                path=path,
                disk=target.name,
                content_type=content_type,
                size=target.stat().st_size,
                owner=owner,
                created_at=now,
                expires_at=effects.file_expires_at(Injections.parse(faults), wanted.expires_at(now), now),
                acl=json.dumps(wanted.acl) if wanted.acl else None,
                faults=faults,
                request_id=request_id,
            )
            with self._store.transaction():
                earlier = self._store.file(path)
                if earlier is not None:
                    self._store.delete(StoredFile, path)
                self._store.insert(file)
        if earlier is not None:
            self.on_disk(earlier).unlink(missing_ok=True)
        return file

    # Deletion

    def sweep(self, now: float) -> None:
        for file in self._store.expired(StoredFile, now):
            self._remove(file)

    def _remove(self, file: StoredFile) -> None:
        self._store.delete(StoredFile, file.path)
        path = self.on_disk(file)
        self._store.on_commit(lambda: path.unlink(missing_ok=True))

    def remove(self, owner: str | None = None) -> None:
        """Delete all files of the CDN, or those of one key."""
        for file in self._store.files(owner):
            self._remove(file)

    # Snapshots

    def keep(self, folder: Path) -> None:
        """Link all bodies and files into a new folder."""
        for part in (self._inputs, self._files):
            (folder / part.name).mkdir(parents=True)
            for source in part.iterdir():
                link(source, folder / part.name / source.name)

    def put_back(self, folder: Path) -> None:
        """Replace all bodies and files by those in a folder of `keep`, when the transaction is committed.

        Raises:
            OSError: one of them cannot be linked; nothing has changed.
        """
        for part in (self._inputs, self._files):
            wanted = {source.name for source in (folder / part.name).iterdir()}
            for name in wanted:
                beside = part / f"{name}{private.PART}"
                beside.unlink(missing_ok=True)
                self._store.on_rollback(partial(beside.unlink, missing_ok=True))
                link(folder / part.name / name, beside)
            self._store.on_commit(partial(_swap, part, wanted))

    def sweep_leftovers(self, wall: float) -> None:
        """Delete incomplete files, files without a row, snapshots and old uploads of an earlier process.

        Uploads expire after a day of real time.
        """
        for folder in [*self.snapshots.iterdir(), *self.uploads.glob(f"*{DISCARDED}")]:
            shutil.rmtree(folder)
        incomplete = (folder.glob(f"*{private.PART}") for folder in (self._inputs, self._files, self.uploads))
        for path in chain.from_iterable(incomplete):
            path.unlink(missing_ok=True)
        for name in {path.name for path in self._files.iterdir()} - self._store.file_names():
            (self._files / name).unlink()
        for folder in self.uploads.iterdir():
            if folder.stat().st_mtime < wall - STALE_UPLOAD:
                shutil.rmtree(folder, ignore_errors=True)


class Payloads:
    """The inputs and results of requests: small ones are in the store, large inputs in files."""

    def __init__(self, store: Store, inputs: Path) -> None:
        self._store = store
        self._inputs = inputs

    def keep_input(self, request_id: str, body: bytes) -> str | None:
        """Keep a submitted body; return the name of the file that has it, or None if the store has it.

        Raises:
            StorageFull: the disk is full.
        """
        if len(body) <= LARGE_INPUT:
            self._store.keep(request_id, "input", body)
            return None
        name = hashlib.sha256(body).hexdigest()
        path = self._inputs / name
        if not path.exists():
            with disk.room():
                with_spare(lambda: private.write(path, body))
            self._store.on_rollback(lambda: path.unlink(missing_ok=True))
        return name

    def body(self, request: Request) -> bytes:
        """Return the submitted body.

        Raises:
            FileNotFoundError: the body file is missing.
        """
        if request.body_file is not None:
            return with_spare((self._inputs / request.body_file).read_bytes)
        return self._store.payload(request.id, "input") or b""

    def kept_body(self, request: Request) -> bytes:
        """Return the submitted body, or nothing if the body file is missing."""
        try:
            return self.body(request)
        except FileNotFoundError:
            return b""

    def output(self, request: Request, now: float) -> bytes | None:
        """Return the body of the result; None before the end and after it expired."""
        if request.expires_at is None or request.expires_at <= now:
            return None
        return self._store.payload(request.id, "output")

    def drop(self, request: Request) -> None:
        """Delete the input and the result."""
        if request.body_file is not None and not self._store.body_is_shared(request.body_file):
            path = self._inputs / request.body_file
            self._store.on_commit(lambda: path.unlink(missing_ok=True))
        self._store.drop(request.id, "input", "output")


def _swap(folder: Path, wanted: Collection[str]) -> None:
    """Move the restored files into place and delete all others."""
    for path in list(folder.iterdir()):
        if path.name.removesuffix(private.PART) not in wanted:
            path.unlink()
    for name in wanted:
        part = folder / f"{name}{private.PART}"
        part.replace(folder / name)
        part.unlink(missing_ok=True)  # a rename between two links to one file does nothing


@contextmanager
def all_or_nothing(file: Path) -> Iterator[None]:
    """Delete a file if the block that makes it raises."""
    try:
        yield
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def link(source: Path, target: Path) -> None:
    """Make a hard link, or a copy if the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        with source.open("rb") as original, private.create(target) as copy:
            shutil.copyfileobj(original, copy)
