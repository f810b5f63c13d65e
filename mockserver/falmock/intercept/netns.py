"""Runs a command in a network namespace that has only loopback, and records the names it looks up.

Nothing can leave such a network. The loopback interface gets the addresses of all name servers of the
machine, and a server there answers each question with "no such name". Needs Linux, `unshare` and `ip`.

    unshare --net python -m falmock.intercept.netns NAMES COMMAND...

writes the names to a file as a JSON list, and exits with the command's exit code.
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

from dnslib import RCODE, DNSError, DNSRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT: Final = 53
LONGEST: Final = 4096  # bytes of a question
TOOLS: Final = ("unshare", "ip")


def missing() -> list[str]:
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def prefix(names: Path) -> list[str]:
    """Return the words to put before a command; `names` is the file for the names."""
    root = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *root, "--net", sys.executable, "-m", "falmock.intercept.netns", str(names)]


@contextmanager
def name_server(server: socket.socket, names: list[str]) -> Iterator[None]:
    """Answer DNS questions at a UDP socket for the length of a block, and add the names to a list."""

    def serve() -> None:
        while True:
            packet, client = server.recvfrom(LONGEST)
            if not packet:
                return
            try:
                question = DNSRecord.parse(packet)
            except DNSError:
                continue
            names.extend(str(each.qname).removesuffix(".") for each in question.questions)
            answer = question.reply()
            answer.header.rcode = RCODE.NXDOMAIN
            server.sendto(answer.pack(), client)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        server.sendto(b"", server.getsockname())
        thread.join()


def main(file: Path, command: list[str]) -> int:
    """Set up the network, run the command, write the names."""
    _ip("link", "set", "lo", "up")
    addresses = re.findall(r"^nameserver\s+(\S+)", Path("/etc/resolv.conf").read_text(), re.MULTILINE)
    names: list[str] = []
    with ExitStack() as stack:
        for address in addresses or ["127.0.0.1"]:
            if not address.startswith("127."):
                _ip("address", "add", address, "dev", "lo")
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            server = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            server.bind((address, PORT))
            stack.enter_context(name_server(server, names))
        code = subprocess.run(command, check=False).returncode  # noqa: S603 - the program of the caller
    file.write_text(json.dumps(names))
    return code


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)  # noqa: S603, S607 - the system's


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
