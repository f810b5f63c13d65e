"""The page on security names tests that exist, in the files that it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text()
NAMED = re.compile(r"`(?:(?P<path>(?:\w+/)+test_\w+\.py)(?:::)?)?(?P<test>test_\w+)?`")


def named_tests() -> list[tuple[str, str]]:
    """Return the files and the tests that the page names; "" is for a file as a whole."""
    path, pairs = "", []
    for match in NAMED.finditer(PAGE):
        if match["path"] or match["test"]:
            path = match["path"] or path
            pairs.append((path, match["test"] or ""))
    return sorted(set(pairs))


def test_the_security_page_names_many_tests() -> None:
    assert len(named_tests()) > 30


@pytest.mark.parametrize(("path", "test"), named_tests())
def test_a_test_that_the_security_page_names_exists(path: str, test: str) -> None:
    code = (ROOT / "tests" / path).read_text()

    assert not test or re.search(rf"^\s*(async )?def {test}\(", code, re.MULTILINE)
