"""The structure of the package: layers, cycles, sizes, and permitted imports."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import falcontract
from falcontract.topics import TOPICS

FOLDER = Path(falcontract.__file__).parent
FILES = sorted(FOLDER.rglob("*.py"))
# A folder or top module imports from lines above its own only. Inside a folder there are no cycles either.
LAYERS = """
    steps topics
    traces
    model targets
    clients programs properties
    suite
    live verdicts
    explore fidelity mutation report
    runs
    cli
    __main__
"""
LEVEL = {name: level for level, line in enumerate(LAYERS.strip().splitlines()) for name in line.split()}
# The only modules that import each of these packages.
IMPORTERS = {
    "falmock": {"targets/emulated.py", "mutation/internals.py"},
    "falqueue": {"clients/falqueue.py", "mutation/internals.py"},
    "fal_client": {"clients/fal_client.py"},
    "hypothesis": {"explore/machine.py", "explore/strategies.py"},
}
SHELVES = ("programs", "properties", "mutation")
NOT_TOPICS = {
    "programs": {"catalogue"},
    "properties": {"catalogue", "claims", "signatures", "mp4", "pictures"},
    "mutation": {"catalogue", "internals", "operators", "patching", "peer", "runner"},
}

every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))


def imported(path: Path) -> set[str]:
    """Return the dotted names that a module imports, under TYPE_CHECKING and inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def name_of(path: Path) -> str:
    return ".".join(("falcontract", *path.relative_to(FOLDER).with_suffix("").parts))


MODULES = {name_of(path): imported(path) for path in FILES}
for shelf in SHELVES:  # a catalogue imports its topics by name
    MODULES[f"falcontract.{shelf}.catalogue"] |= {f"falcontract.{shelf}.{topic}" for topic in TOPICS}


def room(module: str) -> str:
    return module.split(".")[1]


@every_file
def test_emulator_clients_and_hypothesis_are_each_imported_in_one_place(path: Path) -> None:
    packages = {name.partition(".")[0] for name in imported(path)}
    here = path.relative_to(FOLDER).as_posix()
    assert {package for package in packages & IMPORTERS.keys() if here not in IMPORTERS[package]} == set()


@every_file
def test_the_package_does_not_import_its_tests(path: Path) -> None:
    assert not any(name.startswith("tests") for name in imported(path))


@pytest.mark.parametrize("package", ["mockserver/falmock", "client/falqueue"])
def test_emulator_and_client_do_not_import_the_contract_suite(package: str) -> None:
    paths = sorted((FOLDER.parents[1] / package).rglob("*.py"))
    assert paths
    assert [path for path in paths if any(name.startswith("falcontract") for name in imported(path))] == []


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    if module == "falcontract.__init__":
        return
    rooms = {room(name) for name in MODULES[module] if name.startswith("falcontract.")} - {room(module)}
    assert {name for name in rooms if LEVEL[name] >= LEVEL[room(module)]} == set()


def test_there_is_no_import_cycle_between_modules() -> None:
    graph = {module: names & MODULES.keys() for module, names in MODULES.items()}
    TopologicalSorter(graph).prepare()


@every_file
def test_no_module_is_longer_than_400_lines_and_no_class_longer_than_300(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            assert (node.end_lineno or 0) - node.lineno < 300


def test_a_topic_has_the_same_name_in_programs_properties_and_mutants() -> None:
    topics = [{path.stem for path in (FOLDER / name).glob("*.py")} for name in SHELVES]
    found = [modules - {"__init__"} - NOT_TOPICS[name] for name, modules in zip(SHELVES, topics, strict=True)]
    assert found == [set(TOPICS)] * 3


def test_code_that_sends_to_fal_does_not_reach_hypothesis() -> None:
    """Follow the imports of `live` through the whole package."""
    seen: set[str] = set()
    left = {module for module in MODULES if room(module) == "live"}
    assert left
    while left:
        module = left.pop()
        seen.add(module)
        left |= (MODULES[module] & MODULES.keys()) - seen
    assert not {name.partition(".")[0] for module in seen for name in MODULES[module]} & {"hypothesis"}
