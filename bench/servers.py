"""Server processes: each pinned to a core, measured, and optionally profiled."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from bench.load import BenchError, is_complete
from bench.targets import request_id_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.load import Address
    from bench.profiling import Profile
    from bench.targets import Target

START: Final = 120.0  # seconds that a server may take to start
STOP: Final = 20.0  # seconds that a server may take to stop
SETTLE: Final = 1.0  # seconds
PORTS: Final = (20_000, 32_000)
FOR_SERVERS: Final = 0  # the number of a core
FOR_LOAD: Final = 1


class Server:
    """A server that runs in a separate folder.

    Args:
        target: what to start.
        folder: where it runs.
        called: whether to wait until it has answered a submit, or only until it accepts connections.
        profile: records a profile of it.

    Attributes:
        start_seconds: from the start of the process to the end of that wait.
        start_cpu: the processor time that it took until then, in seconds.
    """

    def __init__(
        self, target: Target, folder: Path, *, called: bool = True, profile: Profile | None = None
    ) -> None:
        self.target = target
        self.folder = folder
        self.api = target.api
        self._profile = profile
        self.address: Address = ("127.0.0.1", free_port())
        command = [part.format(port=self.address[1], folder=folder) for part in target.command]
        if profile is not None:
            command = profile.command(command)
        began = time.perf_counter()
        with on_core(FOR_SERVERS), (folder / "log").open("wb") as log:
            self._process = psutil.Popen(
                command,
                cwd=folder,
                env=_environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self._wait(called=called)
        except BaseException:
            self.stop()
            raise
        self.start_seconds = time.perf_counter() - began
        self.start_cpu = self.cpu_seconds()
        if profile is not None:
            profile.begin(self._process.pid)

    def _wait(self, *, called: bool) -> None:
        """Wait for the first answer to a submit, or for a connection alone.

        Raises:
            BenchError: the server does not start, or refuses the submit.
        """
        give_up = time.monotonic() + START
        while True:
            try:
                with socket.create_connection(self.address) as connection:
                    if called:
                        self._check(ask(connection, self.api.submit().request))
                    return
            except ConnectionError as error:
                if self._process.poll() is not None or time.monotonic() > give_up:
                    raise BenchError(f"{self.target.name} does not start: {error}") from None
                time.sleep(0.001)

    def ask(self, *pieces: bytes) -> bytes:
        """Send one call on a new connection; return the answer.

        Raises:
            BenchError: the answer is not a success.
        """
        with socket.create_connection(self.address) as connection:
            return self._check(ask(connection, *pieces))

    def complete_one(self) -> str:
        """Submit a request and wait until it is completed; return its id."""
        request_id = request_id_in(self.ask(self.api.submit().request))
        while b'"COMPLETED"' not in self.ask(self.api.status(request_id).request):
            time.sleep(0.01)
        return request_id

    def _check(self, answer: bytes) -> bytes:
        if answer[9:10] != b"2":
            raise BenchError(f"{self.target.name} refuses a call: {answer.decode()}")
        return answer

    def settle(self) -> None:
        """Wait until it has started completely and its processes, as that for certificates, have ended."""
        time.sleep(SETTLE)
        psutil.wait_procs(self._process.children(recursive=True), timeout=SETTLE)

    def memory(self) -> float:
        """Return its resident memory with its children's, in MB of 1,000,000 bytes."""
        return sum(each.memory_info().rss for each in self._all()) / 1e6

    def cpu_seconds(self) -> float:
        """Return the processor time that it has used."""
        return sum(sum(each.cpu_times()[:2]) for each in self._all())

    def _all(self) -> Sequence[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def stop(self) -> None:
        if self._profile is not None:
            self._profile.end()
        self._process.terminate()
        try:
            self._process.wait(STOP)
        except psutil.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def ask(connection: socket.socket, *pieces: bytes) -> bytes:
    """Send a call; return the answer.

    Raises:
        ConnectionError: the connection was closed before its end.
    """
    for piece in pieces:
        connection.sendall(piece)
    answer = b""
    while not is_complete(answer):
        received = connection.recv(65536)
        if not received:
            raise ConnectionError(f"it closed the connection after {answer!r}")
        answer += received
    return answer


@contextmanager
def new_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="falmock-bench-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def free_port() -> int:
    """Return a free port that the system does not choose for clients.

    At a port that the system chooses, a client that waits for a server would in the end connect to itself.
    """
    while True:
        port = random.randrange(*PORTS)  # noqa: S311 - no secret
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def cores() -> list[int]:
    """Return the cores that this process may use; none where a process cannot be pinned."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


CORES: Final = cores()
PINNED: Final = len(CORES) > 1


def pin_load() -> None:
    """Pin this process to the core for the load."""
    if PINNED:
        os.sched_setaffinity(0, {CORES[FOR_LOAD]})


@contextmanager
def on_all_cores() -> Iterator[None]:
    """Let processes that are started in a block use every core."""
    with _bound_to(CORES):
        yield


@contextmanager
def on_core(index: int) -> Iterator[None]:
    """Let processes that are started in a block inherit one core."""
    with _bound_to(CORES[index : index + 1]):
        yield


@contextmanager
def _bound_to(cores: Sequence[int]) -> Iterator[None]:
    if not PINNED:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _environment(folder: Path) -> dict[str, str]:
    """Return an environment without proxies and settings, in which `falmock run` does not find the server."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("FALMOCK_") and not name.lower().endswith("_proxy")
    }
    return {**kept, "XDG_RUNTIME_DIR": str(folder)}
