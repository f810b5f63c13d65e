"""Starts a command as a fork of a process that has imported it: most of the time of a start is imports.

The command is a process like any other, with its own arguments, folder, environment and streams. The programs
of `ENTRIES` can be started so.

    python fork_server.py DESCRIPTOR

reads what to start from a socket, until its other end is closed.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import struct
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ENTRIES = {"falmock": "falmock.__main__", "falqueue": "falqueue._cli"}
LATER = ("anyio._backends._asyncio", "cryptography.hazmat.backends.openssl.backend", "uvloop")
LENGTH = struct.Struct("!I")
PATIENCE = 10.0  # seconds after which a command that has not ended is left
KEPT = 3  # descriptors: standard input, output and error


class ForkServer:
    """The process that forks. It is started when the first command is."""

    _process: subprocess.Popen[bytes] | None = None
    _requests: socket.socket

    def fork(self, request: Mapping[str, Any], descriptors: Sequence[int]) -> None:
        if self._process is None:
            self._requests, theirs = socket.socketpair()
            with theirs:
                command = [sys.executable, __file__, str(theirs.fileno())]
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
                )
        message = json.dumps(request).encode()
        socket.send_fds(self._requests, [LENGTH.pack(len(message))], descriptors)
        self._requests.sendall(message)

    def stop(self) -> None:
        """End the process. It stays if a command does not end."""
        if self._process is not None:
            self._requests.close()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE)


SERVER = ForkServer()


class Forked:
    """A command that runs as a fork, with the part of `subprocess.Popen` that tests use.

    Args:
        arguments: the name of the program, and its arguments.
        stdout, stderr: a descriptor, `subprocess.PIPE`, or None for that of this process.
        cwd, env: its folder and its environment; those of this process if not given.
    """

    def __init__(
        self,
        *arguments: str,
        stdout: int | None = None,
        stderr: int | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        request = {
            "arguments": arguments,
            "cwd": str(Path.cwd() if cwd is None else cwd),
            "env": dict(os.environ if env is None else env),
        }
        with ExitStack() as stack:
            self.stdout, out = _stream(stdout, 1, stack)
            self.stderr, err = _stream(stderr, 2, stack)
            self._report, report = _pipe(stack)
            SERVER.fork(request, [0, out, err, report])
        self.pid = int(self._report.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._report], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code, or the negative number of the signal that ended the process."""
        if self.returncode is None:
            if not select.select([self._report], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            self.returncode = os.waitstatus_to_exitcode(int(self._report.readline()))
            self._report.close()
        return self.returncode

    def send_signal(self, which: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, which)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.send_signal(signal.SIGKILL)
        self.wait()
        for stream in (self.stdout, self.stderr):
            if stream is not None:
                stream.close()


def _stream(given: int | None, own: int, stack: ExitStack) -> tuple[IO[str] | None, int]:
    """Return what to read of an output of a command, if anything, and the descriptor that it writes to."""
    if given == subprocess.PIPE:
        return _pipe(stack)
    return None, own if given is None else given


def _pipe(stack: ExitStack) -> tuple[IO[str], int]:
    """Return both ends of a pipe; the stack closes the one to write to."""
    end, theirs = os.pipe()
    stack.callback(os.close, theirs)
    return open(end), theirs  # noqa: PTH123 - a descriptor


def _serve(requests: socket.socket) -> None:
    """Fork for each request, until there are no more, and wait for the commands that run."""
    entries = {name: _imported(name, module) for name, module in ENTRIES.items()}
    for module in LATER:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # a fork then copies less
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # `os.wait` returns when all children have ended
    while True:
        head, descriptors, *_ = socket.recv_fds(requests, LENGTH.size, KEPT + 1)
        if not head:
            break
        request = json.loads(_read(requests, *LENGTH.unpack(head)))
        if os.fork() == 0:
            requests.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            if (pid := os.fork()) == 0:
                _become(request, descriptors)
                sys.exit(entries[request["arguments"][0]]())
            _report(pid, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
    with suppress(ChildProcessError):
        os.wait()


def _imported(package: str, entry: str) -> Callable[[], None]:
    """Import all modules of a package, and return its main function."""
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        importlib.import_module(module.name)
    main: Callable[[], None] = importlib.import_module(entry).main
    return main


def _read(requests: socket.socket, length: int) -> bytes:
    message = b""
    while len(message) < length:
        message += requests.recv(length - len(message))
    return message


def _become(request: Mapping[str, Any], descriptors: Sequence[int]) -> None:
    """Take on the streams, the folder, the environment and the arguments of a command."""
    for number, descriptor in enumerate(descriptors[:KEPT]):
        os.dup2(descriptor, number)
    for descriptor in descriptors:
        os.close(descriptor)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = list(request["arguments"])
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - descriptors
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - the same
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115 - the same


def _report(pid: int, descriptors: Sequence[int]) -> None:
    """Report the start and the end of a process."""
    *streams, report = descriptors
    for stream in streams:
        os.close(stream)
    os.write(report, b"%d\n" % pid)
    _, status = os.waitpid(pid, 0)
    os.write(report, b"%d\n" % status)
    os._exit(0)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
