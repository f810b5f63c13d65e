"""The fidelity table: the evidence for each property, and when fal was last seen to agree."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from falcontract.live import transcripts
from falcontract.model.models import ALL
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

- **mock**: CI checks the property on the emulator. *Assumed* means that fal has not published the
  behaviour; the emulator then does the simplest thing that fits the rest.
- **live**: the date of the last recorded transcript in which fal agreed. UNVERIFIED means that no such
  transcript exists: the property follows from fal's documentation and source code only.
- **captures**: how many published answers of fal, transcribed in `fixtures/transcripts`, agree with the
  property. They come from third parties, so they do not count as verified.
- **tier**: the cost of the check on fal, from T0 (no job) to T5 (a clip, $2.50 or more).
- **holds for**: the models that it is checked with. A general rule is about the queue, and holds for all.
  {models}.
- **evidence**: sections of [fal's protocol](protocol.md), with that page's tags for the sources.
"""
MODELS: Final = """
## Models

The models of [the catalogue](catalogue.md), as `falmock models list --summary` counts them. The certainty is
that of a model's fields: `page` and `document` are fal's own, `schema` is made of such documents, and
`types`, from an npm package, has no bounds.

```
"""
SHOWN: Final = 3  # mutants of a property in a row
FACTS: Final = """
## Facts

Each fact of [fal's protocol](protocol.md), the properties that fail if a target does otherwise, and planted
bugs that show it: `make mutants` plants each in the emulator or the client, and a property must find it.

| section | fact | property | mutants, for example |
|---|---|---|---|"""
TAIL: Final = """
Where the evidence is mixed, these choices were made:

- P23: in captures an unknown id is a 404 without a key, and a 401 with a bad one. So credentials are checked
  before the id, unless there are none.
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
    models = "; ".join(f"{model.short} is `{model.endpoint}`" for model in ALL)
    lines = [
        HEAD.format(models=f"All {len(ALL)}: {models}"),
        "| | property | holds for | mock | live | tier | captures | evidence |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for p in catalogue():
        date = last_seen(p, known)
        live = f"{Verdict.MATCH} {date}" if date else f"{Verdict.UNVERIFIED} ({STRENGTH[p.live]})"
        tier = "-" if p.tier is None else f"T{p.tier}"
        assumed = "assumed" in p.evidence or p.mock is Strength.OBSERVE
        mock = "always (in part assumed)" if assumed else "always"
        cells = (p.id, p.title, p.holds_for, mock, live, tier, str(captures(p, known) or "-"), p.evidence)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, FACTS, *_fact_rows()]) + "\n" + TAIL + MODELS + _models() + "```\n"


def _models() -> str:
    """Return how many models the emulator has of each certainty, in its own words."""
    command = [sys.executable, "-m", "falmock", "models", "list", "--summary"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - constant


def facts() -> list[tuple[str, str, list[str]]]:
    """Return (section of docs/protocol.md, fact, ids of the properties that fail without it)."""
    lines = (files("falcontract") / "facts.txt").read_text().splitlines()
    rows = [re.split(r" \| ", line) for line in lines if line and not line.startswith("#")]
    return [(section, fact, ids.split()) for section, fact, ids in rows]


def _fact_rows() -> list[str]:
    killed = (files("falcontract.mutation") / "killers.txt").read_text().splitlines()
    rows = [(line.split()[0], line.partition("killed by")[2].split()) for line in killed]
    # The property that a mutant was made for comes first.
    mutants = {p.id: [name for name, killers in rows if killers[:1] == [p.id]] for p in catalogue()}
    more = {p.id: [name for name, killers in rows if p.id in killers[1:]] for p in catalogue()}
    lines = []
    for section, fact, ids in facts():
        names = [name for each in ids for name in (mutants[each] or more[each])[:SHOWN]]
        lines.append(f"| {section} | {fact} | {' '.join(ids)} | {', '.join(dict.fromkeys(names))} |")
    return lines
