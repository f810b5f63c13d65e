"""Reports name each finding and how to reproduce it."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from xml.etree import ElementTree as ET

import pytest

from falcontract import report, suite
from falcontract.explore import shrinking
from falcontract.programs.catalogue import catalogue
from falcontract.properties.catalogue import PROPERTIES
from falcontract.report import Report, Row
from falcontract.suite import Finding
from falcontract.targets import wire
from falcontract.targets.base import KEY_A
from falcontract.targets.emulated import Emulated
from falcontract.verdicts import Verdict
from falmock.protocol.errors import StillInProgress


@pytest.fixture
def diverging(mock: Emulated, monkeypatch: pytest.MonkeyPatch) -> Report:
    """A report on an emulator that answers an early result with 409, with a shortened program."""
    monkeypatch.setattr(StillInProgress, "status", 409)
    wanted = suite.select_properties(["P10", "P1"])
    results = suite.run(wanted, mock)
    rows = []
    for one in results:
        finding = shrinking.shrink(one.findings[0], mock) if one.findings else None
        verdict = Verdict.MOCK_BUG if finding else Verdict.MATCH
        rows.append(Row(one.property, verdict, one.claims, finding=finding))
    return Report("mock", rows, seconds=1.0)


def test_a_finding_names_its_property_program_and_difference(diverging: Report) -> None:
    text = report.table(diverging)
    assert "MOCK_BUG: P10" in text
    assert "1. submit A" in text
    assert "expected 400, found 409" in text
    assert "PROTOCOL 4.6" in text
    assert "Spent: $0.00" in text


def test_the_program_of_a_finding_is_shortened(diverging: Report) -> None:
    finding = diverging.rows[0].finding
    assert finding is not None
    assert [step.do for step in finding.trace.program.steps] == ["submit", "result", "status"]


def test_a_finding_has_curl_commands_that_repeat_the_program(diverging: Report) -> None:
    finding = diverging.rows[0].finding
    assert finding is not None
    first, post, *rest = report.curls(finding)
    assert first.startswith("BASE=http://127.0.0.1")
    assert post.startswith("curl -i -X POST")
    assert "Authorization: Key $FAL_KEY" in post
    assert any("$BASE/fal-ai/veo2/requests/$ID_A" in line for line in rest)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_commands_work_in_a_shell(mock: Emulated) -> None:
    """Run each command against an emulator on a socket, with the id from the first answer."""
    target = Emulated(over_socket=True, renders=mock._renders)

    async def run_commands() -> list[str]:
        program = catalogue()["early-result"]
        trace = await wire.run(program, mock)
        finding = Finding(
            PROPERTIES["P10"],
            next(iter(PROPERTIES["P10"].check(trace))),
            trace,
        )
        answers: list[str] = []
        async with target.open(program) as session:
            shell = f"FAL_KEY={KEY_A}\n"
            for line in report.curls(finding)[:5]:
                if line.startswith("BASE="):
                    shell += f"BASE={session.hosts['queue']}\n"
                elif line.startswith("ID_A"):
                    made = answers[-1].partition('"request_id":"')[2].partition('"')[0]
                    shell += f"ID_A={made}\n"
                else:
                    done = await asyncio.to_thread(
                        subprocess.run, ["sh", "-c", shell + line], capture_output=True, text=True, check=True
                    )
                    answers.append(done.stdout)
        return answers

    post, early, status = asyncio.run(run_commands())
    assert "200 OK" in post
    assert "400 Bad Request" in early
    assert "202 Accepted" in status


def test_junit_has_one_test_case_per_property(diverging: Report) -> None:
    suite_element = ET.fromstring(report.junit(diverging))  # noqa: S314 - made by us
    assert [case.get("name", "").split()[0] for case in suite_element] == ["P10", "P1"]
    assert [len(case) for case in suite_element] == [1, 0]
    assert suite_element.get("failures") == "1"


def test_markdown_has_one_row_per_property(diverging: Report) -> None:
    text = report.markdown(diverging)
    assert "| P10 | MOCK_BUG |" in text
    assert "| P1 | MATCH |" in text
    assert "curl -i" in text


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([Verdict.MATCH, Verdict.COULD_NOT_LOOK], 0),
        ([Verdict.MATCH, Verdict.MOCK_BUG], 1),
        ([Verdict.MATCH, Verdict.LIVE_DRIFT], 1),
        ([Verdict.COULD_NOT_LOOK], 2),
        ([], 2),
    ],
)
def test_the_exit_code_follows_from_the_verdicts(verdicts: list[Verdict], code: int) -> None:
    p = PROPERTIES["P1"]
    assert Report("x", [Row(p, verdict) for verdict in verdicts]).exit_code == code


CHECKED = Row(PROPERTIES["P1"], Verdict.MATCH, 3)
NO_FAULTS = Row(PROPERTIES["P46"], Verdict.COULD_NOT_LOOK, missing=("faults",))
NO_CLOCK = Row(PROPERTIES["P81"], Verdict.COULD_NOT_LOOK, missing=("faults", "stand-still"))
NO_PROGRAM = Row(PROPERTIES["P10"], Verdict.COULD_NOT_LOOK)
WRONG = Row(PROPERTIES["P10"], Verdict.MOCK_BUG)


@pytest.mark.parametrize(
    ("rows", "words", "code"),
    [
        ([CHECKED, CHECKED], None, 0),
        ([CHECKED, NO_FAULTS], "1 of 2 properties were not checked. The target lacks fault rules (1).", 0),
        (
            [CHECKED, NO_FAULTS, NO_CLOCK],
            "Most properties were not checked: 2 of 3. "
            "The target lacks fault rules (2), a clock that stands still between steps (1).",
            2,
        ),
        ([CHECKED, NO_PROGRAM], "1 of 2 properties were not checked. Without a program that shows it: 1.", 0),
        ([NO_FAULTS], "No property was checked. The target lacks fault rules (1).", 2),
        (
            [CHECKED, WRONG, NO_FAULTS, NO_FAULTS, NO_FAULTS],
            "Most properties were not checked: 3 of 5. The target lacks fault rules (3).",
            1,
        ),
    ],
)
def test_a_report_says_in_words_how_much_of_a_target_was_not_checked(
    rows: list[Row], words: str | None, code: int
) -> None:
    whole = Report("x", rows, everything=True)

    assert whole.exit_code == code
    for text in (report.table(whole), report.markdown(whole)):
        assert [line for line in text.splitlines() if "not checked" in line or "No property" in line] == (
            [words] if words else []
        )


def test_a_recording_need_not_show_most_properties() -> None:
    recorded = Report("x", [CHECKED, NO_PROGRAM, NO_PROGRAM])

    assert recorded.exit_code == 0
    assert "not checked" not in report.table(recorded)
