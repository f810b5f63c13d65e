"""Figures with several samples for each target, their ratios, and goals."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    Bound = Literal["least", "most"]


@dataclass(frozen=True)
class Spread:
    """The median, the minimum and the maximum of some samples."""

    median: float
    least: float
    largest: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Spread:
        return cls(median(samples), min(samples), max(samples))

    def __str__(self) -> str:
        middle, least, largest = map(number, (self.median, self.least, self.largest))
        return middle if least == largest else f"{middle} ({least}-{largest})"


def number(value: float) -> str:
    """Return a number as text, with three significant digits or as a whole number."""
    size = abs(value)
    return f"{value:,.{0 if size >= 100 else 1 if size >= 10 else 2}f}"  # noqa: PLR2004 - digits


@dataclass(frozen=True)
class Verdict:
    """A measured value, and its goal.

    Attributes:
        measured: the value as text.
        goal: the goal as text; empty for a ratio without a goal.
        met: None if it could not be measured.
    """

    measured: str
    goal: str = ""
    met: bool | None = None

    @property
    def word(self) -> str:
        """Whether the goal is met, as a word; empty without a goal."""
        if not self.goal:
            return ""
        return {None: "?", True: "yes", False: "no"}[self.met]


@dataclass
class Figure:
    """One measured quantity.

    Attributes:
        what: name and unit.
        samples: by the name of the target, one for each round.
        verdicts: on its goals.
    """

    what: str
    samples: dict[str, list[float]] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)

    def add(self, target: str, value: float) -> None:
        self.samples.setdefault(target, []).append(value)

    def compare(self, target: str, other: str, bound: Bound | None = None, limit: float = 0) -> None:
        """Add the ratio of two targets in the same rounds, and a goal for its median if there is a bound."""
        self._judge(ratios(self.samples.get(target), self.samples.get(other)), f"of {other}", bound, limit)

    def compare_with(
        self, figure: Figure, target: str, name: str, bound: Bound | None = None, limit: float = 0
    ) -> None:
        """Add the ratio to another figure of the same target."""
        self._judge(ratios(self.samples.get(target), figure.samples.get(target)), name, bound, limit)

    def limit(self, target: str, bound: Bound, limit: float, unit: str) -> None:
        """Add a goal for the median of one target."""
        self._judge(self.samples.get(target), unit, bound, limit)

    def _judge(self, samples: Sequence[float] | None, unit: str, bound: Bound | None, limit: float) -> None:
        goal = f"{'>=' if bound == 'least' else '<='} {limit:,g} {unit}" if bound else ""
        if not samples:
            if goal:
                self.verdicts.append(Verdict("not measured", goal))
            return
        spread = Spread.of(samples)
        if bound is None:
            self.verdicts.append(Verdict(f"{spread} {unit}"))
            return
        met = spread.median >= limit if bound == "least" else spread.median <= limit
        self.verdicts.append(Verdict(str(spread), goal, met))

    def to_json(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "medians": {name: vars(Spread.of(each)) for name, each in self.samples.items()},
            "samples": self.samples,
            "verdicts": [vars(verdict) for verdict in self.verdicts],
        }


def ratios(samples: Sequence[float] | None, others: Sequence[float] | None) -> list[float] | None:
    """Return the ratio of the two samples of each round; None without samples.

    A sample may be zero, because processor time is measured in hundredths of a second.
    """
    if not samples or not others:
        return None
    return [one / other for one, other in zip(samples, others, strict=True) if other]


@dataclass
class Row:
    """The results of a row of the table.

    Attributes:
        name: for `--only`.
        figures: lines of the table.
        notes: sentences below the table.
        errors: the number of calls without an expected answer. A row with errors has failed.
        first_error: the answer to the first of them.
    """

    name: str
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    errors: int = 0
    first_error: str = ""

    def figure(self, what: str) -> Figure:
        """Return a new figure of this row."""
        made = Figure(what)
        self.figures.append(made)
        return made

    def count(self, errors: int, first: str) -> None:
        """Count errors."""
        self.errors += errors
        self.first_error = self.first_error or first

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "figures": [figure.to_json() for figure in self.figures]}
