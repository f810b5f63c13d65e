"""Which running emulator a command uses: that of `--join`, of `--state`, of this folder, or the only one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from processes import Served, served, web_server
from programs import Ran, falmock, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

QUICK = ("--queue-seconds", "0", "--run-seconds", "0")
RUN = ("run", "--", "true")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder of a project without an emulator."""
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def runtime() -> Path:
    return Path(os.environ["XDG_RUNTIME_DIR"]) / "falmock"


def used(ran: Ran) -> str:
    """Return what `falmock run` says that it uses."""
    assert ran.code == 0, ran.err
    return ran.err.splitlines()[0]


def requests_in(ran: Ran) -> set[str]:
    """Return the ids in a journal."""
    assert ran.code == 0, ran.err
    entries = [json.loads(line) for line in ran.out.splitlines()]
    return {entry["request_id"] for entry in entries if entry.get("request_id")}


def test_the_only_running_emulator_is_found_from_any_folder(tmp_path: Path, here: Path) -> None:
    state = tmp_path / "elsewhere"
    with served("--state", str(state), *QUICK) as server:
        request_id = server.submit()["request_id"]

        assert requests_in(falmock("journal", cwd=here)) == {request_id}
        assert json.loads(falmock("ledger", cwd=here).out)["charges"][0]["request_id"] == request_id
        assert falmock("lint", cwd=here).code in {0, 1}
        assert f"FALMOCK_URL={server.address}" in falmock("env", "--format", "dotenv", cwd=here).out
        assert f"another emulator runs at {server.address}, which serves {state}" in falmock(
            "doctor", cwd=here
        ).out.replace("\n", " ")
        assert used(falmock(*RUN, cwd=here)) == (
            f"falmock: using the emulator at {server.address}, which serves {state}"
        )


def test_an_emulator_in_memory_is_found_too(here: Path) -> None:
    with served("--ephemeral") as server:
        assert used(falmock(*RUN, cwd=here)) == f"falmock: using the emulator at {server.address}, in memory"


def test_the_file_is_private_and_goes_with_the_server(tmp_path: Path) -> None:
    with served("--state", str(tmp_path / "state")):
        (file,) = runtime().iterdir()
        found = [stat.S_IMODE(path.stat().st_mode) for path in (runtime(), file)]
        content = json.loads(file.read_text())

    assert found == [0o700, 0o600]
    assert content["state"] == str(tmp_path / "state")
    assert list(runtime().iterdir()) == []


def test_the_emulator_of_the_current_folder_comes_before_another(tmp_path: Path, here: Path) -> None:
    with served("--state", str(tmp_path / "other")), served("--state", str(here / ".falmock")) as own:
        assert own.address in used(falmock(*RUN, cwd=here))
        assert own.address in falmock("env", cwd=here).out


def test_a_given_state_folder_is_the_only_one_that_counts(tmp_path: Path, here: Path) -> None:
    missing = str(tmp_path / "missing")
    with served("--state", str(tmp_path / "other")):
        assert "a new emulator" in used(falmock("run", "--state", missing, "--", "true", cwd=here))
        assert "a new emulator" in used(falmock(*RUN, cwd=here, FALMOCK_STATE=missing))
        assert f"no emulator serves {missing}" in one_line(falmock("journal", "--state", missing, cwd=here))


def test_an_address_comes_before_everything_else(tmp_path: Path, here: Path) -> None:
    with served("--state", str(here / ".falmock")), served("--state", str(tmp_path / "other")) as other:
        port = other.port
        for address in (other.address, f"{other.address}/", f"http://localhost:{port}"):
            assert other.address in used(falmock("run", "--join", address, "--", "true", cwd=here))
        assert other.address in falmock("env", "--join", other.address, cwd=here).out
        assert requests_in(falmock("journal", "--join", other.address, cwd=here)) == set()
        assert other.address in used(falmock(*RUN, cwd=here, FALMOCK_JOIN=other.address))


def test_alone_ignores_all_running_emulators(tmp_path: Path, here: Path) -> None:
    with served("--state", str(here / ".falmock")) as own, served("--state", str(tmp_path / "other")):
        for more in ((), ("--join", own.address), ("--state", str(here / ".falmock"))):
            assert "a new emulator" in used(falmock("run", "--alone", *more, "--", "true", cwd=here))


def two(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "one", tmp_path / "two"


@pytest.mark.parametrize("command", [("journal",), ("ledger",), ("lint",), ("env",), RUN], ids=" ".join)
def test_several_running_emulators_are_named_and_none_is_chosen(
    tmp_path: Path, here: Path, command: tuple[str, ...]
) -> None:
    one, other = two(tmp_path)
    with served("--state", str(one)) as first, served("--state", str(other)) as second:
        line = one_line(falmock(*command, cwd=here))

    assert f"{first.address} ({one})" in line
    assert f"{second.address} ({other})" in line
    assert "--join" in line


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://127.0.0.1:1", "answers at http://127.0.0.1:1: start one"),
        ("http://falmock.internal:8787", "answers at"),
        ("127.0.0.1:8787", "not an http or https URL"),
        ("http://127.0.0.1:8787/control", "without a path"),
    ],
)
def test_an_address_without_an_emulator_is_an_error_of_one_line(here: Path, address: str, why: str) -> None:
    assert why in one_line(falmock("run", "--join", address, "--", "true", cwd=here))
    assert why in one_line(falmock("env", "--join", address, cwd=here))


