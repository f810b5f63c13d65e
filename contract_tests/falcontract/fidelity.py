"""The fidelity table: the evidence for each property, and when fal was last seen to agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from falcontract.live import transcripts
from falcontract.properties.catalogue import catalogue
from falcontract.properties.claims import Strength
from falcontract.verdicts import Verdict, staleness

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence
    from pathlib import Path

    from falcontract.live.transcripts import Transcript
    from falcontract.properties.claims import Property

STRENGTH: Final = {
    Strength.HARD: "always",
    Strength.DETERMINISTIC: "always",
    Strength.OBSERVE: "assumed",
    Strength.SOFT: "mostly",
    Strength.CANARY: "needs an own application",
    Strength.NEVER: "not checked",
}
HEAD: Final = """# Fidelity

The properties that the emulator is tested for, and the evidence for each. This page is the output of
`falcontract fidelity --markdown`; a test fails when it is out of date.

- **mock**: every push checks the property on the emulator. *Assumed* means that fal has not published the
  behaviour; the emulator then does the plainest thing that fits the rest.
- **live**: the date of the last recorded transcript in which fal agreed. UNVERIFIED means that no such
  transcript exists: the property rests on fal's documentation and source code.
- **captures**: published captures of fal's answers, transcribed in `fixtures/transcripts`, that agree with
  the property. They come from third parties, so they do not count as verified.
- **tier**: the cost of the check on fal, from T0 (no job) to T5 (a clip, $2.50 or more).
- **evidence**: sections of [fal's protocol](protocol.md), with that page's tags for the sources.
"""
TAIL: Final = """
Where the evidence is mixed, these choices were made:

- P23: one expects credentials to be checked before the id, but in captures an unknown id is a 404 without a
  key. So the id is checked first.
- P43: older documentation has 10 retries in 2 hours, the current one at most 31 until the result expires. So
  the limit is 32 attempts.
- P31: in captures a status has all log lines, but fal does not promise that. So a moving window is accepted
  from fal; the emulator must keep all lines.
"""


def last_seen(p: Property, known: Sequence[Transcript]) -> str | None:
    """Return the date of the newest live transcript that agrees with a property."""
    dates = [t.date for t in known if t.evidence == transcripts.LIVE and agrees(p, t)]
    return max(dates, default=None)


def captures(p: Property, known: Sequence[Transcript]) -> int:
    """Return the number of published captures that agree with a property."""
    return sum(t.evidence == transcripts.PUBLISHED and agrees(p, t) for t in known)


def agrees(p: Property, transcript: Transcript) -> bool:
    """Return whether a transcript yields claims of a property, and all hold."""
    trace = transcript.trace()
    found = list(p.check(trace)) if p.applies_to(trace) else []
    return bool(found) and all(claim.holds for claim in found)


def table(folder: Path, today: dt.date) -> str:
    """Return the table as text, with remarks on old validations."""
    known = transcripts.read_all(folder)
    lines = []
    unverified = 0
    for p in catalogue():
        date = last_seen(p, known)
        age = staleness(date, today)
        live = Verdict.UNVERIFIED if date is None or age.startswith("expired") else Verdict.MATCH
        unverified += live is Verdict.UNVERIFIED
        mock = STRENGTH[p.mock]
        lines.append(f"{p.id:>4}  mock {mock:10}  live {live:10}  {date or '-':10}  {age:24}  {p.title}")
    agreed = f"fal agreed with {len(lines) - unverified} of {len(lines)} properties"
    return "\n".join([*lines, "", f"{agreed}; {unverified} are UNVERIFIED."])


def markdown(folder: Path) -> str:
    """Return the page. It has dates instead of ages, so that it does not change every day."""
    known = transcripts.read_all(folder)
    lines = [
        HEAD,
        "| | property | mock | live | tier | captures | evidence |",
        "|---|---|---|---|---|---|---|",
    ]
    for p in catalogue():
        date = last_seen(p, known)
        live = f"{Verdict.MATCH} {date}" if date else f"{Verdict.UNVERIFIED} ({STRENGTH[p.live]})"
        tier = "-" if p.tier is None else f"T{p.tier}"
        assumed = "assumed" in p.evidence or p.mock is Strength.OBSERVE
        mock = "always (in part assumed)" if assumed else "always"
        cells = (p.id, p.title, mock, live, tier, str(captures(p, known) or "-"), p.evidence)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n" + TAIL
