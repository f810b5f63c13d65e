"""Runs programs on a target and asks the properties what they see."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from falcontract import agreement, programs, properties, wire
from falcontract.doors import absent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from falcontract.claims import Claim, Property
    from falcontract.steps import Program
    from falcontract.targets import Target
    from falcontract.traces import Trace

AGREEMENT: Final = "P55"  # of the clients with the wire


@dataclass
class Finding:
    """A claim that does not hold, and the program that showed it."""

    property: Property
    claim: Claim
    trace: Trace


@dataclass
class PropertyResult:
    """What a property has shown.

    Attributes:
        property: which.
        claims: how many claims it made.
        findings: those that do not hold.
        missing: the abilities that the target lacks for it, or for all of its programs.
        without: clients that it could not ask, because they are not installed.
    """

    property: Property
    claims: int = 0
    findings: list[Finding] = field(default_factory=list)
    missing: frozenset[str] = frozenset()
    without: tuple[str, ...] = ()


def select_properties(ids: Sequence[str] = (), tier: int | None = None) -> list[Property]:
    """Return the properties with these ids (all, without any) up to a tier.

    Raises:
        KeyError: there is no such property.
    """
    every = properties.catalogue()
    known = {p.id: p for p in every}
    found = [known[one.upper()] for one in ids] or every
    return [p for p in found if tier is None or (p.tier is not None and p.tier <= tier)]


def programs_for(wanted: Iterable[Property], tier: int | None = None) -> list[Program]:
    """Return the programs that show these properties, each once."""
    known = programs.catalogue()
    names = dict.fromkeys(name for p in wanted for name in p.programs)
    return [known[name] for name in names if tier is None or known[name].tier <= tier]


def compared() -> frozenset[str]:
    """Return the names of the programs that are taken through both doors."""
    return frozenset(properties.PROPERTIES[AGREEMENT].programs)


async def run_programs(wanted: Iterable[Program], target: Target, *, doors: bool = True) -> list[Trace]:
    """Run programs, each on a fresh target; those that the target cannot run are left out."""
    traces = []
    for program in wanted:
        if program.needs() - target.abilities:
            continue
        begun = time.perf_counter()
        trace = await wire.run(program, target)
        if doors and program.name in compared():
            await agreement.compare(trace, target)
        trace.took = time.perf_counter() - begun
        traces.append(trace)
    return traces


def judge(wanted: Iterable[Property], traces: Sequence[Trace], target: Target) -> list[PropertyResult]:
    """Ask each property what it sees in the traces."""
    return [_ask(p, traces, target) for p in wanted]


def _ask(p: Property, traces: Sequence[Trace], target: Target) -> PropertyResult:
    shown = PropertyResult(p, missing=_missing(p, target))
    if p.id == AGREEMENT:
        shown.without = absent()
    if p.needs - target.abilities:
        return shown
    for trace in traces:
        if p.looks_at(trace):
            _look(shown, trace)
    return shown


def _look(shown: PropertyResult, trace: Trace) -> None:
    for one in shown.property.check(trace):
        shown.claims += 1
        if not one.holds:
            shown.findings.append(Finding(shown.property, one, trace))


def judge_property(p: Property, traces: Iterable[Trace]) -> PropertyResult:
    """Ask a property what it sees in traces, wherever they come from."""
    shown = PropertyResult(p)
    for trace in traces:
        if p.looks_at(trace):
            _look(shown, trace)
    return shown


def _missing(p: Property, target: Target) -> frozenset[str]:
    """Return what the target lacks: for the property itself, or, if no program is left, for the easiest."""
    if lacking := p.needs - target.abilities:
        return frozenset(lacking)
    known = programs.catalogue()
    lacks = [known[name].needs() - target.abilities for name in p.programs]
    return frozenset() if not all(lacks) else min(lacks, key=lambda one: (len(one), sorted(one)))


def rerun(shown: PropertyResult, target: Target) -> PropertyResult:
    """Run the programs in which a property found something again, on that target or on another one.

    A program that the target cannot run, or whose submits it takes otherwise than they were taken, says
    nothing of the finding, and is left out.
    """
    return asyncio.run(_once_more(shown, target))


async def _once_more(shown: PropertyResult, target: Target) -> PropertyResult:
    again = PropertyResult(shown.property)
    for before in {id(f.trace): f.trace for f in shown.findings}.values():
        if before.program.needs() - target.abilities:
            continue
        trace = await wire.run(before.program, target)
        await agreement.compare(trace, target, sorted({look.door for look in before.observations}))
        if [e.ok for e in trace.of("submit")] == [e.ok for e in before.of("submit")]:
            _look(again, trace)
    return again


def run(
    wanted: Sequence[Property],
    target: Target,
    *,
    tier: int | None = None,
    took: dict[str, float] | None = None,
) -> list[PropertyResult]:
    """Run the programs of some properties on a target and judge them.

    Args:
        wanted: the properties.
        target: what they are held against.
        tier: only what costs no more.
        took: is told the real seconds of each program.
    """
    traces = asyncio.run(run_programs(programs_for(wanted, tier), target))
    if took is not None:
        took |= {trace.program.name: trace.took for trace in traces}
    return judge(wanted, traces, target)
