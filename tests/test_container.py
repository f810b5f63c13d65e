"""The container: its files are valid, and its command works for its user."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from processes import running
from programs import tool

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
CONTAINERFILE = (ROOT / "Containerfile").read_text()
USER = re.findall(r"^USER (\d+)$", CONTAINERFILE, re.MULTILINE)[0]


def words(instruction: str) -> list[str]:
    """Return the command of the last such instruction."""
    found: list[str] = json.loads(re.findall(rf"\b{instruction} (\[.*\])", CONTAINERFILE)[-1])
    return found


@pytest.mark.parametrize(
    "command",
    [
        ("hadolint", "Containerfile"),
        ("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"),
    ],
    ids=lambda command: command[-1],
)
def test_the_file_has_no_lint(command: tuple[str, ...]) -> None:
    program = Path(sys.executable).with_name(command[0])

    assert subprocess.run([program, *command[1:]], cwd=ROOT, check=False).returncode == 0


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set the variables of the container, with a state folder and a port of this test."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # not in a folder that only root can enter
    if os.geteuid() == 0:
        os.chown(folder, int(USER), int(USER))
    for name, value in re.findall(r"\b(FALMOCK_\w+)=(\S+)", CONTAINERFILE):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FALMOCK_STATE", str(folder))
    monkeypatch.setenv("FALMOCK_PORT", "0")
    monkeypatch.setenv("FALMOCK_HOST", "127.0.0.1")
    yield folder
    shutil.rmtree(folder)


def test_the_command_serves_as_the_user_of_the_container_and_is_healthy(state: Path) -> None:
    program, *arguments = words("ENTRYPOINT") + words("CMD")
    as_user = [tool("setpriv"), f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    before = as_user if os.geteuid() == 0 else []
    with running(*before, str(Path(sys.executable).with_name(program)), *arguments) as server:
        healthy = subprocess.run([sys.executable, *healthcheck(server.address)], check=False).returncode

    assert healthy == 0
    assert os.geteuid() != 0 or {path.stat().st_uid for path in state.rglob("*")} == {int(USER)}


def healthcheck(address: str) -> list[str]:
    """Return the arguments of the container's health check, for another address."""
    (_, *arguments) = json.loads(re.findall(r"CMD (\[\"python\".*\])", CONTAINERFILE)[0])
    return [argument.replace("http://127.0.0.1:8787", address) for argument in arguments]
