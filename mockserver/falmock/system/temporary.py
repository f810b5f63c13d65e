"""Temporary folders that do not outlive their process for long.

A process that is killed leaves its folder, and the next process removes it. Each process locks its folder;
the system releases the lock when the process ends.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from falmock.system import private

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX: Final = "falmock-"
LOCK: Final = "falmock.lock"  # a folder without this file is not from this module
MIN_AGE: Final = 60.0  # seconds; a younger folder may not be locked yet


@contextmanager
def folder() -> Iterator[Path]:
    """Make a temporary folder that only its owner can read, and remove it after the block.

    Folders that killed processes of this user left are removed first.
    """
    remove_abandoned(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name, private.create(Path(name) / LOCK) as lock:
        with suppress(OSError):  # a file system without locks; then none is removed there
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield Path(name)


def remove_abandoned(parent: Path) -> None:
    """Remove this user's own folders of processes that are gone."""
    latest = time.time() - MIN_AGE
    with suppress(PermissionError), os.scandir(parent) as entries:  # a folder that cannot be listed
        for entry in [entry for entry in entries if entry.name.startswith(PREFIX)]:
            with suppress(FileNotFoundError):  # its process has ended, or another one has removed it
                status = entry.stat(follow_symlinks=False)
                own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
                if own and status.st_mtime < latest:
                    _remove_unless_locked(Path(entry.path))


def _remove_unless_locked(path: Path) -> None:
    try:
        lock = os.open(path / LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return  # not a folder of this module
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return  # in use, or a file system without locks
    else:
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)
