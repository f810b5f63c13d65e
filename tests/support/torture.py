"""What tests that mistreat a served emulator share."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from pathlib import Path

    from processes import Served

FAST = ("--media", "plain", "--queue-seconds", "0", "--run-seconds", "0-0.2", "--seed", "1", "--port", "0")


@dataclass(frozen=True)
class Scale:
    """How much to do.

    Attributes:
        kills: how often the server is killed.
        requests: how many requests a test submits.
        soak_rounds: how often the soak puts load on the server and resets it.
        soak_seconds: how long a round lasts.
    """

    kills: int
    requests: int
    soak_rounds: int
    soak_seconds: float


SHORT = Scale(kills=3, requests=40, soak_rounds=2, soak_seconds=2)
LONG = Scale(kills=100, requests=400, soak_rounds=9, soak_seconds=20)


@dataclass(frozen=True)
class Usage:
    """The resources of a server that runs by `counted.py`.

    Attributes:
        descriptors: open file descriptors.
        threads: of the process.
        children: child processes.
        memory: bytes of resident memory.
        tasks: asyncio tasks, but for the one that counts.
        files: files below its state folder.
        database: bytes of the database's files.
    """

    descriptors: int
    threads: int
    children: int
    memory: int
    tasks: int
    files: int
    database: int

    @classmethod
    def of(cls, server: Served, state: Path) -> Usage:
        process = psutil.Process(server.process.pid)
        process.send_signal(signal.SIGUSR1)
        files = sum(path.is_file() for path in state.rglob("*"))
        return cls(
            descriptors=process.num_fds(),
            threads=process.num_threads(),
            children=len(process.children()),
            memory=process.memory_info().rss,
            tasks=int(server.wait_for(r"tasks: (\d+)")[1]),
            files=files,
            database=sum(path.stat().st_size for path in state.glob("falmock.db*")),
        )
