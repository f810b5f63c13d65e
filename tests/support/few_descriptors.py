"""Leaves a test, or a server, without file descriptors."""

from __future__ import annotations

import logging
import os
import resource
import socket
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import psutil
from processes import PATIENCE

from falmock.system import descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest
    from processes import Served


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
    monkeypatch.setitem(sys.modules, "sniffio", None)  # httpx looks for it in folders at each call
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


@contextmanager
def all_taken(server: Served, limit: int) -> Iterator[None]:
    """Open connections to a server until it has as many descriptors as its limit allows.

    Calls over connections that are open already still get answers.
    """
    process = psutil.Process(server.process.pid)
    deadline = time.monotonic() + PATIENCE
    with ExitStack() as stack:
        for _ in range(limit):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE))
        while process.num_fds() < limit - 1:  # uvloop opens and closes one to turn a connection away
            assert time.monotonic() < deadline, f"{process.num_fds()} of {limit} descriptors are taken"
        yield
