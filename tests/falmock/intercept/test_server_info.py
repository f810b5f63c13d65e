"""The file with the addresses of a running emulator, and when it is ignored."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from processes import PATIENCE, served, web_server

from falmock.intercept.server_info import FILE, ServerInfo, find

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path


def impostor(answer: Any) -> AbstractContextManager[str]:
    """Serve a foreign program on this machine that answers every call with one JSON value."""
    return web_server(lambda *_: (200, "application/json", json.dumps(answer).encode()))


def file_of_a_killed_emulator(state: Path) -> ServerInfo:
    """Kill an emulator and return the file that it leaves."""
    with served("--state", str(state)) as server:
        assert find(state) is not None
        server.stop(signal.SIGKILL)
    return ServerInfo.from_json((state / FILE).read_text())


def point(state: Path, server_info: ServerInfo, address: str) -> None:
    """Write another address to the file, as if another program had taken the port."""
    (state / FILE).write_text(dataclasses.replace(server_info, http=address).to_json())


def falmock(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "falmock", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_a_foreign_program_on_the_port_of_a_killed_emulator_is_not_found(tmp_path: Path) -> None:
    state = tmp_path / "state"
    left = file_of_a_killed_emulator(state)

    lies: list[Any] = [{}, {"status": "ok", "proof": "0" * 64}, {"proof": left.token}, [], None]
    for answer in lies:
        with impostor(answer) as address:
            point(state, left, address)
            assert find(state) is None

    with impostor({"status": "ok", "entries": []}) as address:
        point(state, left, address)
        for command in (["journal"], ["ledger"], ["lint"], ["env"]):
            done = falmock(*command, "--state", str(state))
            assert (done.returncode, "no emulator serves" in done.stderr) == (2, True)


def test_another_emulator_on_the_port_of_a_killed_one_is_not_found(tmp_path: Path) -> None:
    left = file_of_a_killed_emulator(tmp_path / "state")

    with served("--ephemeral") as other:
        point(tmp_path / "state", left, other.address)
        assert find(tmp_path / "state") is None


def test_a_running_emulator_is_found_and_its_token_stays_secret(tmp_path: Path) -> None:
    with served("--state", str(tmp_path / "state")) as server:
        server_info = find(tmp_path / "state")
        assert server_info is not None
        texts = [server.http.get("/health", params={"challenge": each}).text for each in ("", "0" * 64)]
        texts += [falmock("env", "--state", str(tmp_path / "state")).stdout, repr(server_info)]

        assert [server_info.token in each for each in texts] == [False] * 4
        assert stat.S_IMODE((tmp_path / "state" / FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("field", ["http", "https", "proxy"])
def test_a_file_that_names_another_machine_is_ignored(tmp_path: Path, field: str) -> None:
    with served("--state", str(tmp_path)):
        server_info = find(tmp_path)
        assert server_info is not None
        content = json.loads(server_info.to_json()) | {field: "http://192.0.2.1:80"}
        (tmp_path / FILE).write_text(json.dumps(content))

        assert find(tmp_path) is None


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"http": 1}', "[" * 100_000, "\xff"])
def test_a_malformed_file_is_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text, encoding="latin-1")

    assert find(tmp_path) is None


ADDRESSES = {
    "http": "http://127.0.0.1:1",
    "https": "https://127.0.0.1:2",
    "proxy": "http://127.0.0.1:3",
    "certificate": "/ca.pem",
    "bundle": "/bundle.pem",
    "preload": "/preload.cjs",
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"http": 5},
        {"proxy": None},
        {"bundle": ["a"]},
        {"sealed": "yes"},
        {"token": 7},
        {"http": f"http://127.0.0.1:1/{'a' * 70_000}"},
        {"https": "https://127.0.0.1:2?a"},
    ],
    ids=lambda wrong: ascii(wrong)[:30],
)
def test_a_file_with_a_member_of_another_form_is_ignored(tmp_path: Path, wrong: dict[str, Any]) -> None:
    (tmp_path / FILE).write_text(json.dumps(ADDRESSES | wrong))

    assert find(tmp_path) is None


def test_a_file_of_another_user_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served("--state", str(tmp_path)):
        monkeypatch.setattr(os, "geteuid", lambda: (tmp_path / FILE).stat().st_uid + 1)

        assert find(tmp_path) is None
