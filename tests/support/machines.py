"""Two machines with a cable between them: an emulator runs on one, clients on the other.

Each is an unnamed network namespace, so both disappear with their processes. Needs Linux, `unshare`
and `ip`.

    unshare --net python machines.py SERVE_FLAGS...

reads probes from standard input and writes the answers, as JSON lines.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = ("10.77.0.1", "fd77::1")
THEIRS = ("10.77.0.2", "fd77::2")
PORTS = {"plain": 8787, "tls": 8443, "proxy": 8888}  # free: the namespace is new
PATIENCE = 30.0  # seconds


def machine(*flags: str) -> subprocess.Popen[str]:
    """Start both machines; the flags are those of the emulator."""
    root = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = ["unshare", *root, "--net", sys.executable, __file__, *flags]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def probe(process: subprocess.Popen[str], **command: Any) -> str:
    """Send a text from one of the two machines, and return the answer.

    Raises:
        EOFError: the machines have ended, or could not be made.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(command) + "\n")
    process.stdin.flush()
    if not (line := process.stdout.readline()):
        raise EOFError("the machines are gone")
    return str(json.loads(line))


def _answer(command: dict[str, Any]) -> str:
    """Send a text to an address, through a `tunnel` of the proxy or with `tls` if the command has one."""
    with ExitStack() as stack:
        line = stack.enter_context(socket.create_connection((command["to"], command["port"]), PATIENCE))
        if tunnel := command.get("tunnel"):
            line.sendall(f"CONNECT {tunnel} HTTP/1.1\r\nHost: {tunnel}\r\n\r\n".encode())
            status = line.recv(1000).decode()
            if not status.startswith("HTTP/1.1 200 "):
                return status
        if name := command.get("tls"):
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            line = stack.enter_context(context.wrap_socket(line, server_hostname=name))
        line.sendall(command["say"].encode())
        answer = b""
        while data := line.recv(65536):
            answer += data
        return answer.decode()


def _serve_probes() -> None:
    for line in sys.stdin:
        try:
            answer = _answer(json.loads(line))
        except OSError as error:
            answer = f"{type(error).__name__}: {error}"
        _write(json.dumps(answer))


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)  # noqa: S607 - the system's


def _set_up(device: str, addresses: tuple[str, str]) -> None:
    _ip("link", "set", "lo", "up")
    _ip("link", "set", device, "up")
    _ip("address", "add", f"{addresses[0]}/24", "dev", device)
    _ip("address", "add", f"{addresses[1]}/64", "dev", device, "nodad")


@contextmanager
def _stopped(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """End a process with a block."""
    try:
        with process:
            yield process
            process.terminate()
    finally:
        process.kill()


def _main(flags: list[str]) -> None:
    other = ["unshare", "--net", sys.executable, __file__, "--other"]
    serve = [sys.executable, "-m", "falmock", "serve", "--ephemeral", "--media", "plain", *flags]
    for flag, port in zip(("--port", "--tls-port", "--proxy-port"), PORTS.values(), strict=True):
        serve += [flag, str(port)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with ExitStack() as stack:
        them = stack.enter_context(_stopped(subprocess.Popen(other, **pipes)))
        assert them.stdin is not None
        assert them.stdout is not None
        them.stdout.readline()  # it is in its own network now
        _ip("link", "add", "ours", "type", "veth", "peer", "name", "theirs", "netns", str(them.pid))
        _set_up("ours", OURS)
        them.stdin.write("\n")
        them.stdin.flush()
        them.stdout.readline()
        emulator = subprocess.Popen(serve, stderr=subprocess.PIPE, text=True)
        stack.enter_context(_stopped(emulator))
        assert emulator.stderr is not None
        if not any("listening" in line for line in iter(emulator.stderr.readline, "")):
            sys.exit("the emulator did not start")
        for line in sys.stdin:
            if json.loads(line).get("at") == "us":
                _write(json.dumps(_answer(json.loads(line))))
            else:
                them.stdin.write(line)
                them.stdin.flush()
                _write(them.stdout.readline().rstrip())


def _other() -> None:
    _write("in a network of its own")
    sys.stdin.readline()
    _set_up("theirs", THEIRS)
    _write("ready")
    _serve_probes()


if __name__ == "__main__":
    _other() if sys.argv[1:] == ["--other"] else _main(sys.argv[1:])
