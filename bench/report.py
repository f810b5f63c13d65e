"""The table on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table

from bench.figures import Spread
from bench.targets import AIMOCK, BARE, FALMOCK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.figures import Figure, Row

COLUMNS: Final = (FALMOCK, BARE, AIMOCK)
HEADINGS: Final = ("falmock", "bare Starlette", "aimock")
NOT_MEASURED: Final = "not measured"
COLOURED: Final = {"yes": "[green]yes[/]", "no": "[red]no[/]"}


def table(rows: Sequence[Row]) -> Table:
    """Return a table with a line for each figure."""
    made = Table(title="medians (least-largest)", title_justify="left")
    made.add_column("what")
    for heading in HEADINGS:
        made.add_column(heading, justify="right")
    for name in ("measured", "goal", "met"):
        made.add_column(name, no_wrap=True)
    for row in rows:
        for figure in row.figures:
            values = [figure_text(figure, name) for name in COLUMNS]
            lines = [
                (verdict.measured, verdict.goal, COLOURED.get(verdict.word, verdict.word))
                for verdict in figure.verdicts
            ]
            made.add_row(figure.what, *values, *map("\n".join, zip(*lines, strict=True)))
        if row.errors:
            errors = f"[red]{row.errors:,} errors[/]"
            made.add_row(f"{row.name}: no errors", *[""] * len(COLUMNS), errors, "none", "[red]no[/]")
        made.add_section()
    return made


def figure_text(figure: Figure, name: str) -> str:
    """Return the spread of a target as text; empty for a figure that only falmock has."""
    if name in figure.samples:
        return str(Spread.of(figure.samples[name]))
    return NOT_MEASURED if name == AIMOCK and BARE in figure.samples else ""
