"""Runs the suite against each fault of the emulator, and says who noticed."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from falcontract import agreement, suite, wire
from falcontract.emulated import Emulated
from falcontract.mutants import MUTANTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from falcontract.steps import Program
    from falcontract.traces import Trace

PATIENCE: Final = 30.0  # real seconds that a program may take with a fault


@dataclass(frozen=True)
class Bite:
    """What the suite noticed of one fault.

    Attributes:
        mutant: its name.
        killers: the properties that noticed.
        broken: programs that could not be taken to their end, and why: the fault is out of date.
        seconds: how long it took.
    """

    mutant: str
    killers: tuple[str, ...]
    broken: tuple[str, ...]
    seconds: float

    @property
    def killed(self) -> bool:
        """Somebody noticed."""
        return bool(self.killers)


def bite(names: Sequence[str], *, processes: int = 2) -> list[Bite]:
    """Run the suite against these faults, in as many processes as there are cores to spare."""
    with tempfile.TemporaryDirectory(prefix="falcontract-") as folder:
        warm = Path(folder) / "warm"
        sore = _warm_up(warm)
        with ProcessPoolExecutor(processes, initializer=_quiet) as pool:
            return list(pool.map(partial(bite_one, warm=warm, homes=Path(folder), sore=sore), names))


def _quiet() -> None:
    logging.disable(logging.CRITICAL)  # faults make the emulator complain, as they should


def _warm_up(renders: Path) -> frozenset[str]:
    """Let ffmpeg make every clip once; return the properties that fail without any fault."""
    target = Emulated(renders=renders)
    shown = suite.run(suite.chosen(), target)
    return frozenset(one.property.id for one in shown if one.findings)


def bite_one(name: str, *, warm: Path, homes: Path, sore: frozenset[str] = frozenset()) -> Bite:
    """Run the suite against one fault; who is `sore` already cannot notice anything."""
    begun = time.monotonic()
    renders = Path(tempfile.mkdtemp(dir=homes)) / "renders"
    shutil.copytree(warm, renders)
    target = Emulated(renders=renders)
    wanted = [p for p in suite.chosen() if p.id not in sore]
    with MUTANTS[name].applied():
        traces, broken = asyncio.run(_traces(suite.programs_for(wanted), target))
    shown = suite.judge(wanted, traces, target)
    shutil.rmtree(renders.parent)
    killers = tuple(one.property.id for one in shown if one.findings)
    return Bite(name, killers, tuple(broken), time.monotonic() - begun)


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


def table(bites: Sequence[Bite]) -> str:
    """Return mutant x property as text: one line for each fault."""
    wide = max((len(one.mutant) for one in bites), default=0)
    lines = [
        f"{one.mutant:{wide}}  {'killed by' if one.killed else 'SURVIVES'} {' '.join(one.killers)}"
        for one in bites
    ]
    return "\n".join(lines)


def toothless(bites: Sequence[Bite]) -> list[str]:
    """Return the properties that kill no fault which half of the others leave alive."""
    shown = [p for p in suite.chosen() if not (p.needs - frozenset(Emulated.ABLE))]
    limit = (len(shown) - 1) / 2
    sharp = {p for one in bites if len(one.killers) - 1 <= limit for p in one.killers}
    return [p.id for p in shown if p.id not in sharp]
