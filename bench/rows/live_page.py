"""Polls during a burst of submits, with and without an open live page."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from bench.load import drive
from bench.setup import CONNECTIONS
from bench.targets import AT_ONCE, FALMOCK, falmock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.figures import Row
    from bench.load import Conversation
    from bench.servers import Server
    from bench.setup import Setup

PAGE: Final = "/ui/live/"  # the events of the list of requests
BURST: Final = 100  # submits a second
LONGER: Final = 2  # rounds of load that it lasts


def live_page(setup: Setup, row: Row) -> None:
    """Poll on all connections but one, which submits; with and without the page, in turns."""
    rate = row.figure(f"polls during {BURST} submits a second, page open: calls a second")
    without = row.figure("the same without the page")
    cpu = row.figure("processor time of a call, page open, us")
    cpu_without = row.figure("the same without the page")
    with setup.serving(falmock(*AT_ONCE)) as server:
        with _open_page(server):  # opening it for the first time loads its modules
            _measure(setup, row, server)
        for _ in range(setup.scale.rounds):
            calls, used = _measure(setup, row, server)
            without.add(FALMOCK, calls)
            cpu_without.add(FALMOCK, used)
            with _open_page(server) as received:
                calls, used = _measure(setup, row, server)
            rate.add(FALMOCK, calls)
            cpu.add(FALMOCK, used)
            if not received():
                row.count(1, "the page got no event")
    rate.compare_with(without, FALMOCK, "of that without the page", "least", 0.9)
    cpu.compare_with(cpu_without, FALMOCK, "of that without the page")


def _measure(setup: Setup, row: Row, server: Server) -> tuple[float, float]:
    """Return the calls a second, and the processor time of a call in microseconds."""
    until = time.perf_counter() + setup.scale.seconds * LONGER
    polling = (_poll(server, until) for _ in range(CONNECTIONS - 1))
    talks = iter([_submit(server, until), *polling])
    before = server.cpu_seconds()
    measured = drive(server.address, talks.__next__, connections=CONNECTIONS)
    row.count(measured.errors, measured.first_error)
    used = server.cpu_seconds() - before
    return measured.rate, used / len(measured.latencies) * 1e6


def _submit(server: Server, until: float) -> Conversation:
    submit, at = server.api.submit(), time.perf_counter()
    while at < until:
        yield submit._replace(at=at)
        at += 1 / BURST


def _poll(server: Server, until: float) -> Conversation:
    polls = server.api.polls()
    answer = yield next(polls)
    while time.perf_counter() < until:
        answer = yield polls.send(answer)


@contextmanager
def _open_page(server: Server) -> Iterator[Callable[[], bool]]:
    """Read the events of the page during a block; yields a function that returns whether there were any."""
    events = 0

    def read() -> None:
        nonlocal events
        while piece := stream.recv(65536):
            events += piece.count(b"data: ")

    with socket.create_connection(server.address) as stream:
        stream.sendall(server.api.get(PAGE))
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield lambda: events > 0
        finally:
            stream.shutdown(socket.SHUT_RDWR)
            reader.join()
