"""The page on security names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text()
TESTS = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^\s*(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
}


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\b(test_\w+)(?!\w*\.py)\b", PAGE))))
def test_a_test_that_the_security_page_names_exists(name: str) -> None:
    assert name in TESTS


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:\w+/)+test_\w+\.py)", PAGE))))
def test_a_file_that_the_security_page_names_exists(path: str) -> None:
    assert (ROOT / "tests" / path).is_file()
