"""The fidelity table: each property, how it is known, and when fal was last seen to agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from falcontract import properties, transcripts
from falcontract.claims import Strength
from falcontract.verdicts import Verdict, staleness

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence
    from pathlib import Path

    from falcontract.claims import Property
    from falcontract.transcripts import Transcript

STRENGTH_TEXT = {
    Strength.HARD: "always",
    Strength.DETERMINISTIC: "always",
    Strength.OBSERVE: "assumed",
    Strength.SOFT: "mostly",
    Strength.CANARY: "with an application of one's own",
    Strength.NEVER: "not looked at",
}
HEAD = """# Fidelity

What the emulator is held to, property by property, and on whose word. This page is made by
`falcontract fidelity --markdown`; a test fails when it is stale.

- **mock**: every push runs the property against the emulator; *assumed* marks what nobody has published,
  so that the emulator does the plainest thing that fits the rest.
- **live**: when fal itself was last seen to agree, from a recorded transcript. UNVERIFIED means: never.
  It is what fal's documentation and source say, and nobody who could has looked.
- **captures**: published captures of fal's answers, transcribed in `fixtures/transcripts`, that the
  property accepts. They are other people's words, so they turn no row green.
"""
TAIL = """
Where the plan of the properties and the captures of the wire disagree, the better evidence wins:

- P23: the plan has credentials checked before the id; captures have an unknown id answered 404 without a
  key. So the id comes first.
- P43: older documentation has 10 retries in 2 h, current documentation at most 31 until the result
  expires. So 32 attempts are the limit.
- P31: the plan knows logs as a moving window, the wire as cumulative. A window is accepted from fal; the
  emulator is held to forget nothing.
"""


def last_seen(p: Property, known: Sequence[Transcript]) -> str | None:
    """Return the date of the newest live transcript that a property looked at and agreed with."""
    dates = [t.date for t in known if t.evidence == transcripts.LIVE and agrees(p, t)]
    return max(dates, default=None)


def captures(p: Property, known: Sequence[Transcript]) -> int:
    """Return how many published captures a property looked at and agreed with."""
    return sum(t.evidence == transcripts.PUBLISHED and agrees(p, t) for t in known)


def agrees(p: Property, transcript: Transcript) -> bool:
    """Tell whether a property says something of a transcript, and all of it holds."""
    trace = transcript.trace()
    found = list(p.check(trace)) if p.looks_at(trace) else []
    return bool(found) and all(one.holds for one in found)


def table(folder: Path, today: dt.date) -> str:
    """Return the table as text, with what is getting old."""
    known = transcripts.read_all(folder)
    lines = []
    for p in properties.catalogue():
        date = last_seen(p, known)
        old = staleness(date, today)
        live = Verdict.UNVERIFIED if date is None or old.startswith("lapsed") else Verdict.MATCH
        lines.append(
            f"{p.id:>4}  mock {STRENGTH_TEXT[p.mock]:10}  live {live:10}  {date or '-':10}  {old:24}  {p.title}"
        )
    unverified = sum("UNVERIFIED" in line for line in lines)
    score = f"fal was seen to agree with {len(lines) - unverified} of {len(lines)} properties; "
    return "\n".join([*lines, "", score + f"{unverified} are UNVERIFIED."])


def markdown(folder: Path) -> str:
    """Return the page; it has dates, not ages, so that it grows old by itself without being stale."""
    known = transcripts.read_all(folder)
    lines = [
        HEAD,
        "| | property | mock | live | tier | captures | evidence |",
        "|---|---|---|---|---|---|---|",
    ]
    for p in properties.catalogue():
        date = last_seen(p, known)
        live = f"{Verdict.MATCH} {date}" if date else f"{Verdict.UNVERIFIED} ({STRENGTH_TEXT[p.live]})"
        tier = "-" if p.tier is None else f"T{p.tier}"
        cells = (p.id, p.title, _mock(p), live, tier, str(captures(p, known) or "-"), p.evidence)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n" + TAIL


def _mock(p: Property) -> str:
    assumed = "assumed" in p.evidence or p.mock is Strength.OBSERVE
    return "always (in part assumed)" if assumed else "always"
