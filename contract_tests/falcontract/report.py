"""What a run found, for the terminal, for CI, and for a stranger who shall act on it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

from falcontract.placeholders import Bindings, differences
from falcontract.verdicts import Verdict

if TYPE_CHECKING:
    from falcontract.claims import Property
    from falcontract.suite import Finding

LONGEST: Final = 300


@dataclass
class Row:
    """One property in a report.

    Attributes:
        property: which.
        verdict: what is said of it.
        claims: how many claims it made.
        note: why, where the verdict needs a reason.
        finding: the divergence, with its program made as short as it can be.
        twin: the same of the other side, where there is one.
    """

    property: Property
    verdict: Verdict
    claims: int = 0
    note: str = ""
    finding: Finding | None = None
    twin: Finding | None = None


@dataclass
class Report:
    """One run.

    Attributes:
        target: its name.
        rows: one for each property.
        spent: US dollars.
        seconds: how long it took.
        explored: how many programs Hypothesis made up.
        seed: with which they can be made up again.
        took: the real seconds of each program, and of all that were made up.
    """

    target: str
    rows: list[Row] = field(default_factory=list)
    spent: float = 0.0
    seconds: float = 0.0
    explored: int = 0
    seed: int | None = None
    took: dict[str, float] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 agreed, 1 diverged, 2 could not look at anything."""
        if any(row.verdict.diverged for row in self.rows):
            return 1
        return 0 if any(row.verdict is Verdict.MATCH for row in self.rows) else 2

    def counts(self) -> str:
        """Return how many rows have which verdict."""
        verdicts = [row.verdict for row in self.rows]
        return ", ".join(f"{verdicts.count(v)} {v}" for v in Verdict if v in verdicts)


def durations(report: Report, most: int) -> str:
    """Return the programs that took longest, a line each."""
    slowest = sorted(report.took.items(), key=lambda pair: -pair[1])[:most]
    return "\n".join(f"{seconds:7.2f} s  {name}" for name, seconds in slowest)


def table(report: Report) -> str:
    """Return the report as text."""
    lines = []
    for row in report.rows:
        note = row.note or (f"{row.claims} claims" if row.claims else "")
        lines.append(f"{row.property.id:>4}  {row.verdict:14}  {note:22}  {row.property.title}")
    lines += ["", f"{report.target}: {report.counts()} in {report.seconds:.1f} s, ${report.spent:.2f} spent"]
    if report.explored:
        lines.append(
            f"Hypothesis made up {report.explored} programs (--seed {report.seed} makes them up again)"
        )
    for row in report.rows:
        if row.finding is not None:
            lines += ["", "\n".join(divergence(row, report.spent))]
    return "\n".join(lines)


def divergence(row: Row, spent: float) -> list[str]:
    """Return what a stranger needs to act on a divergence."""
    finding = row.finding
    assert finding is not None  # noqa: S101 - asked for rows that have one
    one, trace = finding.claim, finding.trace
    lines = [
        f"{row.verdict}: {row.property.id} {row.property.title}",
        f"  What does not hold: {one.text}",
        f"  Evidence:           {row.property.evidence}",
        *(f"  {d}" for d in difference(one.expected, one.found)),
        f"  Program on {trace.target}:",
        *(f"    {line}" for line in str(trace.program).splitlines()),
        "  By hand:",
        *(f"    {line}" for line in curls(finding)),
    ]
    if row.twin is not None:
        lines += [f"  The same on {row.twin.trace.target}:", *(f"    {line}" for line in curls(row.twin))]
    return [*lines, f"  Spent: ${spent:.2f}"]


def difference(expected: Any, found: Any) -> list[str]:
    """Return path by path where two values differ."""
    expected, found = _plain(expected), _plain(found)
    if expected is None and found is None:
        return []
    shown = [str(d) for d in differences(expected, found, Bindings())]
    return [_cut(line) for line in shown] or [_cut(f"found {found!r}")]


def curls(finding: Finding) -> list[str]:
    """Return commands that do by hand what the program did: ids are taken from the answers before."""
    lines = ["BASE=" + finding.trace.base]
    asked = None
    done = 0
    for e in finding.trace.exchanges:
        waits = [step for step in finding.trace.program.steps[done : e.index] if step.do == "wait"]
        lines += [f"sleep {step.seconds:g}" for step in waits]
        done = e.index
        url = e.url.replace(finding.trace.base, "$BASE")
        command = e.curl().replace(e.url, url) if e.request_id == "" else e.curl()
        for job, made in ((s.step.job, s.get("request_id")) for s in finding.trace.submits()):
            command = command.replace(finding.trace.base, "$BASE").replace(str(made), "$" + f"ID_{job}")
        if command != asked:
            lines.append(_quoted(command))
        asked = command
        if e.step.do == "submit" and e.ok:
            lines.append(f"ID_{e.step.job}=...  # the request_id of that answer")
    return lines


def _quoted(command: str) -> str:
    """Let the shell put the variables in: a word with one is in double quotes."""
    words = command.split(" ")
    return (
        " ".join(f'"{w}"' if w.startswith(("$BASE", "'$BASE")) and '"' not in w else w for w in words)
        .replace("\"'", '"')
        .replace("'\"", '"')
    )


def _plain(value: Any) -> Any:
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return repr(value)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def junit(report: Report) -> str:
    """Return the report as JUnit XML, one test case for each property."""
    cases = [row for row in report.rows if row.verdict.diverged]
    skipped = [row for row in report.rows if row.verdict in {Verdict.COULD_NOT_LOOK, Verdict.UNVERIFIED}]
    suite = ET.Element(
        "testsuite",
        name=f"falcontract on {report.target}",
        tests=str(len(report.rows)),
        failures=str(len(cases)),
        skipped=str(len(skipped)),
        time=f"{report.seconds:.3f}",
    )
    for row in report.rows:
        case = ET.SubElement(
            suite, "testcase", classname="falcontract", name=f"{row.property.id} {row.property.title}"
        )
        if row.verdict.diverged:
            failure = ET.SubElement(
                case, "failure", type=row.verdict, message=row.finding.claim.text if row.finding else ""
            )
            failure.text = _printable("\n".join(divergence(row, report.spent)) if row.finding else row.note)
        elif row in skipped:
            ET.SubElement(case, "skipped", message=f"{row.verdict}: {row.note}")
    return ET.tostring(suite, encoding="unicode", xml_declaration=True)


def _printable(text: str) -> str:
    """Leave out what XML cannot say."""
    return "".join(c if c in "\n\t" or " " <= c < "\ud800" or c >= "\ue000" else "?" for c in text)


def markdown(report: Report) -> str:
    """Return the report as Markdown, for a CI job's summary."""
    lines = [f"### falcontract on {report.target}", "", f"{report.counts()}; ${report.spent:.2f} spent", ""]
    lines += ["| property | verdict | claims | |", "|---|---|---|---|"]
    lines += [
        f"| {r.property.id} | {r.verdict} | {r.claims} | {r.note or r.property.title} |" for r in report.rows
    ]
    for row in report.rows:
        if row.finding is not None:
            lines += ["", "```", *divergence(row, report.spent), "```"]
    return "\n".join(lines) + "\n"
