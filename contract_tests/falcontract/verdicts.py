"""What is known of a property, and on whose word. No verdict is better than its evidence."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from falcontract.claims import Claim, Property
    from falcontract.suite import PropertyResult

WARN_DAYS: Final = 30
LAPSE_DAYS: Final = 90


class Verdict(StrEnum):
    """PROPERTIES.md section 5."""

    MATCH = "MATCH"
    MOCK_BUG = "MOCK_BUG"  # fal is as documented, the emulator is not
    DOC_DRIFT = "DOC_DRIFT"  # fal and the emulator agree, the documentation says otherwise
    LIVE_DRIFT = "LIVE_DRIFT"  # fal is not what was recorded of it, or what documents and emulator agree on
    FLAKE = "FLAKE"  # the second look saw something else
    COULD_NOT_LOOK = "COULD_NOT_LOOK"
    UNVERIFIED = "UNVERIFIED"  # never seen on fal
    WAIVED = "WAIVED"  # known, with a reason and an end

    @property
    def diverged(self) -> bool:
        """Whether it makes a run fail."""
        return self in {Verdict.MOCK_BUG, Verdict.DOC_DRIFT, Verdict.LIVE_DRIFT, Verdict.FLAKE}


@dataclass(frozen=True)
class Waiver:
    """A divergence that is known.

    Attributes:
        property: its id.
        text: of the claim that does not hold.
        until: the last day on which it is accepted.
        reason: why it is.
    """

    property: str
    text: str
    until: dt.date
    reason: str

    def covers(self, p: Property, one: Claim, today: dt.date) -> bool:
        """Tell whether it excuses a claim."""
        return self.property == p.id and self.text == one.text and today <= self.until


def waivers() -> list[Waiver]:
    """Return the waivers that come with the suite."""
    told = json.loads((files("falcontract") / "waivers.json").read_text())
    return [Waiver(**(w | {"until": dt.date.fromisoformat(w["until"])})) for w in told]


def waive(shown: Sequence[PropertyResult], today: dt.date) -> list[tuple[PropertyResult, Waiver]]:
    """Take findings that are waived out of what was shown; return them."""
    taken = []
    for one in shown:
        for waiver in waivers():
            excused = [f for f in one.findings if waiver.covers(one.property, f.claim, today)]
            if excused:
                one.findings = [f for f in one.findings if f not in excused]
                taken.append((one, waiver))
    return taken


def of_emulator(
    shown: PropertyResult,
    *,
    waived: bool,
    again: PropertyResult | None = None,
    twin: PropertyResult | None = None,
) -> Verdict:
    """Return the verdict over an offline target: it is held against what is documented.

    Args:
        shown: what the property saw there.
        waived: some of it is known and excused.
        again: what it saw when the diverging programs were run once more.
        twin: what it saw of this project's emulator with the same programs, where the target is another.
    """
    if shown.findings:
        if _gone(again):
            return Verdict.FLAKE
        return Verdict.DOC_DRIFT if twin is not None and twin.findings else Verdict.MOCK_BUG
    if waived:
        return Verdict.WAIVED
    return Verdict.MATCH if shown.claims else Verdict.COULD_NOT_LOOK


def of_live(
    live: PropertyResult, mock: PropertyResult | None, again: PropertyResult | None, *, recorded: bool
) -> Verdict:
    """Return the verdict over fal.

    Args:
        live: what the property saw there.
        mock: what it saw of the emulator with the same programs.
        again: what it saw when a diverging program was run once more, later.
        recorded: there is a golden transcript that the property agreed with.

    Where fal is not what is written, and the emulator is neither, the documents are wrong. Where the
    emulator is as they say, so was fal, as far as anybody knows.
    """
    if not live.claims:
        return Verdict.COULD_NOT_LOOK
    if not live.findings:
        return Verdict.MOCK_BUG if mock is not None and mock.findings else Verdict.MATCH
    if _gone(again):
        return Verdict.FLAKE
    if recorded or (mock is not None and mock.claims and not mock.findings):
        return Verdict.LIVE_DRIFT
    return Verdict.DOC_DRIFT


def _gone(again: PropertyResult | None) -> bool:
    """Tell whether a second look saw nothing of what the first one did."""
    return again is not None and bool(again.claims) and not again.findings


def staleness(date: str | None, today: dt.date) -> str:
    """Say how old a validation is: "", a warning, or that it no longer counts."""
    if date is None:
        return "never"
    age = (today - dt.date.fromisoformat(date)).days
    if age > LAPSE_DAYS:
        return f"lapsed: {age} days old"
    return f"getting old: {age} days" if age > WARN_DAYS else ""
