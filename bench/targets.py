"""The servers that are compared, and how each is called."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from bench.load import OK, OK_OR_ACCEPTED, Call, is_complete

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.load import Address, Conversation

HERE: Final = Path(__file__).parent
MODEL: Final = "/fal-ai/any-llm"  # its output is a text, so no ffmpeg runs
INPUT: Final = json.dumps({"prompt": "A lego chef cooking eggs"}).encode()
AT_ONCE: Final = (  # a model that takes no time
    *("--queue-seconds", "0", "--run-seconds", "0"),
    *("--runners", "1000", "--concurrency", "1000", "--log-level", "error"),
)
AIMOCK: Final = HERE / "node" / "node_modules" / "@copilotkit" / "aimock"

_START: Final = 60.0  # seconds that a server may take to start
_ID: Final = b'"request_id":"'


class BenchError(Exception):
    """The bench cannot measure; the text says why."""


@dataclass(frozen=True)
class Api:
    """The calls of fal's queue at one kind of server.

    Attributes:
        prefix: of all paths.
        headers: of all calls, each with its line end.
        query: of submits, with its question mark.
    """

    prefix: str = ""
    headers: str = "Authorization: Key bench:secret\r\n"
    query: str = ""

    def submit(self) -> Call:
        head = f"POST {self.prefix}{MODEL}{self.query} HTTP/1.1\r\nHost: 127.0.0.1\r\n{self.headers}"
        entity = f"Content-Type: application/json\r\nContent-Length: {len(INPUT)}\r\n\r\n"
        return Call(f"{head}{entity}".encode() + INPUT, OK)

    def status(self, request_id: str, at: float = 0.0) -> Call:
        return Call(self.get(f"{MODEL}/requests/{request_id}/status"), OK_OR_ACCEPTED, at)

    def result(self, request_id: str) -> Call:
        return Call(self.get(f"{MODEL}/requests/{request_id}"), OK)

    def get(self, path: str) -> bytes:
        return f"GET {self.prefix}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{self.headers}\r\n".encode()

    def flows(self, count: int | None = None) -> Conversation:
        """Submit, poll until the request is completed, fetch the result; `count` times, or without end."""
        submit = self.submit()
        while count is None or count > 0:
            request_id = request_id_in((yield submit))
            status = self.status(request_id)
            while b'"COMPLETED"' not in (yield status):
                pass
            yield self.result(request_id)
            if count is not None:
                count -= 1

    def polls(self) -> Conversation:
        """Submit one request, and poll its status without end."""
        status = self.status(request_id_in((yield self.submit())))
        while True:
            yield status


def request_id_in(answer: bytes) -> str:
    start = answer.index(_ID) + len(_ID)
    return answer[start : answer.index(b'"', start)].decode()


@dataclass(frozen=True)
class Target:
    """A kind of server.

    Attributes:
        name: for people.
        command: to start it; `{port}` and `{folder}` (an empty one of its own) are filled in.
    """

    name: str
    command: tuple[str, ...]
    api: Api = Api()


BARE: Final = Target("bare Starlette", (sys.executable, str(HERE / "bare.py"), "{port}"))


def falmock(*flags: str, name: str = "falmock", state: str = "{folder}/state", query: str = "") -> Target:
    """Return an emulator with its state on disk."""
    program = str(Path(sys.executable).with_name("falmock"))
    command = (program, "serve", "--port", "{port}", "--state", state, *(flags or AT_ONCE))
    return Target(name, command, Api(query=query))


def aimock() -> Target | None:
    """Return the peer from npm, if it and node are installed."""
    node = shutil.which("node")
    if node is None or not AIMOCK.exists():
        return None
    fixtures = str(HERE / "node" / "fixtures.json")
    silent = ("--log-level", "silent", "--fixtures", fixtures)
    command = (node, str(AIMOCK / "dist" / "cli.js"), "--port", "{port}", *silent)
    return Target("aimock", command, Api("/fal", f"x-fal-target-host: queue.fal.run\r\n{Api().headers}"))


def compared() -> list[Target]:
    """Return falmock, the bare application and, if it is installed, aimock."""
    peer = aimock()
    return [falmock(), BARE, *([peer] if peer else [])]


class Server:
    """A server that runs, pinned on the first core if there are more.

    Attributes:
        start_seconds: from the start of the process to its first answer to a submit.
    """

    def __init__(self, target: Target, folder: Path, port: int) -> None:
        self.target = target
        self.api = target.api
        self.address: Address = ("127.0.0.1", port)
        command = [part.format(port=port, folder=folder) for part in target.command]
        began = time.perf_counter()
        with _on_core(0):
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=(folder / "log").open("wb"),
            )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise
        self.start_seconds = time.perf_counter() - began
        self._process = psutil.Process(self.process.pid)

    def _wait(self) -> None:
        """Wait for the first answer to a submit.

        Raises:
            BenchError: there is none, or not the expected one.
        """
        give_up = time.monotonic() + _START
        call = self.api.submit()
        while True:
            try:
                with socket.create_connection(self.address) as connection:
                    connection.sendall(call.request)
                    answer = b""
                    while not is_complete(answer):
                        answer += connection.recv(65536) or _closed()
                break
            except ConnectionError as error:
                if self.process.poll() is not None or time.monotonic() > give_up:
                    raise BenchError(f"{self.target.name} does not start: {error}") from None
                time.sleep(0.001)
        if answer[9:12] not in call.expected:
            raise BenchError(f"{self.target.name} refuses a submit: {answer.decode()}")

    def memory(self) -> float:
        """Return its resident memory with its children's, in MB of 1,000,000 bytes."""
        return sum(each.memory_info().rss for each in self._all()) / 1e6

    def cpu_seconds(self) -> float:
        """Return the processor time that it has used."""
        return sum(sum(each.cpu_times()[:2]) for each in self._all())

    def _all(self) -> Sequence[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _closed() -> bytes:
    raise ConnectionError("it closed the connection")


@contextmanager
def serving(target: Target) -> Iterator[Server]:
    """Run a server during a block, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="falmock-bench-", ignore_cleanup_errors=True) as folder:
        server = Server(target, Path(folder), free_port())
        try:
            yield server
        finally:
            server.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cores() -> list[int]:
    """Return the cores that this process may use; none where a process cannot be pinned."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


_CORES: Final = cores()


def pin_load() -> None:
    """Keep this process away from the core of the servers."""
    if len(_CORES) > 1:
        os.sched_setaffinity(0, {_CORES[1]})


@contextmanager
def _on_core(index: int) -> Iterator[None]:
    """Let processes that are started in a block inherit one core."""
    if len(_CORES) <= 1:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {_CORES[index]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _environment() -> dict[str, str]:
    """Return the environment without settings of falmock, and without proxies."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("FALMOCK_") and not name.lower().endswith("_proxy")
    }
