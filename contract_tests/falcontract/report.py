"""Reports: for the terminal, for CI, and with enough detail to reproduce each finding."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

from falcontract.live.placeholders import Bindings, differences
from falcontract.targets.base import in_words
from falcontract.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Collection

    from falcontract.properties.claims import Claim, Property
    from falcontract.steps import Program, Step
    from falcontract.suite import Finding
    from falcontract.traces import Exchange

LONGEST_LINE: Final = 300  # characters of a difference


@dataclass
class Row:
    property: Property
    verdict: Verdict
    claims: int = 0
    note: str = ""  # reason of the verdict, where it needs one
    finding: Finding | None = None  # the finding, with the shortest program found
    missing: Collection[str] = ()  # abilities, if the target lacks some and nothing was checked


@dataclass
class Report:
    target: str
    rows: list[Row] = field(default_factory=list)
    spent: float = 0.0  # US dollars
    seconds: float = 0.0  # real time
    generated: int = 0  # number of programs from Hypothesis
    seed: int | None = None
    durations: dict[str, float] = field(default_factory=dict)  # real seconds of each program
    everything: bool = False  # all programs were to run, not only those of a tier, a plan or a recording

    @property
    def unchecked(self) -> list[Row]:
        return [row for row in self.rows if row.verdict is Verdict.COULD_NOT_LOOK]

    @property
    def mostly_unchecked(self) -> bool:
        return self.everything and 2 * len(self.unchecked) > len(self.rows)

    @property
    def exit_code(self) -> int:
        """0: agreed, 1: diverged, 2: nothing was checked, or only the lesser part of `everything`."""
        if any(row.verdict.diverged for row in self.rows):
            return 1
        checked = any(row.verdict is Verdict.MATCH for row in self.rows)
        return 0 if checked and not self.mostly_unchecked else 2

    def counts(self) -> str:
        verdicts = [row.verdict for row in self.rows]
        return ", ".join(f"{verdicts.count(v)} {v}" for v in Verdict if v in verdicts)


def unchecked(report: Report) -> list[str]:
    """Return in words how much was not checked, and why."""
    rows = report.unchecked
    if not rows or not report.everything:
        return []
    how_many = f"{len(rows)} of {len(report.rows)}"
    lines = [f"{how_many} properties were not checked."]
    if report.mostly_unchecked:
        lines = [f"Most properties were not checked: {how_many}."]
    if len(rows) == len(report.rows):
        lines = ["No property was checked."]
    lacks = Counter(ability for row in rows for ability in row.missing)
    if lacks:
        names = ", ".join(f"{in_words([ability])} ({count})" for ability, count in lacks.most_common())
        lines.append(f"The target lacks {names}.")
    if unseen := sum(not row.missing for row in rows):
        lines.append(f"Without a program that shows it: {unseen}.")
    return [" ".join(lines)]


def durations(report: Report, most: int) -> str:
    slowest = sorted(report.durations.items(), key=lambda pair: -pair[1])[:most]
    return "\n".join(f"{seconds:7.2f} s  {name}" for name, seconds in slowest)


def table(report: Report) -> str:
    lines = []
    for row in report.rows:
        note = row.note or (f"{row.claims} claims" if row.claims else "")
        lines.append(f"{row.property.id:>4}  {row.verdict:14}  {note:22}  {row.property.title}")
    lines += ["", f"{report.target}: {report.counts()} in {report.seconds:.1f} s, ${report.spent:.2f} spent"]
    lines += unchecked(report)
    if report.generated:
        lines.append(f"{report.generated} programs by Hypothesis (repeat them with --seed {report.seed})")
    for row in report.rows:
        if row.finding is not None:
            lines += ["", *details(row, row.finding, report.spent)]
    return "\n".join(lines)


def details(row: Row, finding: Finding, spent: float) -> list[str]:
    claim, trace = finding.claim, finding.trace
    return [
        f"{row.verdict}: {row.property.id} {row.property.title}",
        f"  Violated: {claim.text} [{claim.key}]",
        f"  Evidence: {row.property.evidence}",
        f"  Holds for: {row.property.holds_for}",
        *(f"  {d}" for d in difference(claim)),
        f"  Program on {trace.target}:",
        *(f"    {line}" for line in str(trace.program).splitlines()),
        "  To reproduce:",
        *(f"    {line}" for line in curls(finding)),
        f"  Spent: ${spent:.2f}",
    ]


def difference(claim: Claim) -> list[str]:
    """Return the paths at which the values of a claim differ; without an expected one, what was found."""
    expected, found = _plain(claim.expected), _plain(claim.found)
    if expected is None and found is None:
        return []
    if not claim.compares:
        return [_cut(f"found {found!r}")]
    shown = [str(d) for d in differences(expected, found, Bindings())]
    return [_cut(line) for line in shown] or [_cut(f"found {found!r}")]


def curls(finding: Finding) -> list[str]:
    """Return shell commands that do the same as the program; job ids are variables."""
    trace = finding.trace
    lines = [*_server(trace.program), f"BASE={trace.base}"]
    last = None
    done = 0
    ids = {f"$ID_{e.step.job}": str(e.get("request_id")) for e in trace.submits()}
    for e in trace.exchanges:
        between = [line for step in trace.program.steps[done : e.index] if (line := _between(step))]
        lines += between
        done = e.index
        command = e.curl().replace(trace.base, "$BASE")
        for name, request_id in ids.items():
            command = command.replace(request_id, name)
        if command != last or between:
            lines.append(_polling(e, _quoted(command)))
        last = command
        if e.step.do == "submit" and e.ok:
            lines.append(f"ID_{e.step.job}=...  # request_id of that answer")
    if finding.claim.key in {seen.client for seen in trace.observations}:
        lines.append(
            f"# then the same with {finding.claim.key}, whose reading is compared with these answers"
        )
    return lines


def _server(program: Program) -> list[str]:
    """Return how to start an emulator with the settings and the rules of a program."""
    settings = {name: value for name, value in program.setup.items() if not isinstance(value, list)}
    flags = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in settings.items())
    lines = [f"# falmock serve {flags}"] if flags else []
    for name, rules in program.setup.items():
        lines += [f"# {name}: {json.dumps(rules)}"] if isinstance(rules, list) else []
    return lines


def _between(step: Step) -> str:
    """Return the command for a step that sends nothing to fal's hosts."""
    match step.do:
        case "wait":
            return f"sleep {step.seconds:g}"
        case "lock" | "unlock":
            return f"# {step.do} the account of key {step.key}"
        case "restart":
            return "# stop the emulator and start it again"
    return ""


