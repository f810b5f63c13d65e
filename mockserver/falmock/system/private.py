"""Files and folders that only their owner can read or change, with any umask."""

from __future__ import annotations

import logging
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

log = logging.getLogger("falmock")

FILE: Final = 0o600
FOLDER: Final = 0o700
PUBLIC_FILE: Final = 0o644
PUBLIC_FOLDER: Final = 0o755
PART: Final = ".part"  # suffix of an incomplete file


def write(path: Path, content: bytes) -> None:
    """Write a complete file, or none. No other user can read it, not even while it is written."""
    part = path.with_suffix(PART)
    part.unlink(missing_ok=True)
    try:
        with create(part) as sink:
            sink.write(content)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def create(path: Path, *, buffering: int = -1) -> BinaryIO:
    """Open a new file for writing.

    Raises:
        FileExistsError: there is a file of that name.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE)
    with suppress(PermissionError):  # a file system without modes
        os.fchmod(descriptor, FILE)  # the umask may have removed bits of the owner
    return os.fdopen(descriptor, "wb", buffering=buffering)


def folder(path: Path) -> Path:
    """Make a folder unless it exists, restrict it to its owner, and return it."""
    path.mkdir(mode=FOLDER, parents=True, exist_ok=True)
    _restrict(path, FOLDER)
    return path


def publish(path: Path) -> None:
    """Let other users read a folder and its files. They must be able to enter its parent."""
    for each, mode in ((path, PUBLIC_FOLDER), *((file, PUBLIC_FILE) for file in path.iterdir())):
        with suppress(PermissionError):  # a file system without modes
            each.chmod(mode)


def own(path: Path, names: Collection[str]) -> None:
    """Make a folder, or restrict an existing one to its owner.

    Entries with the given names are restricted, with everything in them. Links are not followed. The folder
    itself is restricted unless it has other entries: then it may have another purpose. A mode that cannot be
    changed, because of the file system or another owner, is logged as a warning.
    """
    if not path.exists():
        folder(path)
        return
    entries = list(path.iterdir())
    shared = [entry for entry in entries if entry.name not in names and entry.suffix != PART]
    closed = [entry for entry in entries if entry not in shared]
    for entry in closed:
        _restrict_all(entry)
    if not shared:
        _restrict(path, FOLDER)


def touch(path: Path) -> None:
    """Make an empty file unless the file exists."""
    if not path.exists():
        create(path).close()


def _restrict_all(path: Path) -> None:
    if path.is_symlink():
        return
    if not path.is_dir():
        _restrict(path, FILE)
        return
    _restrict(path, FOLDER)
    for inner in path.iterdir():
        _restrict_all(inner)


def _restrict(path: Path, mode: int) -> None:
    if stat.S_IMODE(path.stat().st_mode) == mode:
        return
    try:
        path.chmod(mode)
    except PermissionError as error:
        log.warning("others may be able to read %s: %s", path, error.strerror)
