"""The table on the terminal, and the results as JSON."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import psutil
from rich.table import Table

from bench.figures import Spread
from bench.targets import compared, cores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.figures import Row, Verdict

NOT_MEASURED = "not measured"


def table(rows: Sequence[Row]) -> Table:
    names = columns(rows)
    made = Table(title="medians (least-largest)", title_justify="left", show_lines=False)
    made.add_column("what")
    for name in names:
        made.add_column(name, justify="right")
    for name in ("goal", "measured", "met"):
        made.add_column(name, no_wrap=True)
    for row in rows:
        for figure in row.figures:
            verdicts = figure.verdicts
            made.add_row(
                figure.what,
                *(text(figure.samples.get(name)) for name in names),
                "\n".join(verdict.goal for verdict in verdicts),
                "\n".join(verdict.value for verdict in verdicts),
                "\n".join(met(verdict) for verdict in verdicts),
            )
        if row.errors:
            made.add_row(
                f"[red]{row.name}: {row.errors} errors[/]", *[""] * len(names), "no error", "", "[red]no[/]"
            )
        made.add_section()
    return made


def columns(rows: Sequence[Row]) -> list[str]:
    """Return the names of the targets; aimock has a column even if it is not measured."""
    found = dict.fromkeys(name for row in rows for figure in row.figures for name in figure.samples)
    return list(dict.fromkeys(["falmock", "bare Starlette", "aimock", *found]))


def text(samples: Sequence[float] | None) -> str:
    return Spread.of(samples).text() if samples else NOT_MEASURED


def met(verdict: Verdict) -> str:
    if not verdict.goal:
        return ""
    return "?" if verdict.met is None else "[green]yes[/]" if verdict.met else "[red]no[/]"


def machine() -> dict[str, Any]:
    """Describe the machine and the programs."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": len(cores()) or os.cpu_count(),
        "pinned": len(cores()) > 1,
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "uvloop": _version("uvloop"),
        "uvicorn": _version("uvicorn"),
        "starlette": _version("starlette"),
        "aimock": len(compared()) > 2,  # noqa: PLR2004 - falmock and the bare application
        "command": " ".join(sys.argv[1:]),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
