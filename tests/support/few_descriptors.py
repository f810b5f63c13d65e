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
    """Gives descriptors back as soon as the log says that work waits for them."""

    def __init__(self, limits: tuple[int, int]) -> None:
        super().__init__()
        self.limits = limits
        self.waits = 0

    def emit(self, record: logging.LogRecord) -> None:
        if "no file descriptor is left" in record.getMessage():
            self.waits += 1
            resource.setrlimit(resource.RLIMIT_NOFILE, self.limits)


@contextmanager
def none_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Relief]:
    """Have no descriptor left until the log says that work waits for one."""
    monkeypatch.setattr(descriptors, "_logged", False)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    relief = _Relief(limits)
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
