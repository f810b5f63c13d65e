"""Each command tells its version, as a program and as a module."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from programs import run

BIN = Path(sys.executable).parent
COMMANDS = ("falmock", "falqueue", "falcontract")


@pytest.mark.parametrize(
    "command",
    [*((str(BIN / name),) for name in COMMANDS), *((sys.executable, "-m", name) for name in COMMANDS)],
    ids=lambda command: Path(command[-1]).name if len(command) == 1 else f"python -m {command[-1]}",
)
def test_a_command_prints_its_version(command: tuple[str, ...]) -> None:
    ran = run(*command, "--version")

    assert (ran.code, ran.out) == (0, f"{Path(command[-1]).name}, version {version('falmock')}\n")
