"""The exceptions: a tree that is drawn as it is, and texts that tell what matters and no secrets."""

from __future__ import annotations

import inspect
import re

import pytest

import falqueue
from falqueue import FieldError, _errors


def drawn() -> list[tuple[str, str]]:
    """Return (name, parent) of each line of the tree in the module's docstring."""
    path: list[str] = []
    found = []
    for line in (_errors.__doc__ or "").splitlines():
        if match := re.match(r"    ([│├└─ ]*)([A-Z]\w+)", line):
            depth = len(match[1]) // 4
            path = [*path[:depth], match[2]]
            found.append((match[2], path[depth - 1] if depth else "Exception"))
    return found


def written() -> list[tuple[str, str]]:
    return [
        (name, kind.__bases__[0].__name__)
        for name, kind in inspect.getmembers(_errors, inspect.isclass)
        if issubclass(kind, Exception)
    ]


def test_the_tree_is_drawn_as_it_is_written() -> None:
    assert sorted(drawn()) == sorted(written())


def test_every_exception_is_public() -> None:
    assert {name for name, _ in written()} <= set(falqueue.__all__)


def test_the_text_names_the_request() -> None:
    assert (
        str(falqueue.RunnerFailed("HTTP 500", status_code=500, request_id="019e"))
        == "HTTP 500 (request 019e)"
    )


def test_the_text_is_plain_where_there_is_no_request() -> None:
    assert str(falqueue.NotSent("could not connect")) == "could not connect"


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (falqueue.TookTooLong, TimeoutError),
        (falqueue.InvalidInput, ValueError),
        (falqueue.InvalidHandle, ValueError),
    ],
)
def test_what_python_has_a_word_for_can_be_caught_by_it(kind: type, base: type) -> None:
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
def test_a_field_error_says_where(loc: tuple[str | int, ...], text: str) -> None:
    assert str(FieldError(loc, "No", "t")) == text
