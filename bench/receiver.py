"""A receiver of webhooks in a process of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, cast

from bench.load import BenchError, is_complete_call
from bench.servers import FOR_LOAD, START, free_port, on_core

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.sharedctypes import Synchronized

_WAIT: Final = 0.002  # seconds


class Receiver:
    """A running receiver.

    Attributes:
        url: to submit with.
    """

    def __init__(self, port: int, core: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.url = f"http://127.0.0.1:{port}/hook"
        self._status = context.Value("i", 200)
        self._count = context.Value("i", -1)  # until it listens
        self.process = context.Process(target=_run, args=(port, self._status, self._count), daemon=True)
        with on_core(core):
            self.process.start()
        self.wait_for(0, START)

    @property
    def count(self) -> int:
        """How many webhooks arrived since the last call to `answer`."""
        return int(self._count.value)

    def answer(self, status: int) -> None:
        """Answer with another status from now on, and count anew."""
        self._status.value = status
        self._count.value = 0

    def wait_for(self, count: int, patience: float) -> float:
        """Wait until that many webhooks have arrived; return the seconds that it took.

        Raises:
            BenchError: they did not arrive.
        """
        began = time.perf_counter()
        while self.count < count:
            if time.perf_counter() - began > patience or not self.process.is_alive():
                raise BenchError(f"{self.count} of {count} webhooks arrived")
            time.sleep(_WAIT)
        return time.perf_counter() - began


@contextmanager
def receiving(core: int = FOR_LOAD) -> Iterator[Receiver]:
    """Run a receiver during a block, on a core."""
    receiver = Receiver(free_port(), core)
    try:
        yield receiver
    finally:
        receiver.process.terminate()
        receiver.process.join()


class _Protocol(asyncio.Protocol):
    def __init__(self, status: Synchronized[int], count: Synchronized[int]) -> None:
        self._status = status
        self._count = count
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if is_complete_call(self._received):
            self._received = b""
            self._transport.write(b"HTTP/1.1 %d \r\nContent-Length: 0\r\n\r\n" % self._status.value)
            self._count.value += 1


def _run(port: int, status: Synchronized[int], count: Synchronized[int]) -> None:
    async def serve() -> None:
        loop = asyncio.get_running_loop()
        await loop.create_server(lambda: _Protocol(status, count), "127.0.0.1", port, backlog=1024)
        count.value = 0
        await asyncio.Event().wait()

    try:
        import uvloop  # noqa: PLC0415 - it may not be there
    except ImportError:
        asyncio.run(serve())
    else:
        uvloop.run(serve())
