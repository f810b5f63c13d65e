"""Properties: rules about fal's queue, each a function that yields claims about a trace.

A property without a claim has not been checked, even if nothing failed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from falcontract.model.models import EVERY, MODELS
from falcontract.steps import VEO2

if TYPE_CHECKING:
    from falcontract.model.models import Model
    from falcontract.traces import Delivery, Exchange, Trace


class Strength(StrEnum):
    """How strictly a property holds."""

    HARD = "H"
    DETERMINISTIC = "D"  # exact on the emulator, weaker on fal
    SOFT = "S"  # on fal a rate, not a failure
    OBSERVE = "V"  # not known until seen on fal; the emulator takes the plainest reading
    CANARY = "canary"  # needs an application that the tester owns
    NEVER = "-"  # never provoked


@dataclass(frozen=True)
class Claim:
    """One checked instance of a property."""

    key: str  # names the claim within its property; waivers and the peer's list of differences refer to it
    holds: bool
    text: str  # the rule, as one sentence
    at: Exchange | Delivery | None = None  # the exchange or delivery in question
    expected: Any = None
    found: Any = None
    compares: bool = True  # with `expected`; otherwise `text` says why `found` is wrong


Claims: TypeAlias = Iterator[Claim]
Check: TypeAlias = Callable[["Trace"], Claims]


@dataclass(frozen=True, kw_only=True)
class Property:
    number: int  # unique; the id is "P" and the number
    title: str
    mock: Strength  # strength on the emulator
    live: Strength  # strength on fal
    tier: int | None  # that of its programs on fal; None if it is never checked there
    evidence: str  # source of the rule
    programs: tuple[str, ...]  # programs that show it
    general: bool  # it applies to the traces of all programs
    needs: frozenset[str] = field(default_factory=frozenset)  # abilities without which it cannot be checked
    models: tuple[str, ...] = (VEO2,)  # endpoint ids for which its programs show it
    check: Check  # yields the claims about a trace

    @property
    def id(self) -> str:
        """For example "P17"."""
        return f"P{self.number}"

    @property
    def holds_for(self) -> str:
        """The models in words."""
        if set(self.models) == set(EVERY):
            return f"all {len(EVERY)} models"
        return ", ".join(MODELS[name].short for name in self.models)

    def applies_to(self, trace: Trace) -> bool:
        """Return whether the property has a say about a trace."""
        return self.general or trace.program.name in self.programs


PROPERTIES: Final[dict[str, Property]] = {}


def prop(
    number: int,
    programs: str,
    *,
    evidence: str,
    tier: int | None = None,
    mock: str = "H",
    live: str = "H",
    general: bool = False,
    needs: tuple[str, ...] = (),
    models: tuple[str, ...] | None = None,
    each: str = "",
) -> Callable[[Check], Check]:
    """Register a check as a property. Its docstring is the title; `programs` are separated by spaces.

    Without a tier it is never checked on fal. `each` is the kind of the programs that show it for each of
    its models, see `programs.models`: "run", "fields" or "bounds". `models` are those that it holds for: by
    default all if it is general or has such programs, else the video model.
    """
    held = models or (EVERY if general or each else (VEO2,))
    of_models = [f"{each}-{MODELS[name].short}" for name in held if each and (name != VEO2 or each != "run")]

    def register(check: Check) -> Check:
        found = Property(
            number=number,
            title=(check.__doc__ or "").partition("\n")[0].rstrip("."),
            mock=Strength(mock),
            live=Strength(live if tier is not None else "-"),
            tier=tier,
            evidence=evidence,
            programs=(*programs.split(), *of_models),
            general=general,
            needs=frozenset(needs),
            models=held,
            check=check,
        )
        PROPERTIES[found.id] = found
        return check

    return register


def results_of(trace: Trace, *endpoints: str) -> Iterator[tuple[Model, Exchange, Exchange]]:
    """Yield model, submit and result for each final result of some models, by default of all known ones."""
    for e in trace.final_results():
        submit = trace.submitted(e.step.job)
        if submit is not None and submit.step.endpoint in (endpoints or MODELS):
            yield MODELS[submit.step.endpoint], submit, e


def equal(key: str, found: Any, expected: Any, text: str, at: Exchange | Delivery | None = None) -> Claim:
    return Claim(key, found == expected, text, at, expected, found)


def member(
    key: str, found: Any, allowed: Collection[Any], text: str, at: Exchange | Delivery | None = None
) -> Claim:
    return Claim(key, found in allowed, text, at, allowed, found)


def claim(
    key: str, holds: object, text: str, at: Exchange | Delivery | None = None, found: Any = None
) -> Claim:
    return Claim(key, bool(holds), text, at, None, found, compares=False)
