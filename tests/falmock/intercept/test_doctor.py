"""The report of `falmock doctor`."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from processes import served
from programs import Ran, falmock, tool

from falmock.cli.serve import PORT

if TYPE_CHECKING:
    from collections.abc import Iterator

ASK = "import httpx; httpx.get('https://api.fal.ai/v1/meta')"
PAST = "import httpx; httpx.get('https://queue.fal.run/', trust_env=False)"
NOT_EMULATED = "import httpx; httpx.get('https://gateway.fal.ai/')"
NOT_CHECKED = "not checked: calls of a page in a browser that you open\n"
ELSEWHERE = "import httpx; httpx.get('https://example.com/')"


def doctor(program: str) -> Ran:
    for needed in ("unshare", "ip"):
        tool(needed)
    return falmock("doctor", "--", sys.executable, "-c", program)


@pytest.mark.parametrize(
    ("program", "code", "report"),
    [
        (ASK, 0, "the program ended with 0\nreaches the emulator: api.fal.ai (calls: 1)\n"),
        ("", 0, "the program ended with 0\nno calls to fal\n"),
        (PAST, 1, "DOES NOT REACH THE EMULATOR: queue.fal.run was called without the proxy\n"),
        (NOT_EMULATED, 1, "refused: gateway.fal.ai (a fal host that is not emulated)\n"),
        (ELSEWHERE, 0, "refused: example.com (another machine, and doctor is sealed)\n"),
    ],
)
def test_doctor_reports_where_the_calls_of_a_program_go(program: str, code: int, report: str) -> None:
    ran = doctor(program)
    expected = report + NOT_CHECKED

    assert (ran.code, ran.out[-len(expected) :]) == (code, expected)


def test_doctor_refuses_a_program_that_does_not_exist() -> None:
    for needed in ("unshare", "ip"):
        tool(needed)

    ran = falmock("doctor", "--", "no-such-program")

    assert (ran.code, ran.err.endswith(": no-such-program is not a program\n")) == (2, True)


def test_doctor_names_the_tools_that_are_missing() -> None:
    ran = falmock("doctor", "--", "true", PATH="/nowhere")

    assert (ran.code, "no unshare and no ip" in ran.err) == (2, True)


def problems(ran: Ran) -> list[str]:
    """Return the problems of the machine."""
    return [line.removeprefix("PROBLEM  ") for line in ran.out.splitlines() if line.startswith("PROBLEM")]


def test_doctor_without_a_command_finds_nothing_wrong_with_a_served_folder(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "state"))
    with served(*state) as server:
        ran = falmock("doctor", *state)

    assert (ran.code, problems(ran)) == (0, [])
    assert f"an emulator serves it at {server.address}" in ran.out


def test_doctor_without_a_command_names_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "state" / "ca" / "certificate").mkdir(parents=True)
    for name in ("certificate/ca.pem", "ca.key"):
        (tmp_path / "state" / "ca" / name).write_text("damaged")
    with occupied(PORT):
        ran = falmock("doctor", "--state", str(tmp_path / "state"))

    assert ran.code == 1
    assert [line.partition(":")[0] for line in problems(ran)] == [
        f"port {PORT}",
        f"certificate {tmp_path / 'state' / 'ca' / 'certificate' / 'ca.pem'}",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says who listens")
def test_doctor_names_the_program_on_the_port_of_the_emulator(tmp_path: Path) -> None:
    with occupied(PORT) as by_this_test:
        (line, *_) = problems(falmock("doctor", "--state", str(tmp_path)))

    own = f"port {PORT}: {Path('/proc/self/comm').read_text().strip()} (process {os.getpid()}) listens there"
    assert line.startswith(own if by_this_test else f"port {PORT}: ")


@contextmanager
def occupied(port: int) -> Iterator[bool]:
    """Listen on a port, unless another program does; return whether this one does."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()
        except OSError:
            yield False
        else:
            yield True
