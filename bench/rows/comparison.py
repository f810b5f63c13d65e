"""Flows and status polls of falmock and the others."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from bench.load import drive
from bench.setup import CONNECTIONS
from bench.targets import AIMOCK, AT_ONCE, BARE, FALMOCK, RUNNING, compared

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.figures import Row
    from bench.load import Conversation, Measured
    from bench.servers import Server
    from bench.setup import Scale, Setup


def in_turns(
    row: Row,
    scale: Scale,
    servers: Sequence[tuple[Server, Callable[[], Conversation]]],
    note: Callable[[int, Measured, float], None],
) -> None:
    """Load servers in turns, after one round to warm them up.

    Args:
        row: gets the errors.
        scale: of the load.
        servers: each with the conversations to hold.
        note: gets the position of the server, the results, and the processor time of a call in microseconds.
    """
    for number in range(-1, scale.rounds):
        for position, (server, talk) in enumerate(servers):
            before = server.cpu_seconds()
            measured = drive(server.address, talk, connections=CONNECTIONS, seconds=scale.seconds)
            row.count(measured.errors, measured.first_error)
            used = server.cpu_seconds() - before
            if number >= 0:
                note(position, measured, used / len(measured.latencies) * 1e6)


def flows(setup: Setup, row: Row) -> None:
    """Measure flows: submit, status until completed, result."""
    rate = row.figure("flows: calls a second")
    p99 = row.figure("flows: p99 of a call, ms")
    cpu = row.figure("flows: processor time of a call, us")
    targets = compared(*AT_ONCE)

    def note(position: int, measured: Measured, used: float) -> None:
        name = targets[position].name
        rate.add(name, measured.rate)
        p99.add(name, measured.percentile(99) * 1e3)
        cpu.add(name, used)

    with ExitStack() as stack:
        servers = [stack.enter_context(setup.serving(target)) for target in targets]
        in_turns(row, setup.scale, [(server, server.api.flows) for server in servers], note)
    rate.compare(FALMOCK, BARE, "least", 0.8)
    rate.compare(FALMOCK, AIMOCK, "least", 1.2)
    p99.compare(FALMOCK, AIMOCK, "most", 1)
    cpu.compare(FALMOCK, BARE)
    cpu.compare(FALMOCK, AIMOCK)


def polls(setup: Setup, row: Row) -> None:
    """Measure polls: each connection polls its own request."""
    rate = row.figure("polls: calls a second")
    cpu = row.figure("polls: processor time of a call, us")
    targets = compared(*RUNNING)

    def note(position: int, measured: Measured, used: float) -> None:
        name = targets[position].name
        rate.add(name, measured.rate)
        cpu.add(name, used)

    with ExitStack() as stack:
        servers = [stack.enter_context(setup.serving(target)) for target in targets]
        in_turns(row, setup.scale, [(server, server.api.polls) for server in servers], note)
    rate.compare(FALMOCK, BARE, "least", 0.9)
    rate.compare(FALMOCK, AIMOCK)
    cpu.compare(FALMOCK, BARE)
    cpu.compare(FALMOCK, AIMOCK)
    row.notes.append("The polled requests of falmock are running, those of the others are completed.")
