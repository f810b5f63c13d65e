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
    catalogue
    engine
    inspection
    http
    control intercept web
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
MOST_ARROWS = 67


def name_of(path: Path) -> str:
    """Return "http.queue" for the file of `falmock.http.queue`."""
    return ".".join(path.relative_to(FOLDER).with_suffix("").parts).removesuffix(".__init__")


NAMES = {name_of(path) for path in FILES}


def wing_of(module: str) -> str:
    """Return "http" for "http.queue"."""
    return module.partition(".")[0]


def imports(module: str, text: str) -> set[str]:
    """Return the modules of falmock that a module imports: for types, at run time, or by name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = ["falmock", *module.split(".")][: -node.level] if node.level else []
            base = ".".join([*package, *filter(None, [node.module])])
            inner = {alias.name: f"{base}.{alias.name}".removeprefix("falmock.") for alias in node.names}
            found |= {f"{base}.{name}" if whole in NAMES else base for name, whole in inner.items()}
        elif isinstance(node, ast.Call) and called(node) in {"import_module", "__import__"} and node.args:
            found |= named(node.args[0])
    return {name.removeprefix("falmock.") for name in found if name.startswith("falmock.")} & NAMES


def called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def named(argument: ast.expr) -> set[str]:
    """Return the modules that the name in an argument may be of; an f-string may name many."""
    if isinstance(argument, ast.JoinedStr) and isinstance(argument.values[0], ast.Constant):
        start = str(argument.values[0].value)
        return {f"falmock.{name}" for name in NAMES if f"falmock.{name}".startswith(start)}
    return {str(argument.value)} if isinstance(argument, ast.Constant) else set()


GRAPH = {name_of(path): imports(name_of(path), path.read_text()) - {name_of(path)} for path in FILES}


@pytest.mark.parametrize(
    ("statement", "module"),
    [
        ("from falmock.http.queue import x", "http.queue"),
        ("from falmock.http import queue", "http.queue"),
        ("from falmock.media import Renderer", "media"),
        ("from falmock import media", "media"),
        ("from falmock.http import queue as media, Renderer", "http.queue http"),
        ("import falmock.http.queue", "http.queue"),
        ("import falmock.http.queue as q", "http.queue"),
        ("def later(): import falmock.http.queue", "http.queue"),
        ("from . import queue", "http.queue"),
        ("from .queue import x", "http.queue"),
        ("from ..media import Renderer", "media"),
        ("import_module('falmock.http.queue')", "http.queue"),
        ("importlib.import_module(f'falmock.http.que{rest}')", "http.queue"),
        ("__import__('falmock.http.queue')", "http.queue"),
    ],
)
def test_an_import_in_any_form_is_seen(statement: str, module: str) -> None:
    assert imports("http.router", statement) == set(module.split())


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


def is_a_cache(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in {"cache", "lru_cache"}


def has_a_limit(call: ast.Call) -> bool:
    """Check a call of `lru_cache` for a constant number of entries."""
    sizes = [*call.args[:1], *(word.value for word in call.keywords if word.arg == "maxsize")]
    return [type(getattr(size, "value", None)) for size in sizes] == [int]


def takes_nothing(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> bool:
    return ast.unparse(function.args) == ""


def unlimited_caches(text: str) -> list[int]:
    """Return the lines of caches that can grow. One of a function without parameters has one entry."""
    tree = ast.parse(text)
    found: set[ast.expr] = set()
    good: set[ast.expr] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and is_a_cache(node.func):
            found.add(node.func)
            wrapped = node.args[0] if node.args else None
            if has_a_limit(node) or (isinstance(wrapped, ast.Lambda) and takes_nothing(wrapped)):
                good.add(node.func)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            bare = {each.func if isinstance(each, ast.Call) else each for each in node.decorator_list}
            found |= {each for each in bare if is_a_cache(each)}
            good |= bare if takes_nothing(node) else set()
    return sorted(each.lineno for each in found - good)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_cache_has_a_limit(path: Path) -> None:
    assert unlimited_caches(path.read_text()) == []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("@lru_cache(maxsize=9)\ndef f(x): ...", []),
        ("@lru_cache(9)\ndef f(x): ...", []),
        ("@cache\ndef f(): ...", []),
        ("kept = cache(lambda: 1)", []),
        ("@cache\ndef f(x): ...", [1]),
        ("@functools.cache\ndef f(*x): ...", [1]),
        ("@lru_cache\ndef f(x): ...", [1]),
        ("@lru_cache(maxsize=None)\ndef f(x): ...", [1]),
        ("kept = cache(lambda x: x)", [1]),
        ("class A:\n    @cache\n    def f(self): ...", [2]),
        ("kept = cache(compute)", [1]),
    ],
)
def test_a_cache_without_a_limit_is_found(text: str, lines: list[int]) -> None:
    assert unlimited_caches(text) == lines
