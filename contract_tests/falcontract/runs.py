"""Complete runs of the suite, each with a report: on an offline target, on fal, and over transcripts."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from falcontract import fidelity, suite, verdicts
from falcontract.report import Report, Row
from falcontract.suite import show_nothing
from falcontract.targets.base import Address, in_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from falcontract.live.execution import Live, Outcome
    from falcontract.live.planning import PlannedProgram
    from falcontract.live.transcripts import Transcript
    from falcontract.properties.claims import Property
    from falcontract.suite import Finding, PropertyResult, Show
    from falcontract.targets.base import Target
    from falcontract.verdicts import Verdict, Waiver

PROCESSES: Final = 2  # share the generated programs


@contextmanager
def emulated(*, over_socket: bool = False) -> Iterator[Target]:
    """Yield falmock as a target, with its log messages switched off."""
    from falcontract.targets.emulated import Emulated  # noqa: PLC0415 - not needed for other targets

    target = Emulated(over_socket=over_socket)
    logging.disable(logging.CRITICAL)
    try:
        yield target
    finally:
        logging.disable(logging.NOTSET)
        target.close()


def open_target(name: str) -> AbstractContextManager[tuple[Target, Target | None]]:
    """Open "mock", "socket" or a base URL; with a base URL also falmock, as reference.

    Raises:
        FalAddressError: the base URL is fal's.
        ValueError: it is not a base URL.
    """
    other = None if name in {"mock", "socket"} else Address(name)
    return _opened(other, over_socket=name == "socket")


@contextmanager
def _opened(other: Target | None, *, over_socket: bool) -> Iterator[tuple[Target, Target | None]]:
    with emulated(over_socket=over_socket) as falmock:
        yield (falmock, None) if other is None else (other, falmock)


def offline(
    wanted: Sequence[Property],
    target: Target,
    reference: Target | None,
    *,
    tier: int | None,
    generate: tuple[int, int] = (0, 0),
    seed: int | None = None,
    show: Show = show_nothing,
) -> Report:
    """Check properties on an offline target, with programs up to a tier.

    `reference` is falmock, if the target is another emulator. `generate` is the number of programs for
    Hypothesis to generate, and the steps of each; `seed` repeats them.
    """
    begun = time.monotonic()
    report = Report(target.name, everything=tier is None)
    results = suite.run(wanted, target, tier=tier, durations=report.durations, show=show)
    waived = {
        id(result): waiver for result, waiver in verdicts.waive(results, dt.datetime.now(dt.UTC).date())
    }
    for result in results:
        if result.findings:
            show(f"{result.property.id} again, to find the shortest program")
        report.rows.append(_row(result, target, reference, waived.get(id(result))))
    if generate[0] and "pass-time" in target.abilities:
        report.generated = generate[0]
        report.seed = int.from_bytes(os.urandom(4)) if seed is None else seed
        show(f"{report.generated} generated programs")
        _explore(report, target, reference, *generate)
    report.seconds = time.monotonic() - begun
    return report


def _row(result: PropertyResult, target: Target, reference: Target | None, waiver: Waiver | None) -> Row:
    verdict, finding = _verdict(result, target, reference, waived=waiver is not None)
    note = _note(result, waiver)
    return Row(
        result.property, verdict, result.claims, note, finding, () if result.claims else result.missing
    )


def _verdict(
    result: PropertyResult, target: Target, reference: Target | None, *, waived: bool = False
) -> tuple[Verdict, Finding | None]:
    """Run programs with findings a second time, and shrink the first one."""
    from falcontract.explore import shrinking  # noqa: PLC0415 - needed for findings only

    if not result.findings:
        return verdicts.of_emulator(result, waived=waived), None
    again = suite.rerun(result, target)
    other = suite.rerun(result, reference) if reference is not None else None
    verdict = verdicts.of_emulator(result, waived=waived, again=again, reference=other)
    if not again.findings:
        return verdict, result.findings[0]
    return verdict, shrinking.shrink(again.findings[0], target)


def _note(result: PropertyResult, waiver: Waiver | None) -> str:
    if waiver is not None:
        return f"until {waiver.until}: {waiver.reason}"
    if result.missing_clients and result.claims:
        return f"{result.claims} claims; not installed: {', '.join(result.missing_clients)}"
    return f"needs {in_words(result.missing)}" if result.missing and not result.claims else ""


def _explore(report: Report, target: Target, reference: Target | None, programs: int, steps: int) -> None:
    """Add a finding from generated programs, unless the property has one already."""
    from falcontract.explore import machine  # noqa: PLC0415 - Hypothesis is an optional package

    begun = time.monotonic()
    found = machine.explore(target, programs=programs, steps=steps, seed=report.seed, processes=PROCESSES)
    report.durations[f"{programs} programs by Hypothesis"] = time.monotonic() - begun
    if found is None:
        return
    row = next((row for row in report.rows if row.property.id == found.property.id), None)
    if row is None:
        row = Row(found.property, verdicts.Verdict.MATCH)
        report.rows.append(row)
    if row.finding is None:
        result = suite.PropertyResult(found.property, 1, [found])
        row.verdict, row.finding = _verdict(result, target, reference)


def planned(live: Live, wanted: Sequence[Property], tier: int, *, only: bool) -> list[PlannedProgram]:
    """Return the programs of the plan up to a tier; with `only`, those of the wanted properties."""
    names = {name for p in wanted for name in p.programs}
    return [entry for entry in live.planned(tier) if not only or entry.program.name in names]


def on_fal(
    live: Live,
    entries: Sequence[PlannedProgram],
    wanted: Sequence[Property],
    reference: Target,
    known: Sequence[Transcript],
    *,
    show: Show = show_nothing,
) -> tuple[Report, Outcome]:
    """Send programs of the plan to fal, each once; those with findings a second time.

    Both times count against the budget. `known` are the transcripts of earlier runs.
    """
    begun = time.monotonic()
    outcome = asyncio.run(live.execute(entries, show))
    results = [suite.judge_property(p, (t.trace() for t in outcome.transcripts)) for p in wanted]
    diverging = {f.trace.program.name for result in results for f in result.findings}
    second: list[Transcript] = []
    if diverging and not (outcome.findings or outcome.could_not_look or outcome.running):
        repeated = asyncio.run(live.execute([e for e in entries if e.program.name in diverging], show))
        second = repeated.transcripts
        outcome.spent, outcome.sent = repeated.spent, outcome.sent + repeated.sent
        outcome.findings, outcome.running = repeated.findings, repeated.running
    report = Report("fal", spent=outcome.spent)
    for result in results:
        again = (
            suite.judge_property(result.property, (t.trace() for t in second)) if result.findings else None
        )
        mock = suite.rerun(result, reference) if result.findings else None
        recorded = fidelity.last_seen(result.property, known) is not None
        report.rows.append(_live_row(result, verdicts.of_live(result, mock, again, recorded=recorded)))
    report.seconds = time.monotonic() - begun
    return report, outcome


def _live_row(result: PropertyResult, verdict: Verdict) -> Row:
    finding = result.findings[0] if result.findings else None
    return Row(result.property, verdict, result.claims, finding=finding)


def on_transcripts(name: str, wanted: Sequence[Property], recorded: Sequence[Transcript]) -> Report:
    """Check properties against recorded transcripts."""
    traces = [transcript.trace() for transcript in recorded]
    results = [suite.judge_property(p, traces) for p in wanted]
    rows = [_live_row(result, verdicts.of_live(result, None, None, recorded=False)) for result in results]
    return Report(name, rows=rows)
