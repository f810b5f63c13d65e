"""Figures with several samples for each target, their ratios, and goals."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Spread:
    """The median, the least and the largest of some samples."""

    median: float
    least: float
    largest: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Spread:
        return cls(median(samples), min(samples), max(samples))

    def text(self, digits: int | None = None) -> str:
        """Return it as "12 (11-14)"."""
        middle, least, largest = (number(value, digits) for value in (self.median, self.least, self.largest))
        return middle if least == largest else f"{middle} ({least}-{largest})"

    def to_json(self) -> dict[str, float]:
        return {"median": self.median, "least": self.least, "largest": self.largest}


def number(value: float, digits: int | None = None) -> str:
    """Return a number as text, by default with three significant digits or as a whole number."""
    if digits is not None:
        return f"{value:,.{digits}f}"
    size = abs(value)
    return f"{value:,.{0 if size >= 100 else 1 if size >= 10 else 2}f}"  # noqa: PLR2004 - digits


@dataclass(frozen=True)
class Verdict:
    """A goal beside what was measured.

    Attributes:
        goal: as text; empty for a ratio without a goal.
        value: what was measured.
        met: None if it could not be measured.
    """

    goal: str
    value: str
    met: bool | None


@dataclass
class Figure:
    """One measured quantity.

    Attributes:
        what: its name with its unit.
        samples: by the name of the target, one for each round.
        verdicts: on its goals.
    """

    what: str
    samples: dict[str, list[float]] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)

    def add(self, target: str, value: float) -> None:
        self.samples.setdefault(target, []).append(value)

    def ratios(self, target: str, to: str) -> Spread | None:
        """Return the ratios of two targets in the same rounds; None if one was not measured."""
        if not (self.samples.get(target) and self.samples.get(to)):
            return None
        pairs = zip(self.samples[target], self.samples[to], strict=True)
        return Spread.of([one / other for one, other in pairs])

    def compare(self, target: str, to: str, bound: Literal["least", "most"], limit: float) -> None:
        """Add a goal for the median ratio of two targets."""
        ratio = self.ratios(target, to)
        goal = f"{'>=' if bound == 'least' else '<='} {limit:g} of {to}"
        if ratio is None:
            self.verdicts.append(Verdict(goal, "not measured", None))
            return
        met = ratio.median >= limit if bound == "least" else ratio.median <= limit
        self.verdicts.append(Verdict(goal, ratio.text(2), met))

    def show(self, target: str, to: str) -> None:
        """Add a ratio of two targets without a goal."""
        if (ratio := self.ratios(target, to)) is not None:
            self.verdicts.append(Verdict("", f"{ratio.text(2)} of {to}", None))

    def limit(self, target: str, bound: Literal["least", "most"], limit: float, unit: str) -> None:
        """Add a goal for the median of one target."""
        spread = Spread.of(self.samples[target])
        met = spread.median >= limit if bound == "least" else spread.median <= limit
        goal = f"{'>=' if bound == 'least' else '<='} {limit:,g} {unit}"
        self.verdicts.append(Verdict(goal, f"{number(spread.median)} {unit}", met))


@dataclass
class Row:
    """What a row of the table has measured.

    Attributes:
        name: for `--only`.
        title: for people.
        notes: sentences for below the table.
        errors: the number of calls without an expected answer. A row with errors has failed.
        first_error: what the first of them got.
    """

    name: str
    title: str
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
        self.errors += errors
        self.first_error = self.first_error or first

    @property
    def met(self) -> bool:
        """Whether no call failed, and each goal that was measured is met."""
        return not self.errors and all(
            verdict.met is not False for figure in self.figures for verdict in figure.verdicts
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "row": self.name,
            "title": self.title,
            "met": self.met,
            "errors": self.errors,
            "first_error": self.first_error,
            "notes": self.notes,
            "figures": [
                {
                    "what": figure.what,
                    "samples": figure.samples,
                    "medians": {name: Spread.of(each).to_json() for name, each in figure.samples.items()},
                    "goals": [vars(verdict) for verdict in figure.verdicts],
                }
                for figure in self.figures
            ],
        }
