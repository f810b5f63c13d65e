"""The command line: `make bench`, or `.venv/bin/python -m bench`."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from bench import page
from bench.figures import Row
from bench.load import BenchError
from bench.machine import machine
from bench.report import table
from bench.rows import ROWS
from bench.servers import pin_load
from bench.setup import FULL, QUICK, TINY, Scale, Setup
from bench.targets import HERE

BUSY = 0.3  # of each core
TERMINATED = 143
WIDTH = 170  # characters, in a file or a pipe


def _names(_: click.Context, __: click.Parameter, value: str) -> list[str]:
    names = [name.strip() for name in value.split(",") if name.strip()] or list(ROWS)
    if unknown := ", ".join(name for name in names if name not in ROWS):
        raise click.BadParameter(f"{unknown}: choose from {', '.join(ROWS)}")
    return names


@click.command()
@click.option("--only", default="", callback=_names, help=f"Rows to measure: a list of {', '.join(ROWS)}.")
@click.option("--quick", "scale", flag_value="quick", help="Measure less of everything: a minute or two.")
@click.option("--tiny", "scale", flag_value="tiny", help="Only see that it works.")
@click.option("--rounds", type=click.IntRange(1), help="Rounds of each server.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="Seconds of one round of load.")
@click.option(
    "--profile", is_flag=True, help="Write profiles of falmock to bench/profiles, by py-spy if it is there."
)
@click.option(
    "--json",
    "results",
    type=click.Path(path_type=Path, dir_okay=False),
    default=HERE / "results.json",
    help="File for all figures.",
    show_default="bench/results.json",
)
@click.option(
    "--page",
    "document",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Page to write the figures into, between its markers. A run of all rows at full scale writes "
    "docs/performance.md.",
)
def main(
    *,
    only: list[str],
    scale: str | None,
    rounds: int | None,
    seconds: float | None,
    results: Path,
    document: Path | None,
    profile: bool,
) -> None:
    """Measure falmock beside a bare Starlette application and aimock."""
    amount = _scale(scale, rounds, seconds)
    terminal = Console()
    if not terminal.is_terminal:
        terminal.width = WIDTH
    profiles = HERE / "profiles" if profile else None
    if profiles is not None:
        profiles.mkdir(exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))  # so that the servers end, too
    pin_load()
    described = machine(amount.seconds)
    if described["busy"] > BUSY * described["cores"]:
        click.echo(f"bench: the machine is busy (load {described['busy']:.1f})", err=True)
    measured = [_measure(name, Setup(amount, name, profiles)) for name in only]
    terminal.print(table(measured))
    for row in measured:
        for note in row.notes:
            terminal.print(f"{row.name}: {note}", highlight=False)
        if row.errors:
            terminal.print(f"{row.name}: the first error: {row.first_error}", highlight=False, markup=False)
    if profiles is not None:
        terminal.print(f"The profiles are in {profiles}. The figures are those of a profiled falmock.")
    written = {"machine": described, "scale": vars(amount), "rows": [row.to_json() for row in measured]}
    results.write_text(json.dumps(written, indent=1) + "\n")
    if amount == FULL and only == list(ROWS) and profiles is None:
        document = document or page.PAGE
    if document is not None:
        page.write(document, described, measured)
    raise SystemExit(1 if any(row.errors for row in measured) else 0)


def _scale(name: str | None, rounds: int | None, seconds: float | None) -> Scale:
    scale = {None: FULL, "quick": QUICK, "tiny": TINY}[name]
    if rounds is not None:
        scale = replace(scale, rounds=rounds, starts=rounds)
    return scale if seconds is None else replace(scale, seconds=seconds)


def _measure(name: str, setup: Setup) -> Row:
    Console(stderr=True).print(f"bench: {name}", highlight=False)
    row = Row(name)
    try:
        ROWS[name](setup, row)
    except BenchError as error:
        row.count(1, str(error))
    return row


if __name__ == "__main__":
    main()
