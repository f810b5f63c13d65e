"""Runs the suite on each mutant, and reports which properties kill it.

`killers.txt` is the whole kill matrix, the output of `falcontract mutants --full`. A normal run checks the
first property of a row, and all others only if it does not kill the mutant. So an outdated file costs time,
but changes no result.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from falcontract import suite
from falcontract.mutation.catalogue import MUTANTS
from falcontract.mutation.patching import StalePatchError
from falcontract.steps import FAULTS
from falcontract.targets.emulated import RAISED, Emulated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from falcontract.mutation.patching import Mutant
    from falcontract.steps import Program
    from falcontract.suite import PropertyResult, Show
    from falcontract.traces import Exchange, Trace

TIMEOUT: Final = 120.0  # real seconds for a program; only a hanging one takes as long
KILLED: Final = "killed by"


@dataclass(frozen=True)
class MutantResult:
    mutant: str
    killers: tuple[str, ...]
    # signs that the patch itself fails, rather than the emulator misbehaving as described
    broken: tuple[str, ...]
    complete: bool = True  # all properties were checked

    @property
    def killed(self) -> bool:
        """Whether a property is violated by the bug that the mutant describes."""
        return bool(self.killers) and not self.broken


def run_mutants(
    names: Sequence[str], *, processes: int = 2, full: bool = False, show: Show = suite.show_nothing
) -> list[MutantResult]:
    """Run the suite on mutants; with `full`, check all properties on every one."""
    with tempfile.TemporaryDirectory(prefix="falcontract-") as folder:
        warm = Path(folder) / "warm"
        show("the emulator without a mutant")
        baseline = baseline_failures(warm)
        one = partial(run_mutant, warm=warm, homes=Path(folder), baseline=baseline, full=full)
        with ProcessPoolExecutor(processes) as pool:
            results: list[MutantResult] = []
            for result in pool.map(one, names):
                results.append(result)
                show(f"{len(results)} of {len(names)} mutants done")
            return results


def baseline_failures(renders: Path) -> frozenset[str]:
    """Run the suite without a mutant, which renders all clips; return the properties that fail."""
    results = suite.run(suite.select_properties(), Emulated(renders=renders))
    return frozenset(result.property.id for result in results if result.findings)


@cache
def known_killers() -> dict[str, tuple[str, ...]]:
    lines = (files("falcontract.mutation") / "killers.txt").read_text().splitlines()
    rows = [line.partition(KILLED) for line in lines if KILLED in line]
    return {name.strip(): tuple(killers.split()) for name, _, killers in rows}


def run_mutant(
    name: str, *, warm: Path, homes: Path, baseline: frozenset[str] = frozenset(), full: bool = True
) -> MutantResult:
    """Run the suite on one mutant; properties that fail without it are left out."""
    renders = Path(tempfile.mkdtemp(dir=homes)) / "renders"
    shutil.copytree(warm, renders, copy_function=os.link)  # no file is changed
    target = Emulated(renders=renders)
    everything = [p for p in suite.select_properties() if p.id not in baseline]
    first = [p for p in everything if p.id in known_killers().get(name, ())[:1]]
    killers: tuple[str, ...] = ()
    broken: list[str] = []
    wanted = everything
    # A known killer may need only the first of its programs.
    attempts = [] if full else [(first, [program]) for program in suite.programs_for(first)]
    logged: list[str] = []
    try:
        with MUTANTS[name].applied(), _logged_errors() as logged:
            for wanted, programs in [*attempts, (everything, suite.programs_for(everything))]:
                clients = any(suite.is_about_clients(p) for p in wanted)
                traces, failed = asyncio.run(_run_programs(programs, target, clients=clients))
                broken += [*failed, *server_errors(MUTANTS[name], traces)]
                results = suite.judge(wanted, traces, target)
                broken += unreadable(results)
                killers = tuple(result.property.id for result in results if result.findings)
                if killers:
                    break
    except StalePatchError as error:
        broken.append(str(error))
    shutil.rmtree(renders.parent)
    reasons = tuple(dict.fromkeys([*broken, *logged]))
    return MutantResult(name, killers, reasons, complete=wanted is everything)


async def _run_programs(
    wanted: Sequence[Program], target: Emulated, *, clients: bool = True
) -> tuple[list[Trace], list[str]]:
    """Return the traces, and a reason for each program that could not be completed."""
    traces, failed = [], []
    for program in wanted:
        if program.needs() - target.abilities:
            continue
        try:
            async with asyncio.timeout(TIMEOUT):
                traces.append(await suite.run_program(program, target, clients=clients))
        except Exception as error:
            failed.append(f"{program.name}: {error!r:.200}")
    return traces, failed


def unreadable(results: Sequence[PropertyResult]) -> list[str]:
    """Return the checks that failed on the answers of a mutant, instead of making a claim about them."""
    return [
        f"{found.property.id}: {found.claim.text} ({found.trace.program.name})"
        for result in results
        for found in result.findings
        if found.claim.key == suite.UNREADABLE
    ]


def server_errors(mutant: Mutant, traces: Sequence[Trace]) -> list[str]:
    """Return the answers that show an exception in the emulator, or a 500 that the mutant does not intend."""
    return [
        f"{trace.program.name}: {e.step.do} {e.step.job} answered {e.status} {e.error}"
        for trace in traces
        for e in trace.exchanges
        if RAISED in e.error or (e.status == 500 and not mutant.answers_500 and not _is_fault(trace, e))
    ]


def _is_fault(trace: Trace, e: Exchange) -> bool:
    """Return whether a failure is the fault that a rule of the program asks for."""
    kind = e.get("error_type") or (e.details[0].get("type") if e.details else None)
    return any(rule["fault"].partition(" ")[0] == kind for rule in trace.program.setup.get(FAULTS, ()))


@contextmanager
def _logged_errors() -> Iterator[list[str]]:
    """Collect the errors that the emulator logs, in place of its usual log output."""
    found: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR:
                found.append(f"log: {record.getMessage():.200}")

    logs = [logging.getLogger(name) for name in ("falmock", "asyncio")]
    before = [(log.handlers, log.propagate) for log in logs]
    for log in logs:
        log.handlers, log.propagate = [Collector()], False
    try:
        yield found
        gc.collect()  # asyncio logs the exception of a forgotten task when it is collected
    finally:
        for log, (handlers, propagate) in zip(logs, before, strict=True):
            log.handlers, log.propagate = handlers, propagate


def matrix(results: Sequence[MutantResult]) -> str:
    """Return one line per mutant with the properties that kill it."""
    width = max((len(result.mutant) for result in results), default=0)
    lines = []
    for result in results:
        outcome = "BROKEN" if result.broken else KILLED if result.killed else "SURVIVES"
        more = "" if result.complete else " (others not checked)"
        lines.append(f"{result.mutant:{width}}  {outcome} {' '.join(result.killers)}{more}".rstrip())
    return "\n".join(lines)


def useless(results: Sequence[MutantResult]) -> list[str]:
    """Return the properties that kill no mutant of a full run."""
    useful = {killer for result in results if result.killed for killer in result.killers}
    checkable = [p.id for p in suite.select_properties() if not p.needs - Emulated.ABILITIES]
    return [name for name in checkable if name not in useful]
