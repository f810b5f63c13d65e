"""`falcontract` on the command line."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from falcontract import fidelity, planning, report, suite, transcripts, verdicts
from falcontract.report import Report, Row
from falcontract.targets import Address, FalAddressError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from falcontract.claims import Property
    from falcontract.live import Live, Outcome
    from falcontract.planning import Entry
    from falcontract.suite import Finding, PropertyResult
    from falcontract.targets import Target
    from falcontract.transcripts import Transcript
    from falcontract.verdicts import Verdict

COULD_NOT_LOOK: Final = 2
PROCESSES: Final = 2  # that programs are divided among
# How many programs Hypothesis makes up, and how long they are.
PROFILES: Final = {"none": (0, 0), "default": (100, 20), "nightly": (2000, 50)}
FIXTURES: Final = Path("fixtures")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def falcontract() -> None:
    """What is held to be true of fal's queue, run against an emulator and against fal itself.

    Exit codes: 0 agreed, 1 diverged, 2 could not look.
    """


@falcontract.command("properties")
def list_properties() -> None:
    """List the properties: strength on the emulator, strength on fal, tier, evidence."""
    for p in suite.select_properties():
        tier = "-" if p.tier is None else f"T{p.tier}"
        needs = f" [needs {', '.join(sorted(p.needs))}]" if p.needs else ""
        click.echo(f"{p.id:>4}  mock {p.mock:6}  live {p.live:6}  {tier:3}  {p.title}{needs}")
        click.echo(f"      {p.evidence}")


@falcontract.command()
@click.option(
    "--target", default="mock", show_default=True, help="mock, socket, live, or the base URL of an emulator."
)
@click.option(
    "--tier", type=click.IntRange(0, 5), help="Only what costs no more: 0 to 5 (live: 0 without it)."
)
@click.option("--property", "ids", multiple=True, metavar="P17", help="Only this property; may be repeated.")
@click.option("--seed", type=int, help="Make up the same programs as another run did.")
@click.option(
    "--profile",
    type=click.Choice(list(PROFILES)),
    default="default",
    show_default=True,
    help="How much to make up.",
)
@click.option("--durations", type=click.IntRange(min=1), metavar="N", help="Show what took longest.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write JUnit XML here.")
@click.option("--summary", type=click.Path(path_type=Path), help="Add a Markdown summary to this file.")
@click.option(
    "--record",
    type=click.Path(path_type=Path),
    default=FIXTURES / "transcripts" / "live",
    show_default=True,
    help="Where live transcripts go.",
)
def run(
    *,
    target: str,
    tier: int | None,
    ids: tuple[str, ...],
    seed: int | None,
    profile: str,
    durations: int | None,
    junit: Path | None,
    summary: Path | None,
    record: Path,
) -> None:
    """Run the properties against a target."""
    try:
        wanted = suite.select_properties(ids, tier)
    except KeyError as error:
        raise click.ClickException(
            f"there is no property {error.args[0]}; see `falcontract properties`"
        ) from None
    if target == "live":
        found = _live(wanted, tier or 0, record, only=bool(ids))
    else:
        found = _offline(wanted, target, tier=tier, seed=seed, profile=profile, explore=not ids)
    click.echo(report.table(found))
    if durations:
        click.echo(report.durations(found, durations))
    if junit:
        junit.write_text(report.junit(found))
    if summary:
        with summary.open("a") as sink:
            sink.write(report.markdown(found))
    sys.exit(found.exit_code)


def _offline(
    wanted: Sequence[Property], name: str, *, tier: int | None, seed: int | None, profile: str, explore: bool
) -> Report:
    with _target(name) as (target, twin):
        return _looked_at(target, twin, wanted, tier=tier, seed=seed, profile=profile, explore=explore)


def _looked_at(
    target: Target,
    twin: Target | None,
    wanted: Sequence[Property],
    *,
    tier: int | None,
    seed: int | None,
    profile: str,
    explore: bool,
) -> Report:
    from falcontract import machine  # noqa: PLC0415 - only here Hypothesis is needed

    begun = time.monotonic()
    found = Report(target.name)
    shown = suite.run(wanted, target, tier=tier, took=found.took)
    today = dt.datetime.now(dt.UTC).date()
    waived = {id(one): waiver for one, waiver in verdicts.waive(shown, today)}
    found.rows = [_row(one, target, twin, waived.get(id(one))) for one in shown]
    programs, steps = PROFILES[profile]
    if explore and programs and "pass-time" in target.abilities:
        found.explored, found.seed = programs, _seed() if seed is None else seed
        explored = time.monotonic()
        again = machine.explore(target, programs=programs, steps=steps, seed=found.seed, processes=PROCESSES)
        found.took[f"{programs} programs that Hypothesis made up"] = time.monotonic() - explored
        if again is not None:
            made_up = suite.PropertyResult(again.property, 1, [again])
            row = next(row for row in found.rows if row.property.id == again.property.id)
            if row.finding is None:  # else a program that somebody wrote shows it already
                row.verdict, row.finding = _judged(made_up, target, twin)
    found.seconds = time.monotonic() - begun
    return found


def _row(one: PropertyResult, target: Target, twin: Target | None, waiver: verdicts.Waiver | None) -> Row:
    verdict, finding = _judged(one, target, twin, waived=waiver is not None)
    return Row(one.property, verdict, one.claims, _note(one, waiver), finding)


def _judged(
    one: PropertyResult, target: Target, twin: Target | None, *, waived: bool = False
) -> tuple[Verdict, Finding | None]:
    """Observation a second time at what diverges, and make the program short that shows it."""
    from falcontract import shrinking  # noqa: PLC0415 - only where something diverges

    if not one.findings:
        return verdicts.of_emulator(one, waived=waived), None
    again = suite.rerun(one, target)
    as_here = suite.rerun(one, twin) if twin is not None else None
    verdict = verdicts.of_emulator(one, waived=waived, again=again, twin=as_here)
    if not again.findings:
        return verdict, one.findings[0]
    return verdict, shrinking.shrink(again.findings[0], target)


def _note(one: PropertyResult, waiver: verdicts.Waiver | None) -> str:
    if waiver is not None:
        return f"until {waiver.until}: {waiver.reason}"
    if one.without and one.claims:
        return f"{one.claims} claims, none through {', '.join(one.without)}: not installed"
    return f"needs {', '.join(sorted(one.missing))}" if one.missing and not one.claims else ""


def _seed() -> int:
    return int.from_bytes(os.urandom(4))


@contextmanager
def _emulated(*, over_socket: bool = False) -> Iterator[Target]:
    from falcontract.emulated import Emulated  # noqa: PLC0415 - only here an emulator is needed

    target = Emulated(over_socket=over_socket)
    logging.disable(logging.CRITICAL)  # what the emulator has to say about odd requests is not ours
    try:
        yield target
    finally:
        logging.disable(logging.NOTSET)
        target.close()


@contextmanager
def _target(name: str) -> Iterator[tuple[Target, Target | None]]:
    """Yield what is named, and, if that is not this project's emulator, the emulator beside it."""
    if name in {"mock", "socket"}:
        with _emulated(over_socket=name == "socket") as target:
            yield target, None
        return
    try:
        address = Address(name)
    except (FalAddressError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    with _emulated() as twin:
        yield address, twin


def _live(wanted: Sequence[Property], tier: int, folder: Path, *, only: bool) -> Report:
    from falcontract.live import Live, LiveDisabled, describe  # noqa: PLC0415 - only here anything is sent out

    today = dt.datetime.now(dt.UTC).date().isoformat()
    try:
        live = Live(os.environ, today=today)
    except LiveDisabled as error:
        raise click.ClickException(str(error)) from None
    known = transcripts.read_all(FIXTURES / "transcripts") if FIXTURES.exists() else []
    with _emulated() as twin:
        found, outcome = look_live(live, planned(live, wanted, tier, only=only), wanted, twin, known)
    transcripts.write(outcome.transcripts, folder)
    click.echo(json.dumps(describe(outcome), indent=1))
    if outcome.findings or outcome.running:
        sys.exit(1)
    if outcome.could_not_look:
        click.echo(report.table(found))
        sys.exit(COULD_NOT_LOOK)
    return found


def planned(live: Live, wanted: Sequence[Property], tier: int, *, only: bool) -> list[Entry]:
    """Return the entries of the plan up to a tier; only those that show what is wanted, if told so."""
    names = {name for p in wanted for name in p.programs}
    return [entry for entry in live.planned(tier) if not only or entry.program.name in names]


def look_live(
    live: Live,
    entries: Sequence[Entry],
    wanted: Sequence[Property],
    twin: Target,
    known: Sequence[Transcript],
) -> tuple[Report, Outcome]:
    """Send entries of the plan, each once, and judge what came; what diverges is sent a second time.

    Args:
        live: fal, with its gates open. Its budget is one for both looks.
        entries: of the plan.
        wanted: properties.
        twin: the emulator, which tells what has drifted: the documents, or fal.
        known: transcripts that were recorded before.
    """
    begun = time.monotonic()
    outcome = asyncio.run(live.execute(entries))
    shown = [suite.judge_property(p, (t.trace() for t in outcome.transcripts)) for p in wanted]
    diverging = {f.trace.program.name for one in shown for f in one.findings}
    second: list[Transcript] = []
    if diverging and not (outcome.findings or outcome.could_not_look or outcome.running):
        repeated = asyncio.run(live.execute([e for e in entries if e.program.name in diverging]))
        second = repeated.transcripts
        outcome.spent, outcome.sent = repeated.spent, outcome.sent + repeated.sent
        outcome.findings, outcome.running = repeated.findings, repeated.running
    found = Report("fal", spent=outcome.spent)
    for one in shown:
        again = suite.judge_property(one.property, (t.trace() for t in second)) if one.findings else None
        mock = suite.rerun(one, twin) if one.findings else None
        recorded = fidelity.last_seen(one.property, known) is not None
        verdict = verdicts.of_live(one, mock, again, recorded=recorded)
        finding = one.findings[0] if one.findings else None
        found.rows.append(Row(one.property, verdict, one.claims, finding=finding))
    found.seconds = time.monotonic() - begun
    return found, outcome


def judge(wanted: Sequence[Property], recorded: Sequence[Transcript]) -> list[Row]:
    """Judge transcripts offline: one row for each property."""
    rows = []
    for p in wanted:
        shown = suite.judge_property(p, (transcript.trace() for transcript in recorded))
        verdict = verdicts.of_live(shown, None, None, recorded=False)
        finding = shown.findings[0] if shown.findings else None
        rows.append(Row(p, verdict, shown.claims, finding=finding))
    return rows


@falcontract.command("judge")
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
def judge_folder(folder: Path) -> None:
    """Judge recorded transcripts; nothing is sent."""
    found = Report(str(folder), rows=judge(suite.select_properties(), transcripts.read_all(folder)))
    click.echo(report.table(found))
    sys.exit(found.exit_code)


@falcontract.command()
@click.option("--propose", is_flag=True, help="Print the plan that this version would like to have reviewed.")
def plan(*, propose: bool) -> None:
    """Show what may be sent to fal, and what it may cost."""
    if propose:
        click.echo(planning.text(), nl=False)
        return
    for entry in planning.read().values():
        submits = sum(step.do == "submit" for step in entry.program.steps)
        at_worst = f"${entry.usd * submits:.3f} at worst"
        head = f"T{entry.program.tier}  {entry.program.name:18}  {at_worst:18}  {entry.requests:4} requests"
        click.echo(f"{head}  {entry.why}")


@falcontract.command("fidelity")
@click.option("--fixtures", type=click.Path(path_type=Path), default=FIXTURES, show_default=True)
@click.option("--markdown", is_flag=True, help="Print docs/fidelity.md.")
def show_fidelity(fixtures: Path, *, markdown: bool) -> None:
    """Print how each property is known, and when fal was last seen to agree."""
    folder = fixtures / "transcripts"
    today = dt.datetime.now(dt.UTC).date()
    click.echo(fidelity.markdown(folder) if markdown else fidelity.table(folder, today), nl=not markdown)


@falcontract.command("mutants")
@click.option("--mutant", "names", multiple=True, help="Only this fault; may be repeated.")
@click.option("--full", is_flag=True, help="Ask every property about every fault: the whole table.")
@click.option("--processes", type=click.IntRange(min=1), default=2, show_default=True)
def show_mutants(*, names: tuple[str, ...], full: bool, processes: int) -> None:
    """Break the emulator in one place at a time, and show who notices."""
    from falcontract import mutants, teeth  # noqa: PLC0415 - only here the emulator is broken

    if unknown := set(names) - set(mutants.MUTANTS):
        raise click.ClickException(f"there is no mutant {', '.join(sorted(unknown))}")
    begun = time.monotonic()
    results = teeth.bite(names or list(mutants.MUTANTS), processes=processes, full=full or bool(names))
    click.echo(teeth.table(results))
    alive = [one.mutant for one in results if not one.killed]
    blunt = [] if names else teeth.toothless(results)
    broken = [f"{one.mutant}: {why}" for one in results for why in one.broken]
    click.echo(f"\n{len(results) - len(alive)} of {len(results)} killed in {time.monotonic() - begun:.0f} s")
    if blunt:
        click.echo(f"kill nothing that half of the others leave alive: {', '.join(blunt)}")
    for line in broken:
        click.echo(f"could not be run: {line}")
    sys.exit(1 if alive or blunt or broken else 0)


@falcontract.command("peer")
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
def show_peer(folder: Path) -> None:
    """Run the suite on aimock, installed by npm in FOLDER: it must find what is known to differ."""
    from falcontract import peer  # noqa: PLC0415 - only here it is needed

    try:
        seen = peer.flagged(asyncio.run(peer.look(folder.absolute())))
    except RuntimeError as error:
        raise click.ClickException(str(error)) from None
    for name, found in seen.items():
        click.echo(f"{'flagged' if found else 'MISSED':8} {peer.DIFFERENCES[name][0]:4} {name}")
    sys.exit(0 if all(seen.values()) else 1)


def main() -> None:
    """Run the command; a mistake of the caller's is one line on standard error and exit code 2."""
    try:
        falcontract.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        click.echo(f"falcontract: {error.format_message()}", err=True)
        sys.exit(COULD_NOT_LOOK)
