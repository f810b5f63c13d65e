"""The command line: output and exit codes."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import httpx
import pytest
from processes import served

from falcontract import cli, runs, suite
from falcontract.live.execution import Live
from falcontract.targets.base import KEY_A
from falmock.protocol.errors import MethodNotAllowed, RequestNotFound, StillInProgress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from falcontract.steps import Program
    from falcontract.targets.base import Session
    from falcontract.targets.emulated import Emulated

FAST = ("run", "--property", "P26", "--property", "P20")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["falcontract", *arguments])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_run_exits_with_0_when_all_properties_hold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *FAST) == 0
    out = capsys.readouterr().out
    assert "P26  MATCH" in out
    assert "$0.00 spent" in out


def test_run_shows_the_slowest_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, *FAST, "--durations", "2")

    slowest = re.findall(r"^ +(\d+\.\d\d) s  ([\w-]+)$", capsys.readouterr().out, re.MULTILINE)
    assert len(slowest) == 2
    assert slowest == sorted(slowest, key=lambda pair: -float(pair[0]))


def test_run_exits_with_1_and_writes_reports_when_a_property_is_violated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(MethodNotAllowed, "status", 404)
    junit, summary = tmp_path / "junit.xml", tmp_path / "summary.md"
    assert run(monkeypatch, *FAST, "--junit", str(junit), "--summary", str(summary)) == 1
    assert "MOCK_BUG: P26" in capsys.readouterr().out
    assert ET.parse(junit).getroot().get("failures") == "1"  # noqa: S314 - made by us
    assert "| P26 | MOCK_BUG |" in summary.read_text()


def test_run_exits_with_1_when_a_finding_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only the first wrong method is a 404."""
    codes = iter([404])
    monkeypatch.setattr(MethodNotAllowed, "status", property(lambda _: next(codes, 405)))
    assert run(monkeypatch, "run", "--property", "P26") == 1
    assert "FLAKE: P26" in capsys.readouterr().out


