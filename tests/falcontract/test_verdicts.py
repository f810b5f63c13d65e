"""No verdict is better than its evidence."""

from __future__ import annotations

import datetime as dt

import pytest

from falcontract import properties, verdicts
from falcontract.claims import Claim
from falcontract.steps import Program
from falcontract.suite import Finding, PropertyResult
from falcontract.traces import Trace
from falcontract.verdicts import Verdict, Waiver

P1 = properties.PROPERTIES["P1"]
TODAY = dt.date(2026, 11, 22)


def looked(*, wrong: bool = False, claims: int = 3) -> PropertyResult:
    shown = PropertyResult(P1, claims)
    if wrong:
        shown.findings.append(
            Finding(P1, Claim(holds=False, text="it is so"), Trace(Program(name="x", steps=())))
        )
    return shown


@pytest.mark.parametrize(
    ("shown", "waived", "verdict"),
    [
        (looked(), False, Verdict.MATCH),
        (looked(wrong=True), False, Verdict.MOCK_BUG),
        (looked(wrong=True), True, Verdict.MOCK_BUG),
        (looked(), True, Verdict.WAIVED),
        (looked(claims=0), False, Verdict.COULD_NOT_LOOK),
    ],
)
def test_of_an_emulator(shown: PropertyResult, waived: bool, verdict: Verdict) -> None:
    assert verdicts.of_emulator(shown, waived=waived) is verdict


@pytest.mark.parametrize(
    ("live", "mock", "again", "recorded", "verdict"),
    [
        (looked(), looked(), None, True, Verdict.MATCH),
        (looked(), looked(wrong=True), None, True, Verdict.MOCK_BUG),
        (looked(wrong=True), looked(), None, True, Verdict.LIVE_DRIFT),
        (looked(wrong=True), looked(), None, False, Verdict.LIVE_DRIFT),
        (looked(wrong=True), looked(wrong=True), None, False, Verdict.DOC_DRIFT),
        (looked(wrong=True), looked(wrong=True), None, True, Verdict.LIVE_DRIFT),
        (looked(wrong=True), looked(claims=0), None, False, Verdict.DOC_DRIFT),
        (looked(wrong=True), None, None, False, Verdict.DOC_DRIFT),
        (looked(wrong=True), looked(), looked(), True, Verdict.FLAKE),
        (looked(claims=0), looked(), None, True, Verdict.COULD_NOT_LOOK),
    ],
)
def test_of_fal(
    live: PropertyResult,
    mock: PropertyResult | None,
    again: PropertyResult | None,
    recorded: bool,
    verdict: Verdict,
) -> None:
    assert verdicts.of_live(live, mock, again, recorded=recorded) is verdict


@pytest.mark.parametrize(
    ("date", "said"),
    [(None, "never"), ("2026-11-01", ""), ("2026-10-01", "getting old"), ("2026-01-01", "lapsed")],
)
def test_what_was_seen_grows_old(date: str | None, said: str) -> None:
    found = verdicts.staleness(date, TODAY)
    assert found.startswith(said)
    assert bool(found) is bool(said)


def test_a_waiver_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    waiver = Waiver("P1", "it is so", TODAY, "known")
    monkeypatch.setattr(verdicts, "waivers", lambda: [waiver])
    on_its_last_day, after = looked(wrong=True), looked(wrong=True)
    assert verdicts.waive([on_its_last_day], TODAY) == [(on_its_last_day, waiver)]
    assert on_its_last_day.findings == []
    assert verdicts.waive([after], TODAY + dt.timedelta(days=1)) == []
    assert len(after.findings) == 1


def test_no_waiver_that_comes_with_the_suite_is_without_a_reason() -> None:
    assert all(waiver.reason and waiver.property in properties.PROPERTIES for waiver in verdicts.waivers())


@pytest.mark.parametrize(
    ("again", "twin", "verdict"),
    [
        (None, None, Verdict.MOCK_BUG),
        (looked(wrong=True), None, Verdict.MOCK_BUG),
        (looked(), None, Verdict.FLAKE),
        (looked(claims=0), None, Verdict.MOCK_BUG),
        (looked(wrong=True), looked(), Verdict.MOCK_BUG),
        (looked(wrong=True), looked(wrong=True), Verdict.DOC_DRIFT),
        (looked(), looked(wrong=True), Verdict.FLAKE),
    ],
)
def test_of_an_emulator_that_is_looked_at_twice(
    again: PropertyResult | None, twin: PropertyResult | None, verdict: Verdict
) -> None:
    assert verdicts.of_emulator(looked(wrong=True), waived=False, again=again, twin=twin) is verdict
