"""The files in docs/vitest.md work."""

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
    """A copy of the project with its packages from npm; vite writes files there."""
    tool("node")
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    (tmp_path / "node_modules").mkdir()
    for package in (NODE / "node_modules").iterdir():
        (tmp_path / "node_modules" / package.name).symlink_to(package)
    return tmp_path


def test_the_vitest_page_shows_the_files_of_its_sample_project() -> None:
    shown = re.findall(r"^`([\w.]+)`.*?```js\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)

    assert dict(shown) == {path.name: path.read_text() for path in FOLDER.iterdir() if path.suffix == ".mjs"}


def test_vitest_runs_the_tests_of_the_vitest_page_against_its_own_emulator(project: Path) -> None:
    ran = run(tool("node"), VITEST, "run", cwd=project, PATH=PATH, NO_COLOR="1")

    assert "Tests  3 passed (3)" in ran.out, ran.out + ran.err


def test_vitest_runs_under_falmock_run(project: Path) -> None:
    flags = ("--media", "plain", "--time-scale", "100", "--account", "account.json")
    command = (tool("node"), VITEST, "run", "-t", "prompt")
    ran = falmock("run", *flags, "--", *command, cwd=project, PATH=PATH, NO_COLOR="1")

    assert "Tests  1 passed" in ran.out, ran.out + ran.err
    assert "client check" not in ran.err
    assert (project / "account.json").exists()
