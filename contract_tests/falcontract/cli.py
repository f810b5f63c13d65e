"""The command `falcontract`. Each subcommand imports the modules that it needs, so that --help is fast."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from falcontract.properties.claims import Property
    from falcontract.report import Report
    from falcontract.suite import Show

NOTHING_CHECKED: Final = 2
CLEAR: Final = "\x1b[K"  # clears the rest of a terminal's line
REASONS: Final = 3  # shown for a broken mutant
# Generated programs, and steps of each.
PROFILES: Final = {"none": (0, 0), "default": (100, 20), "nightly": (2000, 50)}
FIXTURES: Final = Path("fixtures")
TRANSCRIPTS: Final = FIXTURES / "transcripts"

FILE: Final = click.Path(path_type=Path)
FOLDER: Final = click.Path(path_type=Path, exists=True, file_okay=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="falmock", prog_name="falcontract")
def falcontract() -> None:
    """Check the properties of fal's queue on an emulator or on fal itself.

    Exit codes: 0 agreed, 1 diverged, 2 nothing was checked, or too little.
    """


@contextmanager
def _progress() -> Iterator[Show]:
    """Yield what shows a line of progress on standard error: in a terminal, but not in CI."""
    shown = sys.stderr.isatty() and not os.environ.get("CI")

    def show(text: str) -> None:
        if shown:
            columns = shutil.get_terminal_size().columns
            click.echo(f"\r{CLEAR}{text[: columns - 1]}", nl=False, err=True)

    try:
        yield show
    finally:
        show("")


@falcontract.command("properties")
def list_properties() -> None:
    """List all properties with strength, tier, evidence and models."""
    from falcontract.properties.catalogue import catalogue
    from falcontract.targets.base import in_words

    for p in catalogue():
        tier = "-" if p.tier is None else f"T{p.tier}"
        needs = f" [needs {in_words(p.needs)}]" if p.needs else ""
        click.echo(f"{p.id:>4}  mock {p.mock:6}  live {p.live:6}  {tier:3}  {p.title}{needs}")
        click.echo(f"      {p.evidence}; holds for {p.holds_for}")


@falcontract.command()
@click.option(
    "--target",
    default="mock",
    show_default=True,
    help="mock (falmock in process), socket (falmock on a port), live (fal), or the URL of an emulator.",
)
@click.option("--tier", type=click.IntRange(0, 5), help="Highest tier, 0 to 5; live: 0 by default.")
@click.option(
    "--property",
    "ids",
    multiple=True,
    metavar="P17",
    help="Only this property; may be repeated. Generates no programs.",
)
@click.option("--seed", type=int, help="Repeat the generated programs of another run.")
@click.option(
    "--profile",
    type=click.Choice(list(PROFILES)),
    default="default",
    show_default=True,
    help="How many programs to generate.",
)
@click.option("--durations", type=click.IntRange(min=1), metavar="N", help="Show the N slowest programs.")
@click.option("--junit", type=FILE, help="Write JUnit XML to this file.")
@click.option("--summary", type=FILE, help="Append a Markdown summary to this file.")
@click.option(
    "--record",
    type=FILE,
    default=TRANSCRIPTS / "live",
    show_default=True,
    help="Folder for live transcripts.",
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
    """Check the properties on a target."""
    from falcontract import report, suite

    try:
        wanted = suite.select_properties(ids, tier)
    except KeyError as error:
        raise click.ClickException(f"no property {error.args[0]}; see `falcontract properties`") from None
    if target == "live":
        found = _on_fal(wanted, tier or 0, record, only=bool(ids))
    else:
        found = _offline(wanted, target, tier, PROFILES["none" if ids else profile], seed)
    click.echo(report.table(found))
    if durations:
        click.echo(report.durations(found, durations))
    if junit:
        junit.write_text(report.junit(found))
    if summary:
        with summary.open("a") as file:
            file.write(report.markdown(found))
    sys.exit(found.exit_code)


def _offline(
    wanted: Sequence[Property], name: str, tier: int | None, generate: tuple[int, int], seed: int | None
) -> Report:
    from importlib import import_module

    from falcontract import runs

    if generate[0]:
        import_module("hypothesis")  # if it is not installed, say so now, not when the programs have run
    try:
        opened = runs.open_target(name)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    with opened as (target, reference), _progress() as show:
        return runs.offline(wanted, target, reference, tier=tier, generate=generate, seed=seed, show=show)


def _on_fal(wanted: Sequence[Property], tier: int, record: Path, *, only: bool) -> Report:
    """Run the plan on fal and record it; exit with 1 or 2 if it was not completed."""
    import datetime as dt
    import json

    from falcontract import report, runs
    from falcontract.live import transcripts
    from falcontract.live.execution import Live
    from falcontract.live.guard import LiveDisabled

    try:
        live = Live(os.environ, today=dt.datetime.now(dt.UTC).date().isoformat())
    except LiveDisabled as error:
        raise click.ClickException(str(error)) from None
    known = transcripts.read_all(TRANSCRIPTS) if TRANSCRIPTS.exists() else []
    with runs.emulated() as reference, _progress() as show:
        entries = runs.planned(live, wanted, tier, only=only)
        found, outcome = runs.on_fal(live, entries, wanted, reference, known, show=show)
    transcripts.write(outcome.transcripts, record)
    click.echo(json.dumps(outcome.as_json(), indent=1))
    if outcome.findings or outcome.running:
        sys.exit(1)
    if outcome.could_not_look:
        click.echo(report.table(found))
        sys.exit(NOTHING_CHECKED)
    return found


@falcontract.command("judge")
@click.argument("folder", type=FOLDER)
def judge_folder(folder: Path) -> None:
    """Check the properties against recorded transcripts. Nothing is sent."""
    from falcontract import report, runs, suite
    from falcontract.live import transcripts

    found = runs.on_transcripts(str(folder), suite.select_properties(), transcripts.read_all(folder))
    click.echo(report.table(found))
    sys.exit(found.exit_code)


@falcontract.command()
@click.option("--propose", is_flag=True, help="Print the plan that this version proposes for review.")
def plan(*, propose: bool) -> None:
    """Show the programs that may be sent to fal, with prices.

    A price is that of the worst case.
    """
    from falcontract.live import planning

    if propose:
        click.echo(planning.text(), nl=False)
        return
    for entry in planning.read().values():
        price = f"${entry.worst_usd:.3f} at worst"
        head = f"T{entry.program.tier}  {entry.program.name:18}  {price:18}  {entry.requests:4} requests"
        click.echo(f"{head}  {entry.why}")


@falcontract.command("fidelity")
@click.option("--fixtures", type=FILE, default=FIXTURES, show_default=True)
@click.option("--markdown", is_flag=True, help="Print docs/fidelity.md.")
def show_fidelity(fixtures: Path, *, markdown: bool) -> None:
    """Print the evidence for each property.

    It includes the date when fal was last seen to agree.
    """
    import datetime as dt

    from falcontract import fidelity

    folder = fixtures / "transcripts"
    if markdown:
        click.echo(fidelity.markdown(folder), nl=False)
    else:
        click.echo(fidelity.table(folder, dt.datetime.now(dt.UTC).date()))


@falcontract.command("mutants")
@click.option("--mutant", "names", multiple=True, help="Only this mutant; may be repeated.")
@click.option("--full", is_flag=True, help="Check every property on every mutant: the whole kill matrix.")
@click.option("--processes", type=click.IntRange(min=1), default=2, show_default=True)
def show_mutants(*, names: tuple[str, ...], full: bool, processes: int) -> None:
    """Run the suite on mutants of the emulator.

    Show which properties kill each.
    """
    import time

    from falcontract.mutation import runner
    from falcontract.mutation.catalogue import MUTANTS

    if unknown := set(names) - set(MUTANTS):
        raise click.ClickException(f"no mutant {', '.join(sorted(unknown))}")
    begun = time.monotonic()
    wanted = names or list(MUTANTS)
    with _progress() as show:
        results = runner.run_mutants(wanted, processes=processes, full=full or bool(names), show=show)
    click.echo(runner.matrix(results))
    killed = sum(result.killed for result in results)
    click.echo(f"\n{killed} of {len(results)} killed in {time.monotonic() - begun:.0f} s")
    for result in results:
        for reason in result.broken[:REASONS]:
            click.echo(f"broken: {result.mutant}: {reason}")
    useless = runner.useless(results) if full and not names else []
    if useless:
        click.echo(f"no mutant is killed by {', '.join(useless)}")
    sys.exit(1 if useless or not all(result.killed for result in results) else 0)


@falcontract.command("operators")
@click.option(
    "--sample", type=click.IntRange(min=1), default=100, show_default=True, help="Number of changes."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Decides about the places.")
@click.option("--processes", type=click.IntRange(min=1), default=2, show_default=True)
def show_operators(*, sample: int, seed: int, processes: int) -> None:
    """Change falmock's source at random places, and show the changes that no property finds."""
    from falcontract.mutation import operators

    survivors = 0
    for planted, killer in operators.run(sample, seed, processes):
        survivors += not killer
        click.echo(f"{killer or 'SURVIVES':12.40} {planted.describe()}")
    click.echo(f"\n{survivors} of {sample} survive")


@falcontract.command("peer")
@click.argument("folder", type=FOLDER)
def show_peer(folder: Path) -> None:
    """Run the suite on aimock, another emulator.

    npm has installed it in FOLDER. The suite must find its known differences from fal.
    """
    import asyncio

    from falcontract.mutation import peer

    try:
        found = peer.found_differences(asyncio.run(peer.run(folder.absolute())))
    except RuntimeError as error:
        raise click.ClickException(str(error)) from None
    for name, is_found in found.items():
        click.echo(f"{'found' if is_found else 'MISSED':8} {peer.DIFFERENCES[name][0]:4} {name}")
    sys.exit(0 if all(found.values()) else 1)


def main() -> None:
    """Run the command. A usage error is one line on standard error and exit code 2."""
    try:
        falcontract.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(NOTHING_CHECKED)
    except click.ClickException as error:
        click.echo(f"falcontract: {error.format_message()}", err=True)
        sys.exit(NOTHING_CHECKED)
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        click.echo("falcontract: hypothesis is not installed: pip install 'falmock[contract]'", err=True)
        sys.exit(NOTHING_CHECKED)
