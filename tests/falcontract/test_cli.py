"""`falcontract` says what it found by its exit code too."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from falcontract import cli
from falmock.errors import MethodNotAllowed

if TYPE_CHECKING:
    from pathlib import Path

FAST = ("run", "--property", "P26", "--property", "P20")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["falcontract", *arguments])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_0_when_all_agree(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, *FAST) == 0
    out = capsys.readouterr().out
    assert "P26  MATCH" in out
    assert "$0.00 spent" in out


def test_1_when_something_diverges(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(MethodNotAllowed, "status", 404)
    junit, summary = tmp_path / "junit.xml", tmp_path / "summary.md"
    assert run(monkeypatch, *FAST, "--junit", str(junit), "--summary", str(summary)) == 1
    assert "MOCK_BUG: P26" in capsys.readouterr().out
    assert ET.parse(junit).getroot().get("failures") == "1"  # noqa: S314 - made by us
    assert "| P26 | MOCK_BUG |" in summary.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "--property", "P99"), "there is no property"),
        (("run", "--target", "https://queue.fal.run"), "is fal's own"),
        (("run", "--target", "nowhere"), "is no http(s) address"),
        (("run", "--target", "live"), "FAL_LIVE"),
        (("run", "--tier", "9"), "9"),
        (("mutants", "--mutant", "no-such"), "there is no mutant"),
        (("nonsense",), "nonsense"),
    ],
)
def test_2_when_it_could_not_look(
    arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("FAL_KEY", "FAL_LIVE", "FAL_LIVE_BUDGET_USD"):
        monkeypatch.delenv(name, raising=False)
    assert run(monkeypatch, *arguments) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert said in told[0]


def test_2_when_nothing_can_be_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "run", "--property", "P46", "--target", "http://127.0.0.1:1") == 2
    assert "P46  COULD_NOT_LOOK  needs faults" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("properties",), "P55"),
        (("plan",), "at worst"),
        (("plan", "--propose"), '"requests"'),
        (("fidelity",), "UNVERIFIED"),
    ],
)
def test_lists(
    arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *arguments) == 0
    assert said in capsys.readouterr().out


def test_transcripts_are_judged_without_sending(
    fixtures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "judge", str(fixtures / "transcripts" / "published")) == 0
    assert run(monkeypatch, "judge", str(fixtures / "bad")) == 1
    assert "LIVE" not in capsys.readouterr().err
