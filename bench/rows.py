"""The rows of the table. Each starts its own servers, so that each can be measured alone."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

from bench.figures import Row
from bench.load import drive
from bench.targets import AT_ONCE, BARE, Api, compared, falmock, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.load import Conversation, Measured
    from bench.scale import Scale
    from bench.targets import Server, Target

CONNECTIONS: Final = 16
RUNNING: Final = ("--queue-seconds", "0", "--run-seconds", "86400", *AT_ONCE[4:])

FALMOCK: Final = "falmock"
BARE_NAME: Final = BARE.name
AIMOCK: Final = "aimock"


def interleaved(
    row: Row,
    targets: Sequence[Target],
    talk: Callable[[Api], Conversation],
    scale: Scale,
    measure: Callable[[Server, Measured, float], None],
) -> None:
    """Load all targets in turns; `measure` gets each round's server, measurements and processor seconds."""
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(target)) for target in targets]
        for number in range(-1, scale.rounds):
            for server in servers:
                before = server.cpu_seconds()
                measured = drive(
                    server.address,
                    partial(talk, server.api),
                    connections=CONNECTIONS,
                    seconds=scale.warm_up if number < 0 else scale.seconds,
                )
                row.count(measured.errors, measured.first_error)
                if number >= 0:
                    measure(server, measured, server.cpu_seconds() - before)


def flows(scale: Scale) -> Row:
    row = Row("flows", "Submit, status until completed, result")
    rate = row.figure("flows: calls a second")
    p99 = row.figure("flows: p99, ms")
    cpu = row.figure("flows: processor time of a call, us")

    def measure(server: Server, measured: Measured, seconds: float) -> None:
        rate.add(server.target.name, measured.rate)
        p99.add(server.target.name, measured.percentile(99) * 1e3)
        cpu.add(server.target.name, seconds / len(measured.latencies) * 1e6)

    interleaved(row, compared(), Api.flows, scale, measure)
    rate.compare(FALMOCK, BARE_NAME, "least", 0.8)
    rate.compare(FALMOCK, AIMOCK, "least", 1.2)
    p99.compare(FALMOCK, AIMOCK, "most", 1.0)
    cpu.show(FALMOCK, BARE_NAME)
    cpu.show(FALMOCK, AIMOCK)
    return row


def polls(scale: Scale) -> Row:
    row = Row("polls", "Status polls alone")
    rate = row.figure("polls: calls a second")
    cpu = row.figure("polls: processor time of a call, us")

    def measure(server: Server, measured: Measured, seconds: float) -> None:
        rate.add(server.target.name, measured.rate)
        cpu.add(server.target.name, seconds / len(measured.latencies) * 1e6)

    targets = [falmock(*RUNNING), *compared()[1:]]
    interleaved(row, targets, Api.polls, scale, measure)
    rate.compare(FALMOCK, BARE_NAME, "least", 0.9)
    cpu.show(FALMOCK, BARE_NAME)
    row.notes.append("The polled requests of falmock run; those of the others are completed.")
    return row


def start(scale: Scale) -> Row:
    row = Row("start", "Start")
    seconds = row.figure("start until the first answered submit, s")
    for number in range(-1, scale.starts):
        for target in compared():
            with serving(target) as server:
                if number >= 0:
                    seconds.add(target.name, server.start_seconds)
    seconds.compare(FALMOCK, BARE_NAME, "most", 2.0)
    seconds.compare(FALMOCK, AIMOCK, "most", 1.5)
    row.notes.append("falmock starts with a new state folder each time.")
    return row


def memory(scale: Scale) -> Row:
    row = Row("memory", "Memory")
    idle = row.figure("memory after the first submit, MB")
    growth = row.figure(f"memory: growth over {scale.requests:,} requests, MB")
    for target in compared():
        with serving(target) as server:
            before = server.memory()
            idle.add(target.name, before)
            measured = drive(
                server.address,
                partial(server.api.flows, scale.requests // CONNECTIONS),
                connections=CONNECTIONS,
            )
            row.count(measured.errors, measured.first_error)
            growth.add(target.name, server.memory() - before)
    idle.limit(FALMOCK, "most", 50, "MB")
    growth.limit(FALMOCK, "most", 10, "MB")
    return row


ROWS: Final = {
    "flows": flows,
    "polls": polls,
    "start": start,
    "memory": memory,
}
