"""Who may know whom: the model shares nothing with what it judges."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import falcontract

FOLDER = Path(falcontract.__file__).parent
FILES = sorted(FOLDER.rglob("*.py"))
STARTS_AN_EMULATOR = {"emulated.py", "mutants.py"}
OPENS_THE_CLIENT = {"client_door.py"}
OPENS_FALS_CLIENT = {"fal_client_door.py"}
MAKES_UP_PROGRAMS = {"machine.py", "strategies.py"}
STOREYS = """
    automaton budget claims doors mp4 published receivers signatures steps targets timetable traces
    placeholders prediction scrubbing programs wire strategies properties client_door fal_client_door
    agreement planning transcripts suite
    emulated fidelity verdicts live mutants
    machine peer report shrinking teeth
    cli
"""
LEVEL = {room: level for level, line in enumerate(STOREYS.strip().splitlines()) for room in line.split()}


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def tops(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(path)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_emulator_client_and_hypothesis_have_one_door_each(path: Path) -> None:
    assert "falmock" not in tops(path) or path.name in STARTS_AN_EMULATOR
    assert "falqueue" not in tops(path) or path.name in OPENS_THE_CLIENT
    assert "fal_client" not in tops(path) or path.name in OPENS_FALS_CLIENT
    assert "hypothesis" not in tops(path) or path.name in MAKES_UP_PROGRAMS


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_nobody_else_knows_the_harness(path: Path) -> None:
    assert not any(name.startswith("tests") for name in imported(path))
    for package in ("falmock", "falqueue"):
        for other in (FOLDER.parents[1]).glob(f"*/{package}/**/*.py"):
            assert "falcontract" not in tops(other)


def rooms(path: Path) -> set[str]:
    parts = [name.split(".") for name in imported(path) if name.startswith("falcontract.")]
    return {part[1] for part in parts if part[1] in LEVEL}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_imports_point_down(path: Path) -> None:
    room = path.relative_to(FOLDER).parts[0].removesuffix(".py")
    if room == "__init__":
        return
    assert {other for other in rooms(path) if other != room and LEVEL[other] > LEVEL[room]} == set()


def test_what_sends_to_fal_cannot_make_anything_up() -> None:
    """`live` and all that it stands on, down to the ground, know nothing of Hypothesis."""
    seen: set[str] = set()
    left = ["live"]
    while left:
        room = left.pop()
        seen.add(room)
        paths = (
            [FOLDER / f"{room}.py"] if (FOLDER / f"{room}.py").exists() else [*(FOLDER / room).glob("*.py")]
        )
        left += [other for path in paths for other in rooms(path) - seen]
    assert not seen & {name.removesuffix(".py") for name in MAKES_UP_PROGRAMS}
