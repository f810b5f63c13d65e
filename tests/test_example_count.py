"""The Hypothesis profile decides how many examples every property has."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
FILES = sorted(path for path in TESTS.rglob("*.py") if "node_modules" not in path.parts)
SETS_IT = {TESTS / "conftest.py", TESTS / "support" / "example_count.py"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(TESTS).as_posix())
def test_a_number_of_examples_is_set_in_one_place(path: Path) -> None:
    words = {node.arg for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.keyword)}

    assert "max_examples" not in words or path in SETS_IT


@pytest.mark.parametrize(("profile", "count"), [("patient", 40), ("deep", 400), ("night", 2000)])
def test_a_profile_with_more_examples_has_more_for_every_property(profile: str, count: int) -> None:
    code = "import conftest, example_count; print(example_count.examples(40).max_examples)"
    folders = os.pathsep.join([str(TESTS), str(TESTS / "support")])
    environment = os.environ | {"HYPOTHESIS_PROFILE": profile, "PYTHONPATH": folders}

    printed = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )

    assert int(printed.stdout) == count
