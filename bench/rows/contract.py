"""The generated programs of the contract suite, without sockets, in two processes as in `make contract`."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from bench.servers import on_all_cores
from bench.targets import FALMOCK

if TYPE_CHECKING:
    from bench.figures import Row
    from bench.setup import Setup

PROGRAM = """
import os, sys, time
from falcontract.explore.machine import explore
from falcontract.runs import PROCESSES, emulated

programs, seed = map(int, sys.argv[1:])
with emulated() as target:
    explore(target, programs=1, seed=seed)  # imports and caches
    began = time.perf_counter()
    before = sum(os.times()[:4])
    if (found := explore(target, programs=programs, seed=seed, processes=PROCESSES)) is not None:
        sys.exit(str(found))
    print(time.perf_counter() - began, sum(os.times()[:4]) - before)
"""


def programs(setup: Setup, row: Row) -> None:
    """Run generated programs."""
    count = setup.scale.programs
    seconds = row.figure(f"{count} generated contract programs, s")
    cpu = row.figure("generated contract programs: processor time, s")
    for seed in range(setup.scale.rounds):
        command = [sys.executable, "-c", PROGRAM, str(count), str(seed)]
        with on_all_cores():
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            row.count(1, done.stderr)
            return
        for figure, value in zip((seconds, cpu), done.stdout.split(), strict=True):
            figure.add(FALMOCK, float(value))
    seconds.limit(FALMOCK, "most", 3, "s")
