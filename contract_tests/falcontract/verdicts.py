"""Verdicts over properties, and waivers."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from falcontract.properties.claims import Claim, Property
    from falcontract.suite import PropertyResult

WARN_DAYS: Final = 30
EXPIRE_DAYS: Final = 90


class Verdict(StrEnum):
    """The outcome for a property; docs/contract.md describes each."""

    MATCH = "MATCH"
    MOCK_BUG = "MOCK_BUG"  # the emulator contradicts the documentation
    DOC_DRIFT = "DOC_DRIFT"  # fal and the emulator both contradict the documentation
    LIVE_DRIFT = "LIVE_DRIFT"  # only fal contradicts it, or an earlier recording of itself
    FLAKE = "FLAKE"  # a second run did not repeat the finding
    COULD_NOT_LOOK = "COULD_NOT_LOOK"  # no claim was checked
    UNVERIFIED = "UNVERIFIED"  # never checked on fal
    WAIVED = "WAIVED"  # a known finding with a reason and an end

    @property
    def diverged(self) -> bool:
        return self in {Verdict.MOCK_BUG, Verdict.DOC_DRIFT, Verdict.LIVE_DRIFT, Verdict.FLAKE}


@dataclass(frozen=True)
class Waiver:
    """A known finding."""

    property: str  # id
    claim: str  # key of the claim that does not hold
    until: dt.date  # last day
    reason: str  # shown in reports

    def covers(self, p: Property, claim: Claim, today: dt.date) -> bool:
        return self.property == p.id and self.claim == claim.key and today <= self.until


def waivers() -> list[Waiver]:
    data = json.loads((files("falcontract") / "waivers.json").read_text())
    return [Waiver(**(w | {"until": dt.date.fromisoformat(w["until"])})) for w in data]


def waive(results: Sequence[PropertyResult], today: dt.date) -> list[tuple[PropertyResult, Waiver]]:
    """Remove waived findings from results; return the results and waivers concerned."""
    found = []
    for result in results:
        for waiver in waivers():
            waived = [f for f in result.findings if waiver.covers(result.property, f.claim, today)]
            if waived:
                result.findings = [f for f in result.findings if f not in waived]
                found.append((result, waiver))
    return found


def of_emulator(
    result: PropertyResult,
    *,
    waived: bool,
    again: PropertyResult | None = None,
    reference: PropertyResult | None = None,
) -> Verdict:
    """Return the verdict for an emulator.

    `again` is the result of a second run of the programs with findings; `reference` is that of falmock, if
    the target is another emulator.
    """
    if result.findings:
        if _is_flake(again):
            return Verdict.FLAKE
        return Verdict.DOC_DRIFT if reference is not None and reference.findings else Verdict.MOCK_BUG
    if waived:
        return Verdict.WAIVED
    return Verdict.MATCH if result.claims else Verdict.COULD_NOT_LOOK


def of_live(
    live: PropertyResult, mock: PropertyResult | None, again: PropertyResult | None, *, recorded: bool
) -> Verdict:
    """Return the verdict for fal.

    If fal and the emulator both contradict the documentation, it is DOC_DRIFT; if only fal does, LIVE_DRIFT.
    `again` is the result of a second run on fal; `recorded`: an earlier live transcript agrees.
    """
    if not live.claims:
        return Verdict.COULD_NOT_LOOK
    if not live.findings:
        return Verdict.MOCK_BUG if mock is not None and mock.findings else Verdict.MATCH
    if _is_flake(again):
        return Verdict.FLAKE
    if recorded or (mock is not None and mock.claims and not mock.findings):
        return Verdict.LIVE_DRIFT
    return Verdict.DOC_DRIFT


def _is_flake(again: PropertyResult | None) -> bool:
    return again is not None and bool(again.claims) and not again.findings


def staleness(date: str | None, today: dt.date) -> str:
    """Return a remark on the age of a validation: "" while it is recent."""
    if date is None:
        return "never"
    age = (today - dt.date.fromisoformat(date)).days
    if age > EXPIRE_DAYS:
        return f"expired: {age} days old"
    return f"old: {age} days" if age > WARN_DAYS else ""
