"""Imports point down: the storeys of the house, as text."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import falmock

STOREYS = """
    addresses bell clock endpoints errors hosts lifecycle limits private redaction settings signing urls
    bodies calls connection console faults keys media models patterns queue store validation
    scenarios triggers
    fetching files journal ledger
    har lint runner webhooks
    course
    emulator
    snapshots
    http
    app server
    intercept redirect testing
    autojump
    harness
    plugin
    cli
    __main__
"""
FOLDER = Path(falmock.__file__).parent
LEVEL = {room: level for level, line in enumerate(STOREYS.strip().splitlines()) for room in line.split()}
SIDEWAYS = {
    ("models", "media"),
    ("store", "lifecycle"),
    ("settings", "limits"),
    ("hosts", "urls"),
    ("redaction", "urls"),
    ("validation", "bodies"),
}  # within a storey, named one by one


def room_of(module: str) -> str:
    """Return "http" for "falmock.http.queue"."""
    return ([*module.split("."), ""])[1]


def imports(path: Path) -> set[str]:
    """Return the rooms of this package that a file imports, for types or for real."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "falmock":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("falmock."):
            found.add(room_of(str(node.module)))
    return found & set(LEVEL)


FILES = sorted(path for path in FOLDER.rglob("*.py") if path != FOLDER / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_room_imports_only_from_below(path: Path) -> None:
    room = path.relative_to(FOLDER).parts[0].removesuffix(".py")
    above = {
        other
        for other in imports(path)
        if other != room and LEVEL[other] >= LEVEL[room] and (room, other) not in SIDEWAYS
    }

    assert above == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_the_emulator_knows_nothing_of_its_client_and_its_contract(path: Path) -> None:
    text = path.read_text()

    assert not any(
        f"{word} {other}" in text for word in ("import", "from") for other in ("falqueue", "falcontract")
    )


def test_every_room_has_its_storey() -> None:
    rooms = {path.relative_to(FOLDER).parts[0].removesuffix(".py") for path in FILES}

    assert rooms == set(LEVEL)
