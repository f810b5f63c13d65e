"""Tests that mistreat a served emulator: short in the test suite, long with `make torture`."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from processes import Served, running
from torture import FAST, LONG, SHORT, Scale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

COUNTED = str(Path(__file__).parents[1] / "support" / "counted.py")


@pytest.fixture(scope="session")
def scale() -> Scale:
    return LONG if os.environ.get("FALMOCK_TORTURE") == "long" else SHORT


@pytest.fixture(autouse=True)
def without_a_line_for_each_call(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "httpx")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def serve(state: Path) -> Callable[..., AbstractContextManager[Served]]:
    """Serve the state folder.

    `before` is run by the shell that becomes the server. With `counted`, `Usage.of` can examine the server.
    """

    @contextmanager
    def serve(*arguments: str, before: str = "", counted: bool = False) -> Iterator[Served]:
        program = [COUNTED] if counted else ["-m", "falmock"]
        command = [sys.executable, *program, "serve", *FAST, "--state", str(state), *arguments]
        if before:
            command = ["sh", "-c", f'{before}; exec "$@"', "sh", *command]
        with running(*command) as server:
            yield server

    return serve


@pytest.fixture
def in_namespace() -> str:
    """Return the program that runs a command in a separate mount namespace."""
    program = shutil.which("unshare")
    if program is None or subprocess.run([program, "-m", "true"], check=False).returncode:
        pytest.skip("needs unshare, and the right to mount")
    return program
