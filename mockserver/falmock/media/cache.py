"""The folder of rendered files: limited in size, without those used longest ago."""

from __future__ import annotations

import math
import os
from collections import Counter, OrderedDict
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Cache:
    """Files by name. Those of an earlier cache in the folder are kept, in the order of their times of change.

    `limit` is the number of bytes that all may have together. Files that are held count, but stay.
    """

    def __init__(self, folder: Path, limit: int | None) -> None:
        self._folder = folder
        self._limit = math.inf if limit is None else limit
        self._held: Counter[str] = Counter()
        found = [(path.name, path.stat()) for path in folder.iterdir() if path.is_file()]
        found.sort(key=lambda pair: pair[1].st_mtime_ns)
        # The one used last is last.
        self._sizes = OrderedDict((name, status.st_size) for name, status in found)
        self._total = sum(self._sizes.values())

    def path(self, name: str) -> Path:
        return self._folder / name

    def use(self, name: str) -> None:
        """Note that a file is used, also for later caches of this folder."""
        if name in self._sizes:
            self._sizes.move_to_end(name)
            with suppress(OSError):  # only its place in the order is lost
                os.utime(self.path(name))

    def add(self, name: str) -> set[str]:
        """Add a file that is in the folder, or replace it. Return the names of those that were removed."""
        self._total -= self._sizes.pop(name, 0)
        self._sizes[name] = self.path(name).stat().st_size
        self._total += self._sizes[name]
        removed = set()
        for old in list(self._sizes):
            if self._total <= self._limit:
                break
            if not self._held[old]:
                self.path(old).unlink(missing_ok=True)
                self._total -= self._sizes.pop(old)
                removed.add(old)
        return removed

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Keep a file for the length of a block, whether it exists or is about to."""
        self._held[name] += 1
        try:
            yield
        finally:
            self._held[name] -= 1
            if not self._held[name]:
                del self._held[name]
