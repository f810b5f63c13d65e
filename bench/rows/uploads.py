"""The upload of a large file: memory, and speed beside dd."""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from bench.figures import Spread
from bench.setup import MIB
from bench.targets import AT_ONCE, FALMOCK, falmock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.figures import Row
    from bench.servers import Server
    from bench.setup import Setup

BLOCK: Final = bytes(MIB)
SAMPLE: Final = 0.02  # seconds between two measurements of the memory
DD: Final = "dd"


def upload(setup: Setup, row: Row) -> None:
    """Upload a file with one PUT, and write one of the same size with dd to the same disk."""
    size = setup.scale.upload
    speed = row.figure(f"upload of {size // MIB:,} MiB, MB a second")
    cpu = row.figure("upload: processor time for 1 GB, s")
    memory = row.figure("upload: growth of the memory, MB")
    with setup.serving(falmock(*AT_ONCE)) as server:
        server.settle()
        for _ in range(max(1, setup.scale.rounds // 2)):
            before, used = server.memory(), server.cpu_seconds()
            with _peak(server) as peak:
                seconds = _put(server, size)
            speed.add(FALMOCK, size / seconds / 1e6)
            cpu.add(FALMOCK, (server.cpu_seconds() - used) / size * 1e9)
            memory.add(FALMOCK, max(peak) - before)
            speed.add(DD, size / _dd(server.folder, size) / 1e6)
    speed.compare(FALMOCK, DD, "least", 0.5)
    memory.limit(FALMOCK, "most", 32, "MB")
    written = Spread.of(speed.samples[DD])
    row.notes.append(f"dd to the same disk: {written} MB a second.")
    row.notes.append("dd writes zeros in blocks of 1 MiB; neither waits for the disk at the end.")


def _put(server: Server, size: int) -> float:
    """Upload a file of zeros; return the seconds until the answer."""
    wanted = json.dumps({"file_name": "zeros.bin", "content_type": "application/octet-stream"}).encode()
    answer = server.ask(server.api.post("/rest.fal.ai/storage/upload/initiate", wanted))
    _, _, body = answer.partition(b"\r\n\r\n")
    path = json.loads(body)["upload_url"].split("/", 3)[3]
    entity = f"Content-Length: {size}\r\nContent-Type: application/octet-stream\r\n\r\n"
    head = f"PUT /{path} HTTP/1.1\r\nHost: 127.0.0.1:{server.address[1]}\r\n{entity}".encode()
    began = time.perf_counter()
    server.ask(head, *itertools.repeat(BLOCK, size // MIB))
    return time.perf_counter() - began


@contextmanager
def _peak(server: Server) -> Iterator[list[float]]:
    """Look at the memory of a server all the time during a block."""
    seen: list[float] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(SAMPLE):
            seen.append(server.memory())

    seen.append(server.memory())
    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def _dd(folder: Path, size: int) -> float:
    """Write a file of zeros; return the seconds that it took."""
    target = folder / "zeros"
    began = time.perf_counter()
    subprocess.run(
        ["dd", "if=/dev/zero", f"of={target}", f"bs={MIB}", f"count={size // MIB}"],  # noqa: S607 - of the system
        check=True,
        capture_output=True,
    )
    seconds = time.perf_counter() - began
    target.unlink()
    return seconds
