"""The plugin as a project of somebody's has it: tests/programs/project.py, run twice."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from programs import PROGRAMS, run

if TYPE_CHECKING:
    from pathlib import Path

LEFT = "FalmockLeftover: test_what_is_left_over_is_told: the fault 'locked' never took effect"


@dataclass(frozen=True)
class Session:
    """A run of pytest that is over: how each test ended, and with what text; and all that was printed."""

    ends: dict[str, tuple[str, str]]
    out: str

    def ended(self, how: str) -> set[str]:
        return {name for name, end in self.ends.items() if end[0] == how}


def session(folder: Path, *arguments: str, ini: str = "") -> Session:
    report, configuration = folder / "report.xml", folder / "pytest.ini"
    configuration.write_text(f"[pytest]\n{ini}")
    files = (f"--junitxml={report}", f"--basetemp={folder / 'tmp'}", "-c", str(configuration))
    tool = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *files)
    ran = run(*tool, *arguments, str(PROGRAMS / "project.py"), cwd=folder)
    assert ran.code in {0, 1}, ran.out + ran.err
    ends: dict[str, tuple[str, str]] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest wrote it
        bad = next((child for child in case if child.tag in {"failure", "error"}), None)
        ends[case.attrib["name"]] = ("passed", "") if bad is None else (bad.tag, bad.text or "")
    return Session(ends, ran.out)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return session(tmp_path_factory.mktemp("plain"), "--strict-markers", "-W", "error")


@pytest.fixture(scope="module")
def parallel(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """With two workers, warnings that are only told, and a configuration of the project's own."""
    folder = tmp_path_factory.mktemp("parallel")
    return session(
        folder, "-n", "2", "-k", "left or begins or polls or mistake", ini="falmock_polls_pass_time = false"
    )


FAILING = "test_that_fails"
SWALLOWED = {
    f"test_that_swallows_a_leak_fails[{library}]" for library in ("httpx", "urllib", "requests", "socket")
}
UNCLEAN = {"test_a_leak_in_the_clean_up_is_an_error", "test_what_is_left_over_is_told"}


def test_what_should_pass_passes(plain: Session) -> None:
    assert len(plain.ended("passed")) == len(plain.ends) - len(SWALLOWED | UNCLEAN | {FAILING})


def test_a_leak_fails_the_test_that_swallows_it_whatever_the_library(plain: Session) -> None:
    assert plain.ended("failure") == SWALLOWED | {FAILING}
    assert all("would have left this machine" in plain.ends[name][1] for name in SWALLOWED)


def test_a_failure_tells_what_fal_saw(plain: Session) -> None:
    told = plain.out.partition("what fal saw")[2]
    assert "POST queue.fal.run/fal-ai/veo2/image-to-video: 200" in told
    assert "secret" not in told


def test_mistakes_with_fal_are_told_in_the_end(plain: Session, parallel: Session) -> None:
    for session in (plain, parallel):
        summary = session.out.partition("mistakes with fal (falmock lint)")[2]
        assert "test_that_makes_a_mistake: bearer-key: " in summary


def test_what_is_left_over_and_what_leaks_in_the_end_are_errors_where_warnings_are(plain: Session) -> None:
    assert plain.ended("error") == UNCLEAN
    assert LEFT in plain.ends["test_what_is_left_over_is_told"][1]


def test_where_warnings_are_told_the_rest_is_told(parallel: Session) -> None:
    assert LEFT in parallel.out
    assert "project.py:" in parallel.out


def test_workers_do_not_meet_and_heed_the_configuration(parallel: Session) -> None:
    assert len(parallel.ended("passed")) == len(parallel.ends) == 5


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    heavy = "{'httpx', 'pydantic', 'starlette', 'uvicorn'}"
    program = f"import sys, falmock.testing.plugin; print({{*sys.modules}} & {heavy})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"
