"""Properties: what is held to be true, each a function over traces that says what it looked at.

A property that looked at nothing has not been shown, however green everything else is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from falcontract.traces import Delivery, Exchange, Trace


class Strength(StrEnum):
    """How strongly a property is held; PROPERTIES.md section 1."""

    HARD = "H"
    DETERMINISTIC = "D"  # exact on the emulator, weaker on fal
    SOFT = "S"  # reported on fal as a rate
    OBSERVE = "V"  # must be seen on fal first; the emulator does the plainest thing
    CANARY = "canary"  # needs an application of one's own
    NEVER = "-"  # never provoked


@dataclass(frozen=True)
class Claim:
    """One look.

    Attributes:
        holds: whether what was seen is as it should be.
        text: what should be, in one sentence.
        seen: where, an exchange or a delivery.
        expected: what should have been there.
        found: what was there.
    """

    holds: bool
    text: str
    seen: Exchange | Delivery | None = None
    expected: Any = None
    found: Any = None


Claims: TypeAlias = Iterator[Claim]
Check: TypeAlias = Callable[["Trace"], Claims]


@dataclass(frozen=True)
class Property:
    """One row of the catalogue.

    Attributes:
        id: as "P17".
        title: one sentence.
        mock: how strongly it is held of the emulator.
        live: how strongly it is held of fal.
        tier: what it costs to look at fal; None for never.
        evidence: where the fact comes from.
        programs: which show it.
        general: it says something of every trace, not only of those.
        needs: abilities without which it cannot be shown at all.
        check: says what it finds in a trace.
    """

    id: str
    title: str
    mock: Strength
    live: Strength
    tier: int | None
    evidence: str
    programs: tuple[str, ...]
    general: bool
    needs: frozenset[str] = field(default_factory=frozenset)
    check: Check = field(kw_only=True)

    def looks_at(self, trace: Trace) -> bool:
        """Tell whether it has anything to say of a program's traces."""
        return self.general or trace.program.name in self.programs

    @property
    def number(self) -> int:
        """For sorting."""
        return int(self.id[1:])


PROPERTIES: Final[dict[str, Property]] = {}


def prop(
    number: int,
    title: str,
    *programs: str,
    mock: str = "H",
    live: str = "H",
    tier: int | None,
    evidence: str,
    general: bool = False,
    needs: tuple[str, ...] = (),
) -> Callable[[Check], Check]:
    """Register a check as a property."""

    def register(check: Check) -> Check:
        PROPERTIES[f"P{number}"] = Property(
            f"P{number}",
            title,
            Strength(mock),
            Strength(live),
            tier,
            evidence,
            programs,
            general,
            frozenset(needs),
            check=check,
        )
        return check

    return register


def equal(found: Any, expected: Any, text: str, seen: Exchange | Delivery | None = None) -> Claim:
    """Claim that two values are the same."""
    return Claim(found == expected, text, seen, expected, found)


def member(found: Any, expected: Any, text: str, seen: Exchange | Delivery | None = None) -> Claim:
    """Claim that a value is one of several."""
    return Claim(found in expected, text, seen, expected, found)


def claim(holds: object, text: str, seen: Exchange | Delivery | None = None, found: Any = None) -> Claim:
    """Claim anything."""
    return Claim(bool(holds), text, seen, None, found)


def shown(text: str, seen: Exchange | Delivery | None = None) -> Claim:
    """Claim what was found to hold already."""
    return Claim(holds=True, text=text, seen=seen)


def refuted(text: str, seen: Exchange | Delivery | None = None, found: Any = None) -> Claim:
    """Claim what was found not to hold."""
    return Claim(holds=False, text=text, seen=seen, found=found)
