"""The examples work."""

from __future__ import annotations

import sys
from pathlib import Path

from programs import run

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
MISTAKES = "mistakes with fal"  # the heading of the client check's findings


def test_the_sample_application_passes_its_own_tests(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    files = ("-c", str(tmp_path / "pytest.ini"), f"--basetemp={tmp_path / 'tmp'}", "-p", "no:cacheprovider")
    tool = (sys.executable, "-m", "pytest", "-p", "falmock.testing.plugin", *files)
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # no other plugins
    ran = run(*tool, str(EXAMPLES / "sample_app"), cwd=tmp_path, **alone)

    assert " 6 passed in " in ran.out.splitlines()[-1], ran.out
    assert MISTAKES not in ran.out


def test_the_tests_of_the_sample_application_run_from_the_repository(tmp_path: Path) -> None:
    quiet = ("-p", "no:cacheprovider", f"--basetemp={tmp_path / 'tmp'}")
    ran = run(sys.executable, "-P", "-m", "pytest", *quiet, "examples/sample_app", cwd=ROOT)

    assert " 6 passed in " in ran.out.splitlines()[-1], ran.out
    assert MISTAKES not in ran.out