def _polling(e: Exchange, command: str) -> str:
    """Repeat the call of an "until" until it has its state."""
    if e.step.do != "until":
        return command
    return f"until {command} | grep {e.step.state}; do sleep 1; done"


def _quoted(command: str) -> str:
    """Put words with a variable in double quotes."""
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
    return text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]}..."


def junit(report: Report) -> str:
    """Return the report as JUnit XML, one test case per property."""
    failed = [row for row in report.rows if row.verdict.diverged]
    skipped = [row for row in report.rows if row.verdict in {Verdict.COULD_NOT_LOOK, Verdict.UNVERIFIED}]
    suite = ET.Element(
        "testsuite",
        name=f"falcontract on {report.target}",
        tests=str(len(report.rows)),
        failures=str(len(failed)),
        skipped=str(len(skipped)),
        time=f"{report.seconds:.3f}",
    )
    for row in report.rows:
        name = f"{row.property.id} {row.property.title}"
        case = ET.SubElement(suite, "testcase", classname="falcontract", name=name)
        if row in failed:
            message = row.finding.claim.text if row.finding else ""
            failure = ET.SubElement(case, "failure", type=row.verdict, message=_printable(message))
            lines = details(row, row.finding, report.spent) if row.finding else [row.note]
            failure.text = _printable("\n".join(lines))
        elif row in skipped:
            ET.SubElement(case, "skipped", message=f"{row.verdict}: {row.note}")
    return ET.tostring(suite, encoding="unicode", xml_declaration=True)


def _printable(text: str) -> str:
    """Replace characters that XML does not allow."""
    return "".join(c if c in "\n\t" or " " <= c < "\ud800" or c >= "\ue000" else "?" for c in text)


def markdown(report: Report) -> str:
    """Return the report as Markdown, for the summary of a CI job."""
    lines = [f"### falcontract on {report.target}", "", f"{report.counts()}; ${report.spent:.2f} spent", ""]
    lines += [line for each in unchecked(report) for line in (each, "")]
    lines += ["| property | verdict | claims | holds for | |", "|---|---|---|---|---|"]
    for r in report.rows:
        cells = (r.property.id, r.verdict, str(r.claims), r.property.holds_for, r.note or r.property.title)
        lines.append(f"| {' | '.join(cells)} |")
    for row in report.rows:
        if row.finding is not None:
            lines += ["", "```", *details(row, row.finding, report.spent), "```"]
    return "\n".join(lines) + "\n"
