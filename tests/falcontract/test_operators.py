"""Mutants by operator change one place each, and the suite judges them in a process of their own."""

from __future__ import annotations

import ast
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING

import pytest

from falcontract.mutation import operators

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = '''
"""A docstring stays."""
import os

LIMIT: Final = 3

def answer(given: "str") -> "str":
    """So does this one."""
    log.info("and a message")
    if given == "a" and LIMIT > 2:
        send(given)
    return {"x": True, **rest}
'''


def changed(number: int) -> str:
    tree = ast.parse(SOURCE)
    operators.sites(tree)[number].apply()
    return ast.unparse(ast.fix_missing_locations(tree))


def test_each_site_changes_one_place() -> None:
    before = ast.unparse(ast.parse(SOURCE)).splitlines()
    found = [changed(n) for n in range(len(operators.sites(ast.parse(SOURCE))))]
    assert len(set(found)) == len(found)
    for text in found:
        assert sum(a != b for a, b in zip(before, text.splitlines(), strict=True)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "LIMIT: Final = 4",
        "    if given != 'a' and LIMIT > 2:",
        "    if given == 'a' or LIMIT > 2:",
        "    if not (given == 'a' and LIMIT > 2):",
        "    if given == 'a' and LIMIT >= 2:",
        "    return {'x': False, **rest}",
        "    return {**rest}",
        "    return {'x': True}",
        "        None",
    ],
)
def test_there_is_an_operator_for(line: str) -> None:
    texts = [changed(n).splitlines() for n in range(len(operators.sites(ast.parse(SOURCE))))]
    assert any(line in text for text in texts)


def test_prose_is_left_alone() -> None:
    texts = [changed(n) for n in range(len(operators.sites(ast.parse(SOURCE))))]
    assert all("A docstring stays." in text and "and a message" in text for text in texts)
    assert all("given: 'str'" in text for text in texts)


def test_the_modules_exist_and_each_has_sites() -> None:
    for module in operators.MODULES:
        path, tree = operators._read(module)
        assert operators.sites(tree), path


def test_the_suite_finds_a_mutant_and_names_its_killer(renders: Path) -> None:
    """The first sentence that a submit is answered with: 200 becomes 201."""
    path, tree = operators._read("falmock.http.queue")
    numbers = [n for n, site in enumerate(operators.sites(tree)) if site.change == "200 becomes 201"]
    planted = operators.Planted("falmock.http.queue", numbers[0])
    assert planted.describe().startswith("http/queue.py:")
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(operators.verdict, planted, path, renders).result() == "P1"
