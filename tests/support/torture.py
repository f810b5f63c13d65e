"""What tests that mistreat a served emulator share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from processes import Served

FAST = ("--media", "plain", "--queue-seconds", "0", "--run-seconds", "0-0.2", "--seed", "1", "--port", "0")


@dataclass(frozen=True)
class Scale:
    """How much to do.

    Attributes:
        kills: how often the server is killed.
        requests: how many requests a test submits.
        soak_seconds: how long the soak lasts.
    """

    kills: int
    requests: int
    soak_seconds: float


SHORT = Scale(kills=3, requests=40, soak_seconds=3)
LONG = Scale(kills=100, requests=400, soak_seconds=180)


@dataclass(frozen=True)
class Usage:
    """The resources of a process: descriptors, threads, child processes, and bytes of memory."""

    descriptors: int
    threads: int
    children: int
    memory: int

    @classmethod
    def of(cls, server: Served) -> Usage:
        process = psutil.Process(server.process.pid)
        return cls(
            process.num_fds(), process.num_threads(), len(process.children()), process.memory_info().rss
        )
