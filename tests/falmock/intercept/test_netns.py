from __future__ import annotations

import json
import socket
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from dnslib import RCODE, DNSRecord
from processes import PATIENCE
from programs import run, tool

from falmock.intercept import netns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def name_server() -> Iterator[tuple[socket.socket, list[str]]]:
    """Start a name server on this machine; gives a connected socket and the names in its questions."""
    names: list[str] = []
    with (
        socket.socket(type=socket.SOCK_DGRAM) as server,
        socket.socket(type=socket.SOCK_DGRAM) as client,
    ):
        server.bind(("127.0.0.1", 0))
        client.connect(server.getsockname())
        client.settimeout(PATIENCE)
        with netns.name_server(server, names):
            yield client, names


def test_the_name_server_records_a_question_and_denies_the_name() -> None:
    with name_server() as (client, names):
        question = DNSRecord.question("queue.fal.run", "AAAA")
        client.send(question.pack())
        answer = DNSRecord.parse(client.recv(netns.LONGEST))

    assert names == ["queue.fal.run"]
    assert (answer.header.id, answer.header.rcode, answer.rr) == (question.header.id, RCODE.NXDOMAIN, [])


@pytest.mark.parametrize(
    "packet", [b"x", bytes(11), bytes(5) + b"\x01" + bytes(6) + b"\x3fabc", b"\xff" * 100]
)
def test_the_name_server_ignores_a_malformed_packet(packet: bytes) -> None:
    with name_server() as (client, names):
        client.send(packet)
        client.send(DNSRecord.question("fal.run").pack())
        client.recv(netns.LONGEST)

    assert names[-1] == "fal.run"


LOOK_UP = """if True:
    import json, socket
    try:
        socket.getaddrinfo("queue.fal.run", 443)
    except OSError:
        pass
    print(json.dumps([name for _, name in socket.if_nameindex()]))
    raise SystemExit(7)
"""


@pytest.fixture(scope="module")
def looked_up(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str, Path]:
    for needed in netns.TOOLS:
        tool(needed)
    names = tmp_path_factory.mktemp("alone") / "names.json"
    ran = run(*netns.prefix(names), sys.executable, "-c", LOOK_UP)
    return ran.code, ran.out, names


def test_a_command_has_no_network_but_loopback(looked_up: tuple[int, str, Path]) -> None:
    assert json.loads(looked_up[1]) == ["lo"]


def test_the_names_that_a_command_looks_up_are_written_to_the_file(looked_up: tuple[int, str, Path]) -> None:
    assert set(json.loads(looked_up[2].read_text())) == {"queue.fal.run"}


def test_a_network_namespace_exits_with_the_code_of_the_command(looked_up: tuple[int, str, Path]) -> None:
    assert looked_up[0] == 7
