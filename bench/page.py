"""Writes the figures into `docs/performance.md`, between two markers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bench.report import COLUMNS, HEADINGS, figure_text
from bench.targets import HERE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from bench.figures import Figure, Row

PAGE: Final = HERE.parent / "docs" / "performance.md"
BEGIN: Final = "<!-- written by make bench -->"
END: Final = "<!-- end -->"


def write(page: Path, machine: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """Replace the text between the markers."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    text = "\n".join([BEGIN, "", *_machine(machine), "", *_table(rows), "", *_notes(rows), "", END])
    page.write_text(f"{before}{text}{after}")


def _machine(machine: Mapping[str, Any]) -> Iterator[str]:
    pinned = "the server on one, the load on another" if machine["pinned"] else "not pinned"
    packages = ("uvloop", "httptools", "uvicorn", "starlette")
    versions = [f"{name} {machine[name]}" for name in packages if machine[name]]
    if machine["node"]:
        versions.append(f"Node {machine['node']}")
    yield f"Measured {machine['at'][:10]} on commit {machine['commit']}. {machine['system']},"
    yield f"{machine['cores']} cores ({pinned}), {machine['memory_gb']} GB, Python {machine['python']},"
    yield f"{', '.join(versions)}."
    yield f"Load of the machine before the run: {machine['busy']:.1f}. The load generator takes"
    yield f"{machine['microseconds_of_load']:.0f} us of processor time a call."


def _table(rows: Sequence[Row]) -> Iterator[str]:
    yield f"| what | {' | '.join(HEADINGS)} | measured | goal | met |"
    yield f"|---|{'--:|' * len(COLUMNS)}---|---|---|"
    for row in rows:
        for figure in row.figures:
            yield from _lines(figure)
        if row.errors:
            yield f"| {row.name}: errors |{' |' * len(COLUMNS)} {row.errors:,} | none | no |"


def _lines(figure: Figure) -> Iterator[str]:
    cells = [figure.what, *(figure_text(figure, name) for name in COLUMNS)]
    verdicts = [(each.measured, each.goal, each.word) for each in figure.verdicts] or [("", "", "")]
    yield f"| {' | '.join([*cells, *verdicts[0]])} |"
    for more in verdicts[1:]:
        yield f"| {' | '.join([*[''] * len(cells), *more])} |"


def _notes(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        if row.notes:
            yield f"- **{row.name}**: {' '.join(row.notes)}"
