"""Runs programs on a target and checks the properties against the traces."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from falcontract.clients import agreement
from falcontract.clients.base import FALQUEUE, missing_clients
from falcontract.programs import catalogue as programs
from falcontract.properties import catalogue as properties
from falcontract.properties.claims import Claim
from falcontract.targets import wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from falcontract.properties.claims import Property
    from falcontract.steps import Program
    from falcontract.targets.base import Target
    from falcontract.traces import Trace

Show = Callable[[str], None]  # shows what runs now, in a few words

AGREEMENT: Final = "P55"  # its programs are repeated with the clients
UNREADABLE: Final = "unreadable"  # the key of the claim that a check can read the answers


def show_nothing(text: str) -> None:
    del text


@dataclass
class Finding:
    """A claim that does not hold, and the trace that shows it."""

    property: Property
    claim: Claim
    trace: Trace


@dataclass
class PropertyResult:
    """The outcome of a property over some traces."""

    property: Property
    claims: int = 0
    findings: list[Finding] = field(default_factory=list)  # claims that do not hold
    # abilities that the target lacks for the property, or for all of its programs
    missing: frozenset[str] = frozenset()
    missing_clients: tuple[str, ...] = ()  # clients that are not installed, if the property is about clients


def select_properties(ids: Sequence[str] = (), tier: int | None = None) -> list[Property]:
    """Return the properties with these ids (by default all), up to a tier.

    Raises:
        KeyError: an id is unknown.
    """
    found = [properties.PROPERTIES[name.upper()] for name in ids] or properties.catalogue()
    return [p for p in found if tier is None or (p.tier is not None and p.tier <= tier)]


def programs_for(wanted: Iterable[Property], tier: int | None = None) -> list[Program]:
    """Return the programs of some properties, each once."""
    known = programs.catalogue()
    names = dict.fromkeys(name for p in wanted for name in p.programs)
    return [known[name] for name in names if tier is None or known[name].tier <= tier]


async def run_program(program: Program, target: Target, *, clients: bool = True) -> Trace:
    """Run a program on a fresh target, and repeat it with the clients if `AGREEMENT` names it."""
    begun = time.perf_counter()
    trace = await wire.run(program, target)
    if clients and program.name in properties.PROPERTIES[AGREEMENT].programs:
        await agreement.compare(trace, target)
    elif clients and program.is_for_clients() and FALQUEUE not in missing_clients():
        await agreement.compare(trace, target, [FALQUEUE])
    trace.seconds = time.perf_counter() - begun
    return trace


async def run_programs(
    wanted: Iterable[Program], target: Target, *, clients: bool = True, show: Show = show_nothing
) -> list[Trace]:
    """Run the programs that the target has the abilities for."""
    possible = [program for program in wanted if not program.needs() - target.abilities]
    traces = []
    for number, program in enumerate(possible, 1):
        show(f"program {number} of {len(possible)}: {program.name}")
        traces.append(await run_program(program, target, clients=clients))
    return traces


def judge(wanted: Iterable[Property], traces: Sequence[Trace], target: Target) -> list[PropertyResult]:
    """Check properties against the traces of a target."""
    results = []
    for p in wanted:
        result = PropertyResult(p) if p.needs - target.abilities else judge_property(p, traces)
        result.missing = _missing(p, target)
        result.missing_clients = missing_clients() if p.id == AGREEMENT else ()
        results.append(result)
    return results


def judge_property(p: Property, traces: Iterable[Trace]) -> PropertyResult:
    """Check one property against the traces that it applies to."""
    result = PropertyResult(p)
    for trace in traces:
        if p.applies_to(trace):
            _check(result, trace)
    return result


def _check(result: PropertyResult, trace: Trace) -> None:
    """Check a property against a trace. Answers that the check cannot read are a finding too."""
    try:
        for claim in result.property.check(trace):
            result.claims += 1
            if not claim.holds:
                result.findings.append(Finding(result.property, claim, trace))
    except Exception as error:
        claim = Claim(UNREADABLE, holds=False, text=f"the check failed: {error!r:.200}")
        result.findings.append(Finding(result.property, claim, trace))


def _missing(p: Property, target: Target) -> frozenset[str]:
    """Return the missing abilities: of the property or, if no program can run, of its least demanding one."""
    if lacking := p.needs - target.abilities:
        return frozenset(lacking)
    known = programs.catalogue()
    lacks = [known[name].needs() - target.abilities for name in p.programs]
    return frozenset() if not all(lacks) else min(lacks, key=lambda one: (len(one), sorted(one)))


def rerun(result: PropertyResult, target: Target) -> PropertyResult:
    """Run the programs with findings once more, on the same or another target.

    A program is skipped if the target cannot run it, or if a submit is now accepted that was refused before,
    or the other way round.
    """
    return asyncio.run(_rerun(result, target))


async def _rerun(result: PropertyResult, target: Target) -> PropertyResult:
    again = PropertyResult(result.property)
    for before in {id(f.trace): f.trace for f in result.findings}.values():
        if before.program.needs() - target.abilities:
            continue
        trace = await wire.run(before.program, target)
        await agreement.compare(trace, target, clients_of(before))
        if [e.ok for e in trace.of("submit")] == [e.ok for e in before.of("submit")]:
            _check(again, trace)
    return again


def is_about_clients(p: Property) -> bool:
    """Return whether a property looks at what clients do."""
    known = programs.catalogue()
    return p.id == AGREEMENT or any(known[name].is_for_clients() for name in p.programs)


def clients_of(trace: Trace) -> list[str]:
    """Return the clients that repeated a trace."""
    names = {seen.client for seen in trace.observations} | {sent.client for sent in trace.sent}
    return sorted(names | {outcome.client for outcome in trace.outcomes})


def run(
    wanted: Sequence[Property],
    target: Target,
    *,
    tier: int | None = None,
    durations: dict[str, float] | None = None,
    show: Show = show_nothing,
) -> list[PropertyResult]:
    """Run the programs of some properties on a target, up to a tier, and judge them.

    `durations` receives the real seconds of each program.
    """
    traces = asyncio.run(run_programs(programs_for(wanted, tier), target, show=show))
    if durations is not None:
        durations |= {trace.program.name: trace.seconds for trace in traces}
    return judge(wanted, traces, target)
