"""Files and folders that only their owner can read or change, whatever the umask says."""

from __future__ import annotations

import logging
import os
import stat
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

log = logging.getLogger("falmock")

FILE: Final = 0o600
FOLDER: Final = 0o700
PART: Final = ".part"


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; it was never readable by anybody else."""
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
    os.fchmod(descriptor, FILE)  # a umask can only take bits away, from the owner too
    return os.fdopen(descriptor, "wb", buffering=buffering)


def folder(path: Path) -> Path:
    """Make a folder, if need be, and return it; one that is there already is closed to others."""
    path.mkdir(mode=FOLDER, parents=True, exist_ok=True)
    _restrict(path, FOLDER)
    return path


def own(path: Path, names: Collection[str]) -> None:
    """Make a folder, or close what an earlier version left open in one to others.

    Of its entries those with the given names are closed, with all that is in them; links are left alone.
    The folder itself is closed too, unless it has other entries: then it is not ours alone. Where the file
    system or another owner does not allow it, a warning says so.
    """
    if not path.exists():
        folder(path)
        return
    entries = list(path.iterdir())
    shared = [entry for entry in entries if entry.name not in names and entry.suffix != PART]
    closed = [entry for entry in entries if entry not in shared]
    try:
        for entry in closed:
            _restrict_all(entry)
        if not shared:
            _restrict(path, FOLDER)
    except PermissionError as error:
        log.warning("others may be able to read %s: %s", error.filename, error.strerror)


def touch(path: Path) -> None:
    """Make an empty file, if there is none."""
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
    if stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)
