from __future__ import annotations

import json
import socket
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import run, tool

from falmock.intercept import netns

if TYPE_CHECKING:
    from pathlib import Path

LABEL = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=63)


def question(name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\x00\x00\x01\x00\x01"


@given(st.lists(LABEL, min_size=1, max_size=5))
def test_a_name_is_read_from_its_question(labels: list[str]) -> None:
    assert netns.name_in(question(".".join(labels))) == ".".join(labels)


def test_the_answer_is_that_there_is_no_such_name() -> None:
    assert netns.refusal(question("fal.run"))[:8] == b"\x12\x34\x81\x83\x00\x01\x00\x00"


def test_questions_are_noted() -> None:
    asked: list[str] = []
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(type=socket.SOCK_DGRAM) as client,
    ):
        server.bind(("127.0.0.1", 0))
        with netns.answering(server, asked):
            client.sendto(question("queue.fal.run"), server.getsockname())
            client.recv(netns.LONGEST)

    assert asked == ["queue.fal.run"]


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


def test_the_exit_code_is_that_of_the_command(looked_up: tuple[int, str, Path]) -> None:
    assert looked_up[0] == 7
