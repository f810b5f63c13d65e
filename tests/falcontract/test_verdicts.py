"""Verdicts follow from the results on fal, on the emulator, and of a second run."""

from __future__ import annotations

import datetime as dt

import pytest

from falcontract import verdicts
from falcontract.properties.catalogue import PROPERTIES
from falcontract.properties.claims import Claim
from falcontract.steps import Program
from falcontract.suite import Finding, PropertyResult
from falcontract.traces import Trace
from falcontract.verdicts import Verdict, Waiver

P1 = PROPERTIES["P1"]
TODAY = dt.date(2026, 11, 22)


def result(*, wrong: bool = False, claims: int = 3) -> PropertyResult:
    found = PropertyResult(P1, claims)
    if wrong:
        found.findings.append(
            Finding(P1, Claim("key", holds=False, text="a rule"), Trace(Program(name="x", steps=())))
        )
    return found


@pytest.mark.parametrize(
    ("found", "waived", "verdict"),
    [
        (result(), False, Verdict.MATCH),
        (result(wrong=True), False, Verdict.MOCK_BUG),
        (result(wrong=True), True, Verdict.MOCK_BUG),
        (result(), True, Verdict.WAIVED),
        (result(claims=0), False, Verdict.COULD_NOT_LOOK),
    ],
)
def test_the_verdict_on_an_emulator_follows_from_its_result(
    found: PropertyResult, waived: bool, verdict: Verdict
) -> None:
    assert verdicts.of_emulator(found, waived=waived) is verdict


@pytest.mark.parametrize(
    ("live", "mock", "again", "recorded", "verdict"),
    [
        (result(), result(), None, True, Verdict.MATCH),
        (result(), result(wrong=True), None, True, Verdict.MOCK_BUG),
        (result(wrong=True), result(), None, True, Verdict.LIVE_DRIFT),
        (result(wrong=True), result(), None, False, Verdict.LIVE_DRIFT),
        (result(wrong=True), result(wrong=True), None, False, Verdict.DOC_DRIFT),
        (result(wrong=True), result(wrong=True), None, True, Verdict.LIVE_DRIFT),
        (result(wrong=True), result(claims=0), None, False, Verdict.DOC_DRIFT),
        (result(wrong=True), None, None, False, Verdict.DOC_DRIFT),
        (result(wrong=True), result(), result(), True, Verdict.FLAKE),
        (result(claims=0), result(), None, True, Verdict.COULD_NOT_LOOK),
    ],
)
def test_the_verdict_on_fal_compares_it_to_the_emulator_and_to_recordings(
    live: PropertyResult,
    mock: PropertyResult | None,
    again: PropertyResult | None,
    recorded: bool,
    verdict: Verdict,
) -> None:
    assert verdicts.of_live(live, mock, again, recorded=recorded) is verdict


@pytest.mark.parametrize(
    ("date", "remark"),
    [(None, "never"), ("2026-11-01", ""), ("2026-10-01", "old"), ("2026-01-01", "expired")],
)
def test_an_old_validation_has_a_remark(date: str | None, remark: str) -> None:
    found = verdicts.staleness(date, TODAY)
    assert found.startswith(remark)
    assert bool(found) is bool(remark)


def test_a_waiver_applies_until_its_last_day(monkeypatch: pytest.MonkeyPatch) -> None:
    waiver = Waiver("P1", "key", TODAY, "known")
    monkeypatch.setattr(verdicts, "waivers", lambda: [waiver])
    on_its_last_day, after = result(wrong=True), result(wrong=True)
    assert verdicts.waive([on_its_last_day], TODAY) == [(on_its_last_day, waiver)]
    assert on_its_last_day.findings == []
    assert verdicts.waive([after], TODAY + dt.timedelta(days=1)) == []
    assert len(after.findings) == 1


def test_every_waiver_names_a_property_and_a_reason() -> None:
    assert all(waiver.reason and waiver.property in PROPERTIES for waiver in verdicts.waivers())


@pytest.mark.parametrize(
    ("again", "reference", "verdict"),
    [
        (None, None, Verdict.MOCK_BUG),
        (result(wrong=True), None, Verdict.MOCK_BUG),
        (result(), None, Verdict.FLAKE),
        (result(claims=0), None, Verdict.MOCK_BUG),
        (result(wrong=True), result(), Verdict.MOCK_BUG),
        (result(wrong=True), result(wrong=True), Verdict.DOC_DRIFT),
        (result(), result(wrong=True), Verdict.FLAKE),
    ],
)
def test_a_second_run_and_the_reference_decide_the_verdict_on_an_emulator(
    again: PropertyResult | None, reference: PropertyResult | None, verdict: Verdict
) -> None:
    assert verdicts.of_emulator(result(wrong=True), waived=False, again=again, reference=reference) is verdict
