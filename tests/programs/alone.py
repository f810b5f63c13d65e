"""Runs a command in a network of its own that has nothing but loopback, and tells what names it looked up.

Usage: unshare --net python alone.py NAMES COMMAND..., where NAMES is a file for a JSON list of names.
Every address of a name server that the machine is set up for is put on the loopback interface, and a
server there notes each question and answers that there is no such name.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

HEADER = 12
NO_SUCH_NAME = b"\x81\x83"


def name_in(question: bytes) -> str:
    """Return the name that a DNS question asks for."""
    labels, at = [], HEADER
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode("latin-1"))
        at += 1 + length
    return ".".join(labels)


def answer(server: socket.socket, asked: list[str]) -> None:
    while True:
        question, client = server.recvfrom(4096)
        if not question:
            return
        asked.append(name_in(question))
        server.sendto(question[:2] + NO_SUCH_NAME + question[4:6] + bytes(6) + question[HEADER:], client)


subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
servers = re.findall(r"^nameserver\s+(\S+)", Path("/etc/resolv.conf").read_text(), re.MULTILINE)
asked: list[str] = []
with ExitStack() as stack:
    for address in servers or ["127.0.0.1"]:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        if not address.startswith("127."):
            subprocess.run(["ip", "address", "add", address, "dev", "lo"], check=True)
        server = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        server.bind((address, 53))
        thread = threading.Thread(target=answer, args=(server, asked))
        thread.start()
        stack.callback(thread.join)
        stack.callback(server.sendto, b"", server.getsockname())
    code = subprocess.run(sys.argv[2:], check=False).returncode
Path(sys.argv[1]).write_text(json.dumps(asked))
sys.exit(code)
