"""Runs a command in a network of its own that has nothing but loopback, and tells what names it looked up.

Nothing can leave such a network, whatever the command does. Every address of a name server that the
machine is set up with is put on the loopback interface, and a server there notes each question and
answers that there is no such name. It takes Linux, `unshare` and `ip`.

    unshare --net python -m falmock.intercept.alone NAMES COMMAND...

writes the names to a file as a JSON list, and exits as the command does.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT: Final = 53
LONGEST: Final = 4096
HEADER: Final = 12  # bytes before the question
NO_SUCH_NAME: Final = b"\x81\x83"
TOOLS: Final = ("unshare", "ip")


def missing() -> list[str]:
    """Return which programs are not there that it takes."""
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def before(names: Path) -> list[str]:
    """Return what to put before a command; `names` is the file for what it looks up."""
    root = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *root, "--net", sys.executable, "-m", "falmock.intercept.netns", str(names)]


def name_in(question: bytes) -> str:
    """Return the name that a DNS question asks for."""
    labels, at = [], HEADER
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode("latin-1"))
        at += 1 + length
    return ".".join(labels)


def refusal(question: bytes) -> bytes:
    """Return the answer that there is no such name."""
    return question[:2] + NO_SUCH_NAME + question[4:6] + bytes(6) + question[HEADER:]


@contextmanager
def answering(server: socket.socket, asked: list[str]) -> Iterator[None]:
    """Answer and note questions at a socket, for the length of a block."""

    def answer() -> None:
        while True:
            question, client = server.recvfrom(LONGEST)
            if not question:
                return
            asked.append(name_in(question))
            server.sendto(refusal(question), client)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        server.sendto(b"", server.getsockname())
        thread.join()


def main(names: Path, command: list[str]) -> int:
    """Set up the network, run the command, write down the names."""
    _ip("link", "set", "lo", "up")
    servers = re.findall(r"^nameserver\s+(\S+)", Path("/etc/resolv.conf").read_text(), re.MULTILINE)
    asked: list[str] = []
    with ExitStack() as stack:
        for address in servers or ["127.0.0.1"]:
            if not address.startswith("127."):
                _ip("address", "add", address, "dev", "lo")
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            server = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            server.bind((address, PORT))
            stack.enter_context(answering(server, asked))
        code = subprocess.run(command, check=False).returncode  # noqa: S603 - the caller's own
    names.write_text(json.dumps(asked))
    return code


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)  # noqa: S603, S607 - the system's


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
