"""The files of an emulator. Other users of the machine cannot read them.

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
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, Final
from urllib.parse import unquote

from falmock.engine.rows import StoredFile
from falmock.faults import effects
from falmock.faults.effects import Injections
from falmock.protocol import urls
from falmock.system import disk, private
from falmock.system.descriptors import spare, with_spare

if TYPE_CHECKING:
    import random
    from collections.abc import Collection
    from pathlib import Path

    from falmock.engine.object_lifecycle import Lifecycle
    from falmock.engine.store import Store

log = logging.getLogger("falmock.engine.files")

LONGEST_NAME: Final = 100
STALE_UPLOAD: Final = 24 * 3600.0
DEFAULT_TYPE: Final = "application/octet-stream"

_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
DISCARDED: Final = ".gone"  # suffix of a folder that is being deleted


def new_path(rng: random.Random, name: str, now: float) -> str:
    """Return a new path for the URL of a file that is stored now (PROTOCOL.md 8.3)."""
    nanoid = "".join(rng.choices(_ALPHABET, k=21))
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name)[-LONGEST_NAME:] or "file"
    return f"/files/b/{int(now // 10):08x}/{nanoid}_{safe}"


class Files:
    """The files of one emulator.

    Args:
        store: has a row for each file of the CDN.
        folder: the parent of all folders; the state folder, or a temporary one.
        max_size: the limit on an uploaded file, in bytes.
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
        spare.reserve()  # before there is none left

    # Bodies of submissions

    def keep_body(self, body: bytes) -> str:
        """Write a submission's body, unless it is there already, and return its name.

        Raises:
            StorageFull: the disk is full.
        """
        name = hashlib.sha256(body).hexdigest()
        path = self._inputs / name
        if not path.exists():
            with disk.room():
                with_spare(lambda: private.write(path, body))
            self._store.on_rollback(lambda: path.unlink(missing_ok=True))
        return name

    def body(self, name: str) -> bytes:
        """Return a submission's body."""
        return with_spare((self._inputs / name).read_bytes)

    def drop_body(self, name: str) -> None:
        """Delete a submission's body, unless another submission has the same."""
        if not self._store.body_is_shared(name):
            path = self._inputs / name
            self._store.on_commit(lambda: path.unlink(missing_ok=True))

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
        lifecycle: Lifecycle,
        now: float,
        faults: str | None = None,
        request_id: str | None = None,
    ) -> StoredFile:
        """Publish a file on the CDN. It replaces a file at the same path.

        Args:
            source: the complete file. It is linked, so it must not change later.
            path: the path of its URL.
            content_type, owner, faults, request_id: see `StoredFile`.
            lifecycle: its expiry and access list.
            now: unix seconds.

        Raises:
            StorageFull: the disk is full; nothing has changed.
        """
        target = self._files / os.urandom(16).hex()
        try:
            with disk.room():
                link(source, target)
                file = StoredFile(
                    path=path,
                    disk=target.name,
                    content_type=content_type,
                    size=target.stat().st_size,
                    owner=owner,
                    created_at=now,
                    expires_at=effects.file_expires_at(
                        Injections.parse(faults), lifecycle.expires_at(now), now
                    ),
                    acl=json.dumps(lifecycle.acl) if lifecycle.acl else None,
                    faults=faults,
                    request_id=request_id,
                )
                earlier = self._replace(file)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        if earlier is not None:
            self.on_disk(earlier).unlink(missing_ok=True)
        return file

    def _replace(self, file: StoredFile) -> StoredFile | None:
        with self._store.transaction():
            earlier = self._store.file(file.path)
            if earlier is not None:
                self._store.delete(StoredFile, file.path)
            self._store.insert(file)
        return earlier

    # Deletion

    def sweep(self, now: float) -> None:
        """Delete the expired files."""
        for file in self._store.expired_files(now):
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

        Args:
            wall: the real time, unix seconds. Uploads expire after a day of it.
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


def _swap(folder: Path, wanted: Collection[str]) -> None:
    """Move the restored files into place and delete all others."""
    for path in list(folder.iterdir()):
        if path.name.removesuffix(private.PART) not in wanted:
            path.unlink()
    for name in wanted:
        part = folder / f"{name}{private.PART}"
        part.replace(folder / name)
        part.unlink(missing_ok=True)  # a rename between two links to one file does nothing


def link(source: Path, target: Path) -> None:
    """Make a hard link, or a copy if the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        with source.open("rb") as original, private.create(target) as copy:
            shutil.copyfileobj(original, copy)
