"""Settings from `falmock.toml` or `pyproject.toml`, and `falmock config show`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from programs import falmock, one_line

if TYPE_CHECKING:
    from pathlib import Path

FILE = """
seed = 7
media = "plain"
queue-seconds = "1-2"
no-auth = true
hostname = ["a.test", "b.test"]
"""


def shown(folder: Path, *arguments: str, **environment: str) -> dict[str, tuple[str, str]]:
    """Return each flag with its value and where that comes from."""
    ran = falmock("config", "show", *arguments, cwd=folder, **environment)
    assert ran.code == 0, ran.err
    lines = [re.fullmatch(r"(\S+) +(.*?)  \((.*)\)", line) for line in ran.out.splitlines()]
    return {match[1]: (match[2], match[3]) for match in lines if match}


def test_without_a_file_every_setting_has_its_default(tmp_path: Path) -> None:
    found = shown(tmp_path)

    assert found["--runners"] == ("2", "default")
    assert {source for _, source in found.values()} == {"default"}


@pytest.mark.parametrize(
    ("name", "head"), [("falmock.toml", ""), ("pyproject.toml", "[tool.falmock]")], ids=str
)
def test_a_file_in_the_current_folder_gives_settings(tmp_path: Path, name: str, head: str) -> None:
    (tmp_path / name).write_text(head + FILE)
    found = shown(tmp_path)

    assert found["--seed"] == ("7", name)
    assert found["--media"] == ("plain", name)
    assert found["--queue-seconds"] == ("1-2", name)
    assert found["--no-auth"] == ("True", name)
    assert found["--hostname"] == ("a.test,b.test", name)


def test_a_flag_wins_over_a_variable_and_a_variable_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "falmock.toml").write_text("seed = 1\nrunners = 1\nconcurrency = 1\n")
    found = shown(tmp_path, "--seed", "3", FALMOCK_SEED="2", FALMOCK_RUNNERS="2")

    assert found["--seed"] == ("3", "flag")
    assert found["--runners"] == ("2", "variable")
    assert found["--concurrency"] == ("1", "falmock.toml")


def test_secrets_are_not_printed(tmp_path: Path) -> None:
    found = shown(tmp_path, FALMOCK_KEYS="me:secret", FALMOCK_CONTROL_TOKEN="secret")

    assert (found["--keys"], found["--control-token"]) == (("***", "variable"), ("***", "variable"))


def test_a_control_token_that_is_not_given_is_shown_as_such(tmp_path: Path) -> None:
    assert shown(tmp_path)["--control-token"] == ("not set", "default")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sede = 7", "falmock.toml has an unknown setting: sede, did you mean seed?"),
        ("seed = ", "cannot read falmock.toml: "),
        ("runners = 'many'", "Invalid value for '--runners'"),
        ("seed = 1.5", "'1.5' is not a valid integer"),
        ("seed = true", "falmock.toml: seed takes a text or a number"),
        ("run-seconds = [1, 2]", "falmock.toml: run-seconds takes a text or a number"),
        ("keys = {a = 1}", "falmock.toml: keys takes a text or a number, or a list of these"),
        ("models = [['a']]", "falmock.toml: models takes a text or a number, or a list of these"),
        ("sealed = []", "falmock.toml: sealed takes true or false"),
        (r"models = 'a\u0000'".replace("'", '"'), "falmock.toml: models has the character NUL"),
    ],
)
@pytest.mark.parametrize("command", [("config", "show"), ("run", "--", "true")], ids=str)
def test_a_wrong_file_is_reported_in_one_line(
    tmp_path: Path, text: str, expected: str, command: tuple[str, ...]
) -> None:
    (tmp_path / "falmock.toml").write_text(text)

    assert expected in one_line(falmock(*command, cwd=tmp_path))


@pytest.mark.parametrize(
    ("text", "name"), [("tool = 1", "tool"), ("[tool]\nfalmock = 5", "falmock"), ("tool = []", "tool")]
)
def test_a_wrong_table_is_reported_in_one_line(tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)

    expected = f"falmock: pyproject.toml: {name} is not a table"
    assert one_line(falmock("config", "show", cwd=tmp_path)) == expected


def test_a_list_of_keys_may_be_one_text(tmp_path: Path) -> None:
    for text in ('keys = "a:b,c:d"', 'keys = ["a:b", "c:d"]'):
        (tmp_path / "falmock.toml").write_text(text)
        assert shown(tmp_path)["--keys"] == ("***", "falmock.toml")


@pytest.mark.parametrize(
    "command", [("models", "list"), ("run", "--", "true"), ("doctor",), ("serve",)], ids=str
)
def test_an_impossible_state_folder_is_reported_in_one_line(command: tuple[str, ...]) -> None:
    ran = falmock(*command, FALMOCK_STATE="a" * 300)

    assert one_line(ran).endswith("(File name too long): name another folder")


def test_run_takes_its_settings_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "falmock.toml").write_text('scenario = ["locked"]')

    assert "the fault 'locked' had no effect" in falmock("run", "--", "true", cwd=tmp_path).err
