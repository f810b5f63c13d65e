"""The wings of falmock: imports point down, nothing is circular, and no wing grows too large."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import falmock

STOREYS = """
    protocol
    settings system
    faults media
    models
    engine
    inspection
    http
    control intercept
    app
    cli testing
    __main__
"""
FOLDER = Path(falmock.__file__).parent
LEVEL = {wing: level for level, line in enumerate(STOREYS.strip().splitlines()) for wing in line.split()}
FILES = sorted(path for path in FOLDER.rglob("*.py") if path != FOLDER / "__init__.py")
LONGEST_MODULE = 400
LONGEST_CLASS = 300
MOST_ROOMS = 16
MOST_ARROWS = 60


def name_of(path: Path) -> str:
    """Return "http.queue" for the file of `falmock.http.queue`."""
    return ".".join(path.relative_to(FOLDER).with_suffix("").parts).removesuffix(".__init__")


NAMES = {name_of(path) for path in FILES}


def wing_of(module: str) -> str:
    """Return "http" for "http.queue"."""
    return module.partition(".")[0]


def imports(path: Path) -> set[str]:
    """Return the modules of falmock that a file imports, for types or at run time."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "falmock":
            base = str(node.module).removeprefix("falmock").removeprefix(".")
            for alias in node.names:
                inner = f"{base}.{alias.name}".removeprefix(".")
                found.add(inner if inner in NAMES else base)
    return found & NAMES


GRAPH = {name_of(path): imports(path) - {name_of(path)} for path in FILES}


def test_every_wing_has_a_storey() -> None:
    assert {wing_of(module) for module in NAMES} == set(LEVEL)


@pytest.mark.parametrize("module", sorted(NAMES))
def test_a_module_imports_from_its_own_wing_or_from_below(module: str) -> None:
    wing = wing_of(module)
    above = {
        other for other in GRAPH[module] if wing_of(other) != wing and LEVEL[wing_of(other)] >= LEVEL[wing]
    }

    assert above == set()


def test_there_are_no_import_cycles() -> None:
    left = dict(GRAPH)
    while ready := {module for module, others in left.items() if not others & set(left)}:
        left = {module: others for module, others in left.items() if module not in ready}

    assert left == {}


def test_the_wings_are_few_and_loosely_coupled() -> None:
    arrows = {(wing_of(module), wing_of(other)) for module, others in GRAPH.items() for other in others} - {
        (wing, wing) for wing in LEVEL
    }

    assert len(LEVEL) <= MOST_ROOMS
    assert len(arrows) <= MOST_ARROWS


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_module_and_its_classes_are_short(path: Path) -> None:
    text = path.read_text()
    classes = {
        node.name: (node.end_lineno or 0) - node.lineno + 1
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef)
    }

    assert len(text.splitlines()) <= LONGEST_MODULE
    assert {name: lines for name, lines in classes.items() if lines > LONGEST_CLASS} == {}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_emulator_imports_neither_its_client_nor_its_contract(path: Path) -> None:
    text = path.read_text()

    assert not any(
        f"{word} {other}" in text for word in ("import", "from") for other in ("falqueue", "falcontract")
    )
