"""The recipe for vitest works as docs/vitest.md has it."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from programs import NODE, falmock, run, tool

PAGE = (Path(__file__).parents[1] / "docs" / "vitest.md").read_text()
FOLDER = NODE / "vitest"
VITEST = str(NODE / "node_modules" / "vitest" / "vitest.mjs")
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with these files, and with what it needs of npm; vite leaves files there."""
    tool("node")
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    (tmp_path / "node_modules").mkdir()
    for package in (NODE / "node_modules").iterdir():
        (tmp_path / "node_modules" / package.name).symlink_to(package)
    return tmp_path


def test_the_page_shows_the_files() -> None:
    shown = re.findall(r"^`([\w.]+)`.*?```js\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)

    assert dict(shown) == {path.name: path.read_text() for path in FOLDER.iterdir() if path.suffix == ".mjs"}


def test_a_run_starts_an_emulator_and_makes_things_go_wrong(project: Path) -> None:
    ran = run(tool("node"), VITEST, "run", cwd=project, PATH=PATH, NO_COLOR="1")

    assert "Tests  3 passed (3)" in ran.out, ran.out + ran.err


def test_a_run_can_be_led_to_an_emulator_as_a_whole(project: Path) -> None:
    flags = ("--media", "plain", "--time-scale", "100", "--account", "account.json")
    command = (tool("node"), VITEST, "run", "-t", "prompt")
    ran = falmock("run", *flags, "--", *command, cwd=project, PATH=PATH, NO_COLOR="1")

    assert "Tests  1 passed" in ran.out, ran.out + ran.err
    assert (project / "account.json").exists()
