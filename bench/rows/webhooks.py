"""Webhooks to a local receiver: their rate, and the latency of status polls during the deliveries.

The clock of falmock is stopped, and the receiver refuses the first attempts. So all requests are completed,
and all second attempts are due at the same time when the clock runs again.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from bench.load import drive
from bench.receiver import receiving
from bench.setup import CONNECTIONS
from bench.targets import AT_ONCE, FALMOCK, falmock, request_id_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.figures import Row
    from bench.load import Conversation
    from bench.receiver import Receiver
    from bench.servers import Server
    from bench.setup import Setup

PAUSE: Final = 0.1  # seconds between the polls of one connection
PATIENCE: Final = 300.0  # seconds
SCALE: Final = 1_000  # the recorded pause of two seconds passes in two milliseconds


def webhooks(setup: Setup, row: Row) -> None:
    """Measure the rate without other calls, and then the polls."""
    count = setup.scale.webhooks // CONNECTIONS * CONNECTIONS
    rate = row.figure(f"webhooks: {count:,} due at once, delivered a second")
    cpu = row.figure("webhooks: processor time of a delivery, us")
    p99 = row.figure("webhooks: p99 of a status poll during the deliveries, ms")
    for _ in range(max(1, setup.scale.rounds // 2)):
        with _due(setup, row, count) as (server, receiver):
            before = server.cpu_seconds()
            _release(server)
            rate.add(FALMOCK, count / receiver.wait_for(count, PATIENCE))
            cpu.add(FALMOCK, (server.cpu_seconds() - before) / count * 1e6)
        with _due(setup, row, count) as (server, receiver):
            poll = partial(_poll, server, receiver, count)
            _release(server)
            measured = drive(server.address, poll, connections=CONNECTIONS)
            row.count(measured.errors, measured.first_error)
            p99.add(FALMOCK, measured.percentile(99) * 1e3)
    rate.limit(FALMOCK, "least", 1_000, "a second")
    p99.limit(FALMOCK, "most", 20, "ms")
    row.notes.append(
        f"During the deliveries, {CONNECTIONS} connections poll {1 / PAUSE:g} times a second each."
    )


@contextmanager
def _due(setup: Setup, row: Row, count: int) -> Iterator[tuple[Server, Receiver]]:
    """Run falmock with webhooks that are all due as soon as its clock runs."""
    with receiving() as receiver, setup.serving(falmock(*AT_ONCE, "--time-scale", "0")) as server:
        receiver.answer(500)
        submits = partial(server.api.submits, count // CONNECTIONS, receiver.url)
        measured = drive(server.address, submits, connections=CONNECTIONS)
        row.count(measured.errors, measured.first_error)
        receiver.wait_for(count, PATIENCE)
        time.sleep(0.5)  # until falmock has noted the last answer
        receiver.answer(200)
        yield server, receiver


def _release(server: Server) -> None:
    server.ask(server.api.post("/control/clock", json.dumps({"scale": SCALE}).encode()))


def _poll(server: Server, receiver: Receiver, count: int) -> Conversation:
    """Poll a request a few times a second until all webhooks are delivered."""
    status = server.api.status(request_id_in((yield server.api.submit())))
    at = time.perf_counter()
    while receiver.count < count:
        at += PAUSE
        yield status._replace(at=at)
