"""The tests in docs/pytest.md pass."""

from __future__ import annotations

import re
import sys
from dataclasses import fields
from pathlib import Path

from programs import run

from falmock.settings import LIMIT_OPTIONS, OPTIONS, Settings, flag_of
from falmock.testing.harness import Harness

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "pytest.md").read_text()
SETTINGS = (ROOT / "docs" / "settings.md").read_text()
MISTAKES = "mistakes with fal"  # the heading of the client check's findings
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)


def test_the_tests_on_the_pytest_page_pass(tmp_path: Path) -> None:
    (tmp_path / "test_page.py").write_text("\n\n".join(PYTHON.findall(PAGE)))
    (tmp_path / "pyproject.toml").write_text("".join(re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)))
    tool = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'tmp'}")
    ran = run(*tool, "-p", "no:randomly", cwd=tmp_path)

    summary = ran.out.splitlines()[-1]
    assert f" {len(re.findall('^def test_', PAGE, re.MULTILINE))} passed in " in summary, ran.out
    assert MISTAKES not in ran.out


def test_the_test_in_the_readme_passes(tmp_path: Path) -> None:
    (test,) = [block for block in PYTHON.findall((ROOT / "README.md").read_text()) if "fail_next" in block]
    (tmp_path / "clips.py").write_text(PYTHON.findall(PAGE)[0].partition("def test_")[0])
    (tmp_path / "test_readme.py").write_text(test)
    ran = run(
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        f"--basetemp={tmp_path / 'tmp'}",
        cwd=tmp_path,
    )

    assert " 1 passed in " in ran.out.splitlines()[-1], ran.out
    assert MISTAKES not in ran.out


def test_the_pytest_page_lists_all_public_members_of_the_harness() -> None:
    table = PAGE.partition("## Reference")[2].partition("## ")[0]
    named = {
        name
        for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)", row)
    }

    assert named == {name for name in vars(Harness) if not name.startswith("_")} | {"address", "emulator"}


def test_the_pytest_page_lists_every_argument_of_the_mark_that_is_not_named_as_its_flag() -> None:
    others = {name: flag_of(name) for name in OPTIONS if name not in LIMIT_OPTIONS}
    renamed = {name: flag for name, flag in others.items() if flag != f"--{name.replace('_', '-')}"}
    table = dict(
        re.findall(r"^\| `(\w+)(?:=.*)?` \| `(--[\w-]+)`", PAGE.partition("## Settings")[2], re.MULTILINE)
    )

    assert table == renamed | {"limits": flag_of("header_bytes")}
    assert {each.name for each in fields(Settings)} == {*others, "limits", "state"}
    assert all(f"\n| `{flag_of(name)}` |" in SETTINGS for name in OPTIONS)
