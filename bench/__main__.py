"""The command line: `make bench`, or `.venv/bin/python -m bench`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from bench.report import machine, table
from bench.rows import ROWS
from bench.scale import FULL, QUICK
from bench.targets import HERE, BenchError, pin_load

WIDTH = 150  # characters, in a file or a pipe


def _names(_: click.Context, __: click.Parameter, value: str) -> list[str]:
    names = [name.strip() for name in value.split(",") if name.strip()] or list(ROWS)
    if unknown := ", ".join(name for name in names if name not in ROWS):
        raise click.BadParameter(f"{unknown}: choose from {', '.join(ROWS)}")
    return names


@click.command()
@click.option("--only", default="", callback=_names, help=f"Rows to measure: a list of {', '.join(ROWS)}.")
@click.option("--quick", is_flag=True, help="Measure less of everything: a minute or two.")
@click.option("--rounds", type=click.IntRange(1), help="Rounds of each server.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="Seconds of one round of load.")
@click.option(
    "--json", "results", type=click.Path(path_type=Path), default=HERE / "results.json", show_default=True
)
def main(only: list[str], rounds: int | None, seconds: float | None, results: Path, *, quick: bool) -> None:
    """Measure falmock beside a bare Starlette application and aimock."""
    scale = QUICK if quick else FULL
    if rounds is not None:
        scale = replace(scale, rounds=rounds, starts=rounds)
    if seconds is not None:
        scale = replace(scale, seconds=seconds, warm_up=min(seconds, scale.warm_up))
    pin_load()
    progress = Console(stderr=True)
    measured = []
    for name in only:
        progress.print(f"bench: {name}", highlight=False)
        try:
            measured.append(ROWS[name](scale))
        except BenchError as error:
            raise click.ClickException(f"{name}: {error}") from None
    terminal = Console()
    if not terminal.is_terminal:
        terminal.width = WIDTH
    terminal.print(table(measured))
    for row in measured:
        for note in row.notes:
            terminal.print(f"{row.name}: {note}", highlight=False)
        if row.errors:
            terminal.print(f"{row.name}: the first error: {row.first_error}", highlight=False, markup=False)
    written = {"machine": machine(), "scale": vars(scale), "rows": [row.to_json() for row in measured]}
    results.write_text(json.dumps(written, indent=1) + "\n")
    raise SystemExit(0 if not any(row.errors for row in measured) else 1)


if __name__ == "__main__":
    main()
