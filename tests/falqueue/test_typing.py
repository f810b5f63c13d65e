"""The types of the public names: mypy finds wrong uses of them."""

from __future__ import annotations

import re
from pathlib import Path

from mypy import api

WRONG = Path(__file__).parent / "typing" / "wrong.py"
ROOT = Path(__file__).parents[2]


def test_mypy_finds_each_wrong_use_of_the_client_and_nothing_else(tmp_path: Path) -> None:
    marked = {
        (number, match[1])
        for number, line in enumerate(WRONG.read_text().splitlines(), start=1)
        if (match := re.search(r"# wrong: (\S+)$", line))
    }
    options = ["--strict", "--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path)]
    report, trouble, _ = api.run([*options, str(WRONG)])
    found = {
        (int(match[1]), match[2])
        for match in re.finditer(r"wrong\.py:(\d+): error: .*\[(\S+)\]$", report, re.MULTILINE)
    }
    assert trouble == ""
    assert len(marked) == 10
    assert found == marked, report
