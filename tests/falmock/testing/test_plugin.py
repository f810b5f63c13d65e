"""The plugin in another project, tests/programs/project.py, which is run twice."""

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

LEFTOVER = "FalmockLeftover: test_that_leaves_a_fault_open: the fault 'locked' never took effect"


@dataclass(frozen=True)
class Session:
    """A finished run of pytest: outcome and text of each test, and the printed output."""

    ends: dict[str, tuple[str, str]]
    out: str

    def ended(self, how: str) -> set[str]:
        return {name for name, end in self.ends.items() if end[0] == how}


def session(folder: Path, *arguments: str, ini: str = "", project: Path = PROGRAMS / "project.py") -> Session:
    report, configuration = folder / "report.xml", folder / "pytest.ini"
    configuration.write_text(f"[pytest]\n{ini}")
    files = (f"--junitxml={report}", f"--basetemp={folder / 'tmp'}", "-c", str(configuration))
    tool = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *files)
    ran = run(*tool, *arguments, str(project), cwd=folder)
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
    """With two workers, warnings that are not errors, and a configuration file."""
    folder = tmp_path_factory.mktemp("parallel")
    return session(
        folder, "-n", "2", "-k", "leaves or fresh or polls or mistake", ini="falmock_polls_pass_time = false"
    )


FAILING = "test_that_fails"
SWALLOWED = {
    f"test_that_swallows_a_leak_fails[{library}]" for library in ("httpx", "urllib", "requests", "socket")
}
UNCLEAN = {"test_a_leak_in_the_teardown_is_an_error", "test_that_leaves_a_fault_open"}


def test_all_other_tests_of_the_sample_project_pass(plain: Session) -> None:
    assert len(plain.ended("passed")) == len(plain.ends) - len(SWALLOWED | UNCLEAN | {FAILING})


def test_a_test_fails_when_it_swallows_a_leak_of_any_library(plain: Session) -> None:
    assert plain.ended("failure") == SWALLOWED | {FAILING}
    assert all("would have left this machine" in plain.ends[name][1] for name in SWALLOWED)


def test_the_report_of_a_failure_has_the_journal_without_secrets(plain: Session) -> None:
    report = plain.out.partition("what fal saw")[2]
    assert "POST queue.fal.run/fal-ai/veo2/image-to-video: 200" in report
    assert "secret" not in report


def test_mistakes_in_calls_to_fal_are_in_the_summary(plain: Session, parallel: Session) -> None:
    for session in (plain, parallel):
        summary = session.out.partition("mistakes with fal (falmock lint)")[2]
        assert "test_that_makes_a_mistake: bearer-key: " in summary


def test_leftovers_and_leaks_in_the_teardown_are_errors_when_warnings_are_errors(plain: Session) -> None:
    assert plain.ended("error") == UNCLEAN
    assert LEFTOVER in plain.ends["test_that_leaves_a_fault_open"][1]


def test_leftovers_are_shown_as_warnings(parallel: Session) -> None:
    assert LEFTOVER in parallel.out
    assert "project.py:" in parallel.out


def test_xdist_workers_are_independent_and_follow_the_configuration(parallel: Session) -> None:
    assert len(parallel.ended("passed")) == len(parallel.ends) == 5


PRESETS = "flaky-network, locked, outage, rush-hour, strict-review, unreliable-webhooks"
WRONG_MARKS = {
    "run_second=60": "there is no setting run_second, did you mean run_seconds?",
    "polls_pass_tim=True": "there is no setting polls_pass_tim, did you mean polls_pass_time?",
    "nonsense=1": "there is no setting nonsense",
    "'animate'": "its arguments have names, as in falmock(media='animate')",
    "run_seconds=60": "run_seconds: should be an instance of Span, not int",
    "time_scale='fast'": "time_scale: should be a valid number, not str",
    "runners=True": "runners: should be a valid integer, not bool",
    "polls_pass_time='no'": "polls_pass_time: should be a valid boolean, not str",
    "media='movie'": "media: should be 'animate' or 'plain', not 'movie'",
    "keys='me:private'": "keys: should be a valid tuple, not str",
    "limits=3": "limits: should be an instance of Limits, not int",
    "runners=0": "--runners is a number from 1 to 9007199254740992, not 0",
    "public_url='x'": "--public-url 'x' is not a scheme, a host and a port, as http://falmock:8787",
    "scenarios=('lockd',)": (
        f"there is no scenario 'lockd' (did you mean 'locked'?): name a TOML file or one of {PRESETS}"
    ),
    "scenarios=['night.toml']": "night.toml: rules.0: there is no fault 'sloow', did you mean 'slow'?",
}
UNUSABLE_MARKS = {
    "models=('gone.json',)": "gone.json: cannot read it (No such file or directory)",
    "ffmpeg='gone'": "ffmpeg cannot be run: 'gone' is not an executable program.",
}
GOOD_MARKS = (
    "**{each.name: each.default for each in fields(Settings)}",
    "run_seconds=Span(1, 2), time_scale=0, run_timeout=5, locked=['me'], seed=None",
)


def test_wrong_arguments_of_a_mark_are_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "night.toml").write_text('[[rules]]\nfault = "sloow"\n')
    project = tmp_path / "test_marks.py"
    project.write_text(
        "from dataclasses import fields\nimport pytest\nfrom falmock import Settings, Span\n"
        + "".join(
            f"@pytest.mark.falmock({arguments})\ndef test_{number}(falmock):\n    pass\n"
            for number, arguments in enumerate([*WRONG_MARKS, *UNUSABLE_MARKS, *GOOD_MARKS])
        )
    )

    ran = session(tmp_path, project=project)

    assert [ran.ends[f"test_{number}"] for number in range(len(ran.ends))] == [
        *(("error", f"@pytest.mark.falmock: {line}") for line in WRONG_MARKS.values()),
        *(("error", f"falmock: {line}") for line in UNUSABLE_MARKS.values()),
        *(("passed", "") for _ in GOOD_MARKS),
    ]
    assert "me:private" not in ran.out


def test_the_plugin_imports_no_heavy_packages() -> None:
    heavy = "{'httpx', 'pydantic', 'starlette', 'uvicorn'}"
    program = f"import sys, falmock.testing.plugin; print({{*sys.modules}} & {heavy})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"
