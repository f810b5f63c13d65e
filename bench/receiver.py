"""A receiver of webhooks, in a separate process.

The processes share two numbers in a file: the status that the receiver answers with, and the number of
webhooks that have arrived.
"""

from __future__ import annotations

import asyncio
import mmap
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from bench.load import BenchError, is_complete_call
from bench.servers import FOR_LOAD, START, free_port, new_folder, on_core
from bench.targets import HERE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.load import Address

STATUS: Final = 0  # positions of the numbers
COUNT: Final = 1
SIZE: Final = 16  # bytes
_WAIT: Final = 0.002  # seconds


class Receiver:
    """A running receiver.

    Attributes:
        address: where it listens.
        url: to submit with.
    """

    def __init__(self, shared: Path, core: int) -> None:
        self.address: Address = ("127.0.0.1", free_port())
        self.url = "http://{}:{}/hook".format(*self.address)
        shared.write_bytes(bytes(SIZE))
        self._numbers = _numbers(shared)
        self.answer(200)
        self._numbers[COUNT] = -1  # changes when it listens
        command = [sys.executable, "-m", "bench.receiver", str(self.address[1]), str(shared)]
        with on_core(core):
            self.process = subprocess.Popen(command, cwd=HERE.parent)
        try:
            self.wait_for(0, START)
        except BenchError:
            self.stop()
            raise

    @property
    def count(self) -> int:
        """How many webhooks arrived since the last call to `answer`."""
        return self._numbers[COUNT]

    def answer(self, status: int) -> None:
        """Answer with another status from now on, and count anew."""
        self._numbers[STATUS] = status
        self._numbers[COUNT] = 0

    def wait_for(self, count: int, patience: float) -> float:
        """Wait until that many webhooks have arrived; return the seconds that it took.

        Raises:
            BenchError: they did not arrive.
        """
        began = time.perf_counter()
        while self.count < count:
            if time.perf_counter() - began > patience or self.process.poll() is not None:
                raise BenchError(f"{self.count} of {count} webhooks arrived")
            time.sleep(_WAIT)
        return time.perf_counter() - began

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


@contextmanager
def receiving(core: int = FOR_LOAD) -> Iterator[Receiver]:
    """Run a receiver during a block, on a core."""
    with new_folder() as folder:
        receiver = Receiver(folder / "shared", core)
        try:
            yield receiver
        finally:
            receiver.stop()


def _numbers(shared: Path) -> memoryview[int]:
    with shared.open("r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), SIZE)).cast("q")


class _Protocol(asyncio.Protocol):
    def __init__(self, numbers: memoryview[int]) -> None:
        self._numbers = numbers
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if is_complete_call(self._received):
            self._received = b""
            self._numbers[COUNT] += 1
            self._transport.write(b"HTTP/1.1 %d \r\nContent-Length: 0\r\n\r\n" % self._numbers[STATUS])


async def _serve(port: int, numbers: memoryview[int]) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: _Protocol(numbers), "127.0.0.1", port, backlog=1024)
    numbers[COUNT] = 0
    await asyncio.Event().wait()


def main() -> None:
    serving = _serve(int(sys.argv[1]), _numbers(Path(sys.argv[2])))
    try:
        import uvloop  # noqa: PLC0415 - it may not be there
    except ImportError:
        asyncio.run(serving)
    else:
        uvloop.run(serving)


if __name__ == "__main__":
    main()
