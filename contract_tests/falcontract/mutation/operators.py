"""Mutants by operator: generic changes to falmock's source, one at a time, for a nightly run.

They find gaps that the hand-written mutants leave. Each one runs in a separate process, which imports the
changed module instead of the real one. For a survivor, add a property, unless it makes no difference on the
wire.
"""

from __future__ import annotations

import ast
import asyncio
import logging
import random
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.abc import Loader
from importlib.util import find_spec, spec_from_file_location
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from importlib.machinery import ModuleSpec
    from types import ModuleType

# What decides about bytes on the wire.
MODULES: Final = (  # about 2,200 mutants
    *(
        f"falmock.http.{name}"
        for name in ("access", "cdn", "cors", "platform", "queue", "replies", "rest", "run")
    ),
    *(f"falmock.protocol.{name}" for name in ("calls", "endpoints", "errors", "hosts", "model_errors")),
    *(f"falmock.protocol.{name}" for name in ("outcomes", "validation")),
    *(f"falmock.engine.{name}" for name in ("delivery", "logs", "posting", "queue", "signing", "steps")),
    *(f"falmock.engine.{name}" for name in ("uploads", "webhooks")),
)
LONGEST: Final = 30.0  # real seconds for a program; a mutant that hangs is killed
SWAPPED: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}


@dataclass(frozen=True)
class Site:
    """A place in a tree, and the change to make there."""

    line: int
    change: str  # in words
    apply: Callable[[], object]  # changes the tree


def sites(tree: ast.Module) -> list[Site]:
    """Return all changes to a module, in a fixed order."""
    return [site for node in _code(tree) for site in _changes(node)]


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that run, without annotations, docstrings, imports and log messages."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "type_params"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_prose(child):
                yield from _code(child)


def _is_prose(node: ast.AST) -> bool:
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name):
        return node.test.id == "TYPE_CHECKING"
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return ast.unparse(node.value).startswith("log.")
    return isinstance(node, ast.Import | ast.ImportFrom)


def _changes(node: ast.AST) -> Iterator[Site]:
    match node:
        case ast.Constant():
            yield from _constants(node)
        case ast.Compare(ops=[op]) if type(op) in SWAPPED:
            other = SWAPPED[type(op)]
            yield Site(
                node.lineno, f"{ast.unparse(node)}: {other.__name__}", partial(_set, node, "ops", [other()])
            )
        case ast.If() | ast.IfExp() | ast.While():
            opposite = ast.UnaryOp(ast.Not(), node.test)
            yield Site(node.lineno, f"not ({ast.unparse(node.test)})", partial(_set, node, "test", opposite))
        case ast.BoolOp():
            opposed: ast.boolop = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield Site(node.lineno, f"{ast.unparse(node)}: and/or", partial(_set, node, "op", opposed))
        case ast.Dict():
            for n, (key, value) in enumerate(zip(node.keys, node.values, strict=True)):
                text = f"{ast.unparse(key) if key else '**'}: {ast.unparse(value)} dropped"
                yield Site(value.lineno, text, partial(_drop, node, n))
        case ast.Expr(value=ast.Call() | ast.Await()):
            text = f"{ast.unparse(node)} dropped"
            yield Site(node.lineno, text, partial(_set, node, "value", ast.Constant(None)))


def _constants(node: ast.Constant) -> Iterator[Site]:
    value = node.value
    if isinstance(value, bool):
        yield Site(node.lineno, f"{value} becomes {not value}", partial(_set, node, "value", not value))
    elif isinstance(value, int | float):
        yield Site(node.lineno, f"{value} becomes {value + 1}", partial(_set, node, "value", value + 1))
    elif isinstance(value, str) and value:
        other = value + value[:1]
        yield Site(node.lineno, f"{value!r} becomes {other!r}", partial(_set, node, "value", other))


def _set(node: ast.AST, name: str, value: object) -> None:
    setattr(node, name, value)


def _drop(node: ast.Dict, n: int) -> None:
    del node.keys[n], node.values[n]


@dataclass(frozen=True)
class Planted:
    """A mutant by operator: the number of a site in a module."""

    module: str
    number: int

    def describe(self) -> str:
        path, tree = _read(self.module)
        site = sites(tree)[self.number]
        return f"{path.parent.name}/{path.name}:{site.line}: {site.change.splitlines()[0]:.90}"


def _read(module: str) -> tuple[Path, ast.Module]:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(module)
    path = Path(spec.origin)
    return path, ast.parse(path.read_text())


class _Changed(Loader):
    """Finds and loads one module, with the change of a mutant."""

    def __init__(self, planted: Planted, path: Path) -> None:
        self._planted, self._path = planted, path

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        ours = name == self._planted.module
        return spec_from_file_location(name, self._path, loader=self) if ours else None

    def exec_module(self, module: ModuleType) -> None:
        tree = ast.parse(self._path.read_text())
        sites(tree)[self._planted.number].apply()
        exec(compile(ast.fix_missing_locations(tree), self._path, "exec"), module.__dict__)  # noqa: S102


def verdict(planted: Planted | None, path: Path, renders: Path) -> str:
    """Run the suite on a mutant, in a fresh process; return its killer, or "" for a survivor."""
    if planted is not None:
        sys.meta_path.insert(0, _Changed(planted, path))
    logging.disable(logging.CRITICAL)
    try:
        from falcontract import suite  # noqa: PLC0415 - they import falmock
        from falcontract.targets.emulated import Emulated  # noqa: PLC0415
    except Exception as error:
        return f"{type(error).__name__} at import"
    target = Emulated(renders=renders)
    for program in suite.programs_for(suite.select_properties()):
        try:
            running = suite.run_program(program, target, clients=False)
            trace = asyncio.run(asyncio.wait_for(running, LONGEST))
        except Exception as error:
            return f"{type(error).__name__} in {program.name}"
        for p in suite.select_properties():
            if p.applies_to(trace) and any(not claim.holds for claim in p.check(trace)):
                return p.id
    return ""


def run(sample: int, seed: int, processes: int) -> Iterator[tuple[Planted, str]]:
    """Run the suite on a sample of all mutants; yield each with its killer, "" for a survivor."""
    everything = [Planted(module, n) for module in MODULES for n in range(len(sites(_read(module)[1])))]
    chosen = random.Random(seed).sample(everything, min(sample, len(everything)))  # noqa: S311
    paths = {module: _read(module)[0] for module in MODULES}
    with (
        tempfile.TemporaryDirectory(prefix="falcontract-") as folder,
        ProcessPoolExecutor(processes, get_context("spawn"), max_tasks_per_child=1) as pool,
    ):
        # Without a change first: it must pass, and renders the clips for all others.
        if problem := pool.submit(verdict, None, Path(), Path(folder)).result():
            raise RuntimeError(f"the suite fails without a mutant: {problem}")
        found = [pool.submit(verdict, one, paths[one.module], Path(folder)) for one in chosen]
        for one, future in zip(chosen, found, strict=True):
            yield one, future.result()