@pytest.mark.parametrize(
    ("flags", "why"),
    [(("--strict",), "leave out --join"), (("--sealed",), "is not sealed"), (("--seed", "7"), "--seed")],
    ids=str,
)
def test_a_flag_that_cannot_hold_for_a_joined_emulator_is_refused(
    here: Path, flags: tuple[str, ...], why: str
) -> None:
    with served("--ephemeral") as server:
        line = one_line(falmock("run", "--join", server.address, *flags, "--", "true", cwd=here))

    assert why in line


def left_by_a_killed_server(state: Path) -> str:
    with served("--state", str(state)) as server:
        server.stop(signal.SIGKILL)
    (file,) = runtime().iterdir()
    return file.name


def test_the_file_of_a_killed_server_is_ignored(tmp_path: Path, here: Path) -> None:
    name = left_by_a_killed_server(tmp_path / "state")

    assert "a new emulator" in used(falmock(*RUN, cwd=here))

    with served("--ephemeral") as other:  # another one takes its port
        text = (runtime() / name).read_text()
        dead = json.loads(text)["http"]
        (runtime() / name).write_text(text.replace(dead, other.address))

        assert other.address in used(falmock(*RUN, cwd=here))
        assert str(tmp_path) not in used(falmock(*RUN, cwd=here))


def copied(server: Served, folder: Path) -> None:
    """Copy the file of a running server into another folder."""
    (file,) = runtime().iterdir()
    assert server.address in file.read_text()
    folder.mkdir(exist_ok=True)
    shutil.copy(file, folder)


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o777], ids=oct)
def test_a_folder_that_other_users_can_enter_is_ignored(here: Path, mode: int) -> None:
    with served("--ephemeral"):
        runtime().chmod(mode)

        assert "a new emulator" in used(falmock(*RUN, cwd=here))


def test_a_link_in_the_place_of_the_folder_is_ignored(tmp_path: Path, here: Path) -> None:
    with served("--ephemeral") as server:
        copied(server, tmp_path / "planted")
        (tmp_path / "planted").chmod(0o700)
        shutil.rmtree(runtime())
        runtime().symlink_to(tmp_path / "planted")

        assert "a new emulator" in used(falmock(*RUN, cwd=here))


def test_a_server_that_cannot_write_the_file_serves_all_the_same(tmp_path: Path) -> None:
    runtime().write_text("a file where a folder should be")
    with served("--state", str(tmp_path / "state")) as server:
        assert server.http.get("/health").status_code == 200
        server.stop()

    assert "other folders do not find this emulator" in server.log


@pytest.mark.parametrize("given", [None, "", "/nowhere/of/mine"])
def test_without_a_runtime_folder_one_in_the_temporary_folder_is_used(
    tmp_path: Path, here: Path, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    if given is not None:
        monkeypatch.setenv("XDG_RUNTIME_DIR", given)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with served("--ephemeral") as server:
        (folder,) = tmp_path.glob("falmock-of-*")

        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert server.address in used(falmock(*RUN, cwd=here))


def test_the_emulator_of_falmock_run_is_not_found_by_others(here: Path) -> None:
    inner = falmock("run", "--", "sh", "-c", f"ls {runtime()} 2>&1; exit 0", cwd=here)

    assert ".json" not in inner.out


# The control token


@contextmanager
def proxied(token: str) -> Iterator[str]:
    """Serve an emulator behind a proxy, so that its control API takes the token."""
    with served("--ephemeral", "--control-token", token) as server:

        def answer(path: str, headers: Message) -> tuple[int, str, bytes]:
            sent = {name: headers[name] for name in ("Authorization",) if name in headers}
            got = server.http.request("GET", path, headers={"X-Forwarded-For": "192.0.2.7"} | sent)
            return got.status_code, got.headers["content-type"], got.content

        with web_server(answer) as address:
            yield address


@pytest.mark.parametrize("way", ["flag", "variable", "file"])
def test_commands_send_the_control_token(here: Path, way: str) -> None:
    token = "the-secret-token"
    flags = ("--control-token", token) if way == "flag" else ()
    variables = {"FALMOCK_CONTROL_TOKEN": token} if way == "variable" else {}
    if way == "file":
        (here / "falmock.toml").write_text(f'control-token = "{token}"')
    with proxied(token) as address:
        for command in ("journal", "ledger", "lint"):
            ran = falmock(command, "--join", address, *flags, cwd=here, **variables)
            assert (ran.code, token in ran.out + ran.err) == (0, False), ran.err


def test_a_wrong_control_token_is_refused_in_one_line(here: Path) -> None:
    with proxied("the-secret-token") as address:
        line = one_line(falmock("journal", "--join", address, "--control-token", "wrong", cwd=here))
        other = one_line(falmock("journal", "--join", address, cwd=here))

    assert "through a proxy" in line
    assert "through a proxy" in other
    assert "wrong" not in line


@pytest.mark.parametrize(
    ("status", "why"), [(200, "is not an emulator"), (403, "answers 403"), (404, "404 Not Found")]
)
def test_an_address_of_another_program_is_an_error_of_one_line(here: Path, status: int, why: str) -> None:
    with web_server(lambda *_: (status, "text/html", b"<p>hello</p>")) as address:
        for command in ("journal", "ledger", "lint"):
            assert why in one_line(falmock(command, "--join", address, cwd=here))


def test_a_control_token_that_no_header_can_have_is_refused_in_one_line(here: Path) -> None:
    line = one_line(falmock("journal", "--control-token", "two words", cwd=here))

    assert ("--control-token" in line, "two words" in line) == (True, False)
