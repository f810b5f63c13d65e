"""`falcontract` says what it found by its exit code too."""

from __future__ import annotations

import json
import re
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import httpx
import pytest

from falcontract import cli, suite
from falcontract.live import Live
from falmock.errors import MethodNotAllowed, RequestNotFound, StillInProgress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from falcontract.emulated import Emulated
    from falcontract.steps import Program
    from falcontract.targets import Session

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


def test_it_shows_what_took_longest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, *FAST, "--durations", "2")

    slowest = re.findall(r"^ +(\d+\.\d\d) s  ([\w-]+)$", capsys.readouterr().out, re.MULTILINE)
    assert len(slowest) == 2
    assert slowest == sorted(slowest, key=lambda pair: -float(pair[0]))


def test_1_when_something_diverges(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(MethodNotAllowed, "status", 404)
    junit, summary = tmp_path / "junit.xml", tmp_path / "summary.md"
    assert run(monkeypatch, *FAST, "--junit", str(junit), "--summary", str(summary)) == 1
    assert "MOCK_BUG: P26" in capsys.readouterr().out
    assert ET.parse(junit).getroot().get("failures") == "1"  # noqa: S314 - made by us
    assert "| P26 | MOCK_BUG |" in summary.read_text()


def test_1_when_something_diverges_once_and_then_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first wrong method is a 404; whoever looks again finds nothing wrong."""
    codes = iter([404])
    monkeypatch.setattr(MethodNotAllowed, "status", property(lambda _: next(codes, 405)))
    assert run(monkeypatch, "run", "--property", "P26") == 1
    assert "FLAKE: P26" in capsys.readouterr().out


@pytest.mark.parametrize(("twin_is_wrong", "verdict"), [(True, "DOC_DRIFT"), (False, "MOCK_BUG")])
def test_1_and_the_emulator_tells_who_is_wrong(
    *,
    twin_is_wrong: bool,
    verdict: str,
    mock: Emulated,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Another emulator answers an early result with 409, as this one does or not."""
    monkeypatch.setattr(StillInProgress, "status", 409)

    class Other:
        name, abilities = "another", mock.abilities

        @asynccontextmanager
        async def open(self, program: Program) -> AsyncIterator[Session]:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(StillInProgress, "status", 409)
                async with mock.open(program) as session:
                    yield session

    if not twin_is_wrong:
        monkeypatch.setattr(StillInProgress, "status", 400)
    monkeypatch.setattr(cli, "Address", lambda _: Other())
    assert run(monkeypatch, "run", "--property", "P10", "--target", "http://127.0.0.1:1") == 1
    assert f"{verdict}: P10" in capsys.readouterr().out


class Fal:
    """Stands in for fal: says the n-th word to the n-th cancel of an unknown id."""

    def __init__(self, *words: str) -> None:
        self.words = iter(words)
        self.asked: list[str] = []

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url.path}")
        body = json.dumps({"status": next(self.words)}).encode()
        return httpx.Response(404, stream=httpx.ByteStream(body))

    def live(self) -> Live:
        gates = {"FAL_KEY": "a:b", "FAL_LIVE": "1", "FAL_LIVE_BUDGET_USD": "0"}
        return Live(gates, today="2026-11-22", transport=httpx.MockTransport(self.answer), sleep=no_time)


async def no_time(seconds: float) -> None:
    del seconds


@pytest.mark.parametrize(
    ("words", "twin_says", "verdict"),
    [
        (("NOT_FOUND",), "NOT_FOUND", "MATCH"),
        (("GONE", "GONE"), "NOT_FOUND", "LIVE_DRIFT"),
        (("GONE", "GONE"), "GONE", "DOC_DRIFT"),
        (("GONE", "NOT_FOUND"), "NOT_FOUND", "FLAKE"),
    ],
)
def test_what_diverges_on_fal_is_sent_a_second_time(
    words: tuple[str, ...],
    twin_says: str,
    verdict: str,
    mock: Emulated,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(RequestNotFound, "content", lambda _: json.dumps({"status": twin_says}).encode())
    fal = Fal(*words)
    wanted, live = suite.select_properties(["P34"]), fal.live()
    entries = cli.planned(live, wanted, 1, only=True)
    report, outcome = cli.look_live(live, entries, wanted, mock, ())
    assert [row.verdict for row in report.rows] == [verdict]
    assert len(fal.asked) == outcome.sent == len(words)


def test_only_what_shows_the_wanted_property_is_sent_to_fal() -> None:
    live = Fal().live()
    assert [e.program.name for e in cli.planned(live, suite.select_properties(["P34"]), 1, only=True)] == [
        "cancel-unknown"
    ]
    assert cli.planned(live, suite.select_properties(["P34"]), 1, only=False) == live.planned(1)


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
