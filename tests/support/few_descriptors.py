"""Leaves a test without file descriptors."""

from __future__ import annotations

import logging
import os
import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING

from falmock.system import descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


class _Relief(logging.Handler):
    """Restores the limit when the log says that work waits for a descriptor."""

    def __init__(self, limits: tuple[int, int], *, restores: bool) -> None:
        super().__init__()
        self.limits = limits
        self.restores = restores
        self.waits = 0

    def emit(self, record: logging.LogRecord) -> None:
        if "no file descriptor is left" in record.getMessage():
            self.waits += 1
            if self.restores:
                resource.setrlimit(resource.RLIMIT_NOFILE, self.limits)


@contextmanager
def none_left(monkeypatch: pytest.MonkeyPatch, *, until_waiting: bool = True) -> Iterator[_Relief]:
    """Leave no descriptor in a block, by default until the log says that work waits for one."""
    monkeypatch.setattr(descriptors.spare, "logged", False)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    relief = _Relief(limits, restores=until_waiting)
    log = logging.getLogger("falmock")
    log.addHandler(relief)
    first_free = os.open(os.devnull, os.O_RDONLY)
    os.close(first_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (first_free, limits[1]))
    try:
        yield relief
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        log.removeHandler(relief)
