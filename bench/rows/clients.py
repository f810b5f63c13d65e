"""Many clients that poll, while status streams are open."""

from __future__ import annotations

import random
import socket
import time
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from bench.load import drive
from bench.targets import FALMOCK, MODEL, falmock, request_id_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.figures import Row
    from bench.load import Conversation
    from bench.servers import Server
    from bench.setup import Setup

PAUSE: Final = 0.1  # seconds between the polls of one client
LONGER: Final = 4  # rounds of load that it lasts
EVENT: Final = b"data: {"


def clients(setup: Setup, row: Row) -> None:
    """Poll with many clients, one request each, with the default settings of falmock."""
    scale = setup.scale
    p99 = row.figure(f"{scale.clients} clients poll, {scale.streams} streams: p99, ms")
    rate = row.figure("clients: calls a second (10 each)")
    cpu = row.figure("clients: processor time of a call, us")
    for _ in range(max(1, scale.rounds // 2)):
        with setup.serving(falmock()) as server, ExitStack() as stack:
            server.complete_one()  # the first run loads modules, for all that follow
            ids = [request_id_in(server.ask(server.api.submit().request)) for _ in range(scale.clients)]
            streams = [stack.enter_context(_stream(server, each)) for each in ids[: scale.streams]]
            talk = partial(_poll, server, iter(ids), time.perf_counter() + scale.seconds * LONGER)
            before = server.cpu_seconds()
            measured = drive(server.address, talk, connections=scale.clients)
            used = server.cpu_seconds() - before
            row.count(measured.errors, measured.first_error)
            for stream in streams:
                _check(row, stream)
            p99.add(FALMOCK, measured.percentile(99) * 1e3)
            rate.add(FALMOCK, measured.rate)
            cpu.add(FALMOCK, used / len(measured.latencies) * 1e6)
    p99.limit(FALMOCK, "most", 50, "ms")
    row.notes.append(
        "The latency of a poll counts from the time when it is due. 2 requests run, the others wait. "
        "One request has run before."
    )


def _poll(server: Server, unpolled: Iterator[str], until: float) -> Conversation:
    status = server.api.status(next(unpolled))
    at = time.perf_counter() + random.uniform(0, PAUSE)  # noqa: S311 - no secret
    while at < until:
        yield status._replace(at=at)
        at = max(at + PAUSE, time.perf_counter())  # a client waits for an answer before it polls again


def _stream(server: Server, request_id: str) -> socket.socket:
    stream = socket.create_connection(server.address)
    stream.sendall(server.api.get(f"{MODEL}/requests/{request_id}/status/stream"))
    return stream


def _check(row: Row, stream: socket.socket) -> None:
    """Count an error unless the stream has begun and had events."""
    stream.settimeout(0)
    received = b""
    with suppress(BlockingIOError):
        while piece := stream.recv(65536):
            received += piece
    if received[9:12] != b"200" or EVENT not in received:
        row.count(1, f"a status stream got {received[:300]!r}")