@pytest.mark.parametrize(("reference_is_wrong", "verdict"), [(True, "DOC_DRIFT"), (False, "MOCK_BUG")])
def test_the_emulator_is_the_reference_for_another_emulator(
    *,
    reference_is_wrong: bool,
    verdict: str,
    mock: Emulated,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Another emulator answers an early result with 409, and falmock does so too or not."""
    monkeypatch.setattr(StillInProgress, "status", 409)

    class Other:
        name, abilities = "another", mock.abilities

        @asynccontextmanager
        async def open(self, program: Program) -> AsyncIterator[Session]:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(StillInProgress, "status", 409)
                async with mock.open(program) as session:
                    yield session

    if not reference_is_wrong:
        monkeypatch.setattr(StillInProgress, "status", 400)
    monkeypatch.setattr(runs, "Address", lambda _: Other())
    assert run(monkeypatch, "run", "--property", "P10", "--target", "http://127.0.0.1:1") == 1
    assert f"{verdict}: P10" in capsys.readouterr().out


class Fal:
    """Answers for fal: the n-th cancel of an unknown id gets the n-th word."""

    def __init__(self, *words: str) -> None:
        self.words = iter(words)
        self.calls: list[str] = []

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(f"{request.method} {request.url.path}")
        body = json.dumps({"status": next(self.words)}).encode()
        return httpx.Response(404, stream=httpx.ByteStream(body))

    def live(self) -> Live:
        gates = {"FAL_KEY": "a:b", "FAL_LIVE": "1", "FAL_LIVE_BUDGET_USD": "0"}
        return Live(gates, today="2026-11-22", transport=httpx.MockTransport(self.answer), sleep=no_time)


async def no_time(seconds: float) -> None:
    del seconds


@pytest.mark.parametrize(
    ("words", "reference_word", "verdict"),
    [
        (("NOT_FOUND",), "NOT_FOUND", "MATCH"),
        (("GONE", "GONE"), "NOT_FOUND", "LIVE_DRIFT"),
        (("GONE", "GONE"), "GONE", "DOC_DRIFT"),
        (("GONE", "NOT_FOUND"), "NOT_FOUND", "FLAKE"),
    ],
)
def test_a_program_with_a_finding_is_sent_to_fal_a_second_time(
    words: tuple[str, ...],
    reference_word: str,
    verdict: str,
    mock: Emulated,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(RequestNotFound, "content", lambda _: json.dumps({"status": reference_word}).encode())
    fal = Fal(*words)
    wanted, live = suite.select_properties(["P59"]), fal.live()
    entries = runs.planned(live, wanted, 1, only=True)
    report, outcome = runs.on_fal(live, entries, wanted, mock, ())
    assert [row.verdict for row in report.rows] == [verdict]
    assert len(fal.calls) == outcome.sent == len(words)


def test_only_programs_of_the_selected_properties_are_sent_to_fal() -> None:
    live = Fal().live()
    assert [e.program.name for e in runs.planned(live, suite.select_properties(["P59"]), 1, only=True)] == [
        "cancel-unknown"
    ]
    assert runs.planned(live, suite.select_properties(["P59"]), 1, only=False) == live.planned(1)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("run", "--property", "P999"), "no property P999"),
        (("run", "--target", "https://queue.fal.run"), "belongs to fal"),
        (("run", "--target", "nowhere"), "is not an http(s) URL"),
        (("run", "--target", "live"), "FAL_LIVE"),
        (("run", "--tier", "9"), "9"),
        (("mutants", "--mutant", "no-such"), "no mutant no-such"),
        (("nonsense",), "nonsense"),
    ],
)
def test_a_usage_error_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("FAL_KEY", "FAL_LIVE", "FAL_LIVE_BUDGET_USD"):
        monkeypatch.delenv(name, raising=False)
    assert run(monkeypatch, *arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert text in lines[0]


def test_run_exits_with_2_when_no_property_can_be_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "run", "--property", "P46", "--target", "http://127.0.0.1:1") == 2
    assert "P46  COULD_NOT_LOOK  needs fault rules" in capsys.readouterr().out


def test_run_exits_with_2_when_most_properties_cannot_be_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with served("--ephemeral", "--keys", KEY_A) as server:
        monkeypatch.setenv("FAL_KEY", KEY_A)
        wanted = ("--property", "P26", "--property", "P46", "--property", "P95")
        code = run(monkeypatch, "run", *wanted, "--target", server.address)

    assert code == 2
    assert (
        "Most properties were not checked: 2 of 3. The target lacks fault rules (1), "
        "a restart that keeps the state (1).\n"
    ) in capsys.readouterr().out


def errors_of(command: Sequence[str], *, terminal: bool, environment: dict[str, str]) -> str:
    """Run a command with standard error at a terminal or a pipe; return that output."""
    if not terminal:
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as shown:  # noqa: PTH123 - a descriptor
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=theirs)
        os.close(theirs)
        text = b""
        with suppress(OSError):  # Linux says so at the end of a terminal
            while more := shown.read(4096):
                text += more
        assert process.wait() == 0
    return text.decode()


@pytest.mark.parametrize(
    ("terminal", "ci", "shows"),
    [(True, "", True), (True, "true", False), (False, "", False)],
    ids=["in a terminal", "in CI", "in a pipe"],
)
def test_run_shows_its_progress_in_a_terminal_only(*, terminal: bool, ci: str, shows: bool) -> None:
    command = (sys.executable, "-m", "falcontract", *FAST)
    written = errors_of(command, terminal=terminal, environment=os.environ | {"CI": ci, "TERM": "xterm"})

    lines = written.split("\r\x1b[K")
    assert any(re.fullmatch(r"program 1 of \d+: [\w-]+", line) for line in lines) is shows
    assert lines[-1] == ""  # the last one is cleared


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("properties",), "P55"),
        (("plan",), "at worst"),
        (("plan", "--propose"), '"requests"'),
        (("fidelity",), "UNVERIFIED"),
    ],
)
def test_a_listing_command_prints_its_list(
    arguments: tuple[str, ...], text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *arguments) == 0
    assert text in capsys.readouterr().out


def test_judge_checks_recorded_transcripts(
    fixtures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "judge", str(fixtures / "transcripts" / "published")) == 0
    assert run(monkeypatch, "judge", str(fixtures / "bad")) == 1
    assert "LIVE" not in capsys.readouterr().err


def test_help_imports_neither_the_emulator_nor_the_suite() -> None:
    code = (
        "import sys; from falcontract.cli import falcontract; "
        "falcontract(['--help'], standalone_mode=False); "
        "print(sorted({'falmock', 'httpx', 'hypothesis', 'falcontract.suite'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage:" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
