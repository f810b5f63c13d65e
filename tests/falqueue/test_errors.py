"""The exceptions: their tree, and their texts."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import falqueue
from falqueue import FieldError, _errors, _handle

PAGE = Path(__file__).parents[2] / "docs" / "falqueue.md"
TREE = PAGE.read_text().partition("## Exceptions")[2].split("```")[1]


def drawn() -> list[tuple[str, str]]:
    """Return (name, parent) of each line of the tree in docs/falqueue.md."""
    path: list[str] = []
    found = []
    for line in TREE.splitlines():
        if match := re.match(r"([│├└─ ]*)([A-Z]\w+)", line):
            depth = len(match[1]) // 4
            path = [*path[:depth], match[2]]
            found.append((match[2], path[depth - 1] if depth else "Exception"))
    return found


def written() -> set[tuple[str, str]]:
    return {
        (name, kind.__bases__[0].__name__)
        for module in (_errors, _handle)
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Exception)
    }


def test_the_documented_tree_of_exceptions_is_the_real_one() -> None:
    assert sorted(drawn()) == sorted(written())


def test_every_exception_is_public() -> None:
    assert {name for name, _ in written()} <= set(falqueue.__all__)


def test_the_text_of_an_exception_names_the_request() -> None:
    assert (
        str(falqueue.RunnerFailed("HTTP 500", status_code=500, request_id="019e"))
        == "HTTP 500 (request 019e)"
    )


def test_the_text_of_an_exception_without_a_request_is_the_message() -> None:
    assert str(falqueue.NotSent("could not connect")) == "could not connect"


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (falqueue.TookTooLong, TimeoutError),
        (falqueue.InvalidInput, ValueError),
        (falqueue.InvalidHandle, ValueError),
    ],
)
def test_exceptions_can_be_caught_as_the_builtin_they_resemble(kind: type, base: type) -> None:
    assert issubclass(kind, base)


@pytest.mark.parametrize(
    ("loc", "text"),
    [
        (("body", "prompt"), "prompt: No [t]"),
        (("body", "image_urls", 0), "image_urls.0: No [t]"),
        (("body",), "input: No [t]"),
        ((), "input: No [t]"),
        (("query", "x"), "query.x: No [t]"),
    ],
)
def test_a_field_error_names_the_field(loc: tuple[str | int, ...], text: str) -> None:
    assert str(FieldError(loc, "No", "t")) == text
