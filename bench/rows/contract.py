"""The generated programs of the contract suite, in one process and without sockets."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from bench.targets import FALMOCK

if TYPE_CHECKING:
    from bench.figures import Row
    from bench.setup import Setup

PROGRAM = """
import sys, time
from falcontract.explore.machine import explore
from falcontract.runs import emulated

programs, seed = map(int, sys.argv[1:])
with emulated() as target:
    explore(target, programs=1, seed=seed)  # imports and caches
    began = time.perf_counter()
    if (found := explore(target, programs=programs, seed=seed)) is not None:
        sys.exit(str(found))
    print(time.perf_counter() - began)
"""


def programs(setup: Setup, row: Row) -> None:
    """Run generated programs."""
    count = setup.scale.programs
    seconds = row.figure(f"{count} made-up contract programs, s")
    for seed in range(setup.scale.rounds):
        command = [sys.executable, "-c", PROGRAM, str(count), str(seed)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            row.count(1, done.stderr)
            return
        seconds.add(FALMOCK, float(done.stdout))
    seconds.limit(FALMOCK, "most", 3, "s")
