"""Runs the suite against each fault of the emulator, and says who noticed.

That somebody notices is shown by the first who does. That a property is no decoration is shown by a fault
that few notice, so of such a fault it must be known of each property whether it notices. Which faults to run
against everything, and whom to ask first about the others, is read from `killers.txt`, what
`falcontract mutants --full` printed once. It is a hint: where it is wrong, more is run, and the answer is
the same.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from falcontract import agreement, suite, wire
from falcontract.emulated import Emulated
from falcontract.mutants import MUTANTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from falcontract.claims import Property
    from falcontract.steps import Program
    from falcontract.traces import Trace

PATIENCE: Final = 30.0  # real seconds that a program may take with a fault
KILLED: Final = "killed by"


@dataclass(frozen=True)
class MutantResult:
    """What the suite noticed of one fault.

    Attributes:
        mutant: its name.
        killers: the properties that noticed.
        broken: programs that could not be taken to their end, and why: the fault is out of date.
        seconds: how long it took.
        whole: every property was asked; otherwise they were asked until one noticed.
    """

    mutant: str
    killers: tuple[str, ...]
    broken: tuple[str, ...]
    seconds: float
    whole: bool = True

    @property
    def killed(self) -> bool:
        """Somebody noticed."""
        return bool(self.killers)


def bite(names: Sequence[str], *, processes: int = 2, full: bool = False) -> list[MutantResult]:
    """Run the suite against these faults, in as many processes as there are cores to spare.

    Args:
        names: of the faults.
        processes: how many.
        full: ask every property about every fault.
    """
    with tempfile.TemporaryDirectory(prefix="falcontract-") as folder:
        warm = Path(folder) / "warm"
        baseline_failures = _warm_up(warm)
        one = partial(run_mutant, warm=warm, homes=Path(folder), baseline_failures=baseline_failures)
        whole = set(names) if full else witnesses(hints(), names)
        with ProcessPoolExecutor(processes, initializer=_quiet) as pool:
            running = {name: pool.submit(one, name, whole=name in whole) for name in names}
            results = {name: bitten.result() for name, bitten in running.items()}
            if set(names) == set(MUTANTS) and toothless(list(results.values())):
                rest = [name for name in names if not results[name].whole]
                results |= dict(zip(rest, pool.map(one, rest), strict=True))
        return [results[name] for name in names]


def _quiet() -> None:
    logging.disable(logging.CRITICAL)  # faults make the emulator complain, as they should


def _warm_up(renders: Path) -> frozenset[str]:
    """Let ffmpeg make every clip once; return the properties that fail without any fault."""
    target = Emulated(renders=renders)
    shown = suite.run(suite.select_properties(), target)
    return frozenset(one.property.id for one in shown if one.findings)


@cache
def hints() -> dict[str, tuple[str, ...]]:
    """Return who noticed each fault when it was last run against everything."""
    lines = (files("falcontract") / "killers.txt").read_text().splitlines()
    rows = [line.partition(KILLED) for line in lines if KILLED in line]
    return {name.strip(): tuple(killers.split()) for name, _, killers in rows}


def witnesses(rows: dict[str, tuple[str, ...]], names: Iterable[str]) -> set[str]:
    """Return faults of which few take notice, such that each property that notices one has one here."""
    few = {name: set(rows[name]) for name in names if len(rows.get(name, ())) - 1 <= _half()}
    left = set().union(*few.values())
    found = set()
    while left:
        best = max(few, key=lambda name: len(few[name] & left))
        found.add(best)
        left -= few[best]
    return found


def run_mutant(
    name: str, *, warm: Path, homes: Path, baseline_failures: frozenset[str] = frozenset(), whole: bool = True
) -> MutantResult:
    """Run the suite against one fault; who is `baseline_failures` already cannot notice anything."""
    begun = time.monotonic()
    renders = Path(tempfile.mkdtemp(dir=homes)) / "renders"
    shutil.copytree(warm, renders)
    target = Emulated(renders=renders)
    everybody = [p for p in suite.select_properties() if p.id not in baseline_failures]
    killers: tuple[str, ...] = ()
    broken: list[str] = []
    with MUTANTS[name].applied():
        for wanted in [everybody] if whole else _in_turn(name, everybody):
            traces, failed = asyncio.run(_traces(suite.programs_for(wanted), target))
            broken += failed
            shown = suite.judge(wanted, traces, target)
            if killers := tuple(one.property.id for one in shown if one.findings):
                break
    shutil.rmtree(renders.parent)
    return MutantResult(
        name, killers, tuple(dict.fromkeys(broken)), time.monotonic() - begun, whole=wanted is everybody
    )


def _in_turn(name: str, everybody: list[Property]) -> Iterator[list[Property]]:
    """Yield first who is known to notice, each alone and the quickest first, and then all of them."""
    known = [p for p in everybody if p.id in hints().get(name, ())]
    yield from ([p] for p in sorted(known, key=_effort))
    yield everybody


def _effort(p: Property) -> float:
    """Return about how long a property takes to look: what it asks, and how much it sends."""
    steps = [step for program in suite.programs_for([p]) for step in program.steps]
    return sum(step.times + len(str(step.input)) / 10_000 for step in steps)


async def _traces(wanted: Sequence[Program], target: Emulated) -> tuple[list[Trace], list[str]]:
    traces, broken = [], []
    for program in wanted:
        if program.needs() - target.abilities:
            continue
        try:
            async with asyncio.timeout(PATIENCE):
                trace = await wire.run(program, target)
                if program.name in suite.compared():
                    await agreement.compare(trace, target)
            traces.append(trace)
        except Exception as error:
            broken.append(f"{program.name}: {error!r:.200}")
    return traces, broken


def table(results: Sequence[MutantResult]) -> str:
    """Return mutant x property as text: one line for each fault."""
    wide = max((len(one.mutant) for one in results), default=0)
    lines = [
        f"{one.mutant:{wide}}  {KILLED if one.killed else 'SURVIVES'} {' '.join(one.killers)}"
        + ("" if one.whole else " (who was asked first)")
        for one in results
    ]
    return "\n".join(lines)


def toothless(results: Sequence[MutantResult]) -> list[str]:
    """Return the properties that kill no fault which half of the others leave alive."""
    sharp = {p for one in results if one.whole and len(one.killers) - 1 <= _half() for p in one.killers}
    return [p.id for p in _shown() if p.id not in sharp]


def _shown() -> list[Property]:
    return [p for p in suite.select_properties() if not (p.needs - frozenset(Emulated.ABLE))]


def _half() -> float:
    """Return half of the number of all properties but one."""
    return (len(_shown()) - 1) / 2
