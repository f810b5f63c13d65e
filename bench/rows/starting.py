"""The time of a start, and the memory."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bench.load import drive
from bench.setup import CONNECTIONS
from bench.targets import AIMOCK, AT_ONCE, BARE, FALMOCK, compared, falmock

if TYPE_CHECKING:
    from bench.figures import Row
    from bench.setup import Setup


def start(setup: Setup, row: Row) -> None:
    """Measure from the start to the answer to the first submit."""
    seconds = row.figure("start until the first answered submit, s")
    cpu = row.figure("start: processor time, s")
    for number in range(-1, setup.scale.starts):  # the first one fills the caches of the disk
        for target in compared(*AT_ONCE):
            with setup.serving(target) as server:
                if number >= 0:
                    seconds.add(target.name, server.start_seconds)
                    cpu.add(target.name, server.start_cpu)
    seconds.compare(FALMOCK, BARE, "most", 2)
    seconds.compare(FALMOCK, AIMOCK, "most", 1.5)
    cpu.compare(FALMOCK, BARE)
    cpu.compare(FALMOCK, AIMOCK)
    row.notes.append("Each start of falmock makes a new state folder.")


def memory(setup: Setup, row: Row) -> None:
    """Measure the memory after the start and after the first request, and its growth with many more."""
    count = setup.scale.requests
    idle = row.figure("memory idle, MB")
    used = row.figure("memory after the first request, MB")
    growth = row.figure(f"memory: growth over {count:,} requests, MB")
    for target in compared(*AT_ONCE):
        with setup.serving(target, called=False) as server:
            server.settle()
            idle.add(target.name, server.memory())
            server.complete_one()
            server.settle()
            used.add(target.name, server.memory())
    with setup.serving(falmock(*AT_ONCE), called=False) as server:
        server.complete_one()
        server.settle()
        before = server.memory()
        talk = partial(server.api.flows, count // CONNECTIONS)
        measured = drive(server.address, talk, connections=CONNECTIONS)
        row.count(measured.errors, measured.first_error)
        growth.add(FALMOCK, server.memory() - before)
    idle.limit(FALMOCK, "most", 50, "MB")
    row.notes.append(
        "The growth starts after the first request, whose run loads modules, and includes the journal."
    )
    growth.limit(FALMOCK, "most", 10, "MB")
