"""The load generator: one thread, plain sockets, prepared requests and little parsing.

A conversation is a generator: it yields a `Call`, and receives the answer with its head. An answer with a
status that the call does not expect is an error: it is counted, and the conversation ends.
"""

from __future__ import annotations

import heapq
import itertools
import math
import re
import selectors
import socket
import time
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    Conversation = Generator["Call", bytes, None]


class BenchError(Exception):
    """A row cannot be measured; the text says why."""


Address = tuple[str, int]

PATIENCE: Final = 60.0  # seconds without any answer
PIECE: Final = 256 * 1024  # bytes
_SHORT: Final = 0.001  # seconds
_clock: Final = time.perf_counter
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_LAST_CHUNK: Final = b"0\r\n\r\n"


class Call(NamedTuple):
    """A call to send.

    Attributes:
        request: the bytes.
        expected: the statuses that an answer may have, as bytes.
        at: when it is due, by `time.perf_counter`; its latency counts from then. 0: now.
    """

    request: bytes
    expected: frozenset[bytes]
    at: float = 0.0


OK: Final = frozenset({b"200"})
OK_OR_ACCEPTED: Final = frozenset({b"200", b"202"})


@dataclass
class Measured:
    """The results of one load.

    Attributes:
        seconds: from the first call to the last answer.
        latencies: of all calls, in seconds.
        errors: the number of calls without an expected answer.
        first_error: the answer to the first of them.
    """

    seconds: float = 0.0
    latencies: array[float] = field(default_factory=lambda: array("d"))
    errors: int = 0
    first_error: str = ""

    @property
    def rate(self) -> float:
        """Calls a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, percent: float) -> float:
        """Return a percentile of the latencies, in seconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]

    def note(self, error: str) -> None:
        self.errors += 1
        self.first_error = self.first_error or error


class _Connection:
    __slots__ = ("call", "conversation", "received", "sent_at", "socket")

    def __init__(self, address: Address, conversation: Conversation) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.sent_at = 0.0
        self.conversation = conversation
        self.call = next(conversation)


def is_complete(data: bytes) -> bool:
    """Return whether an answer is complete."""
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return False
    if match := _LENGTH.search(data, 0, head):
        return len(data) >= head + 4 + int(match[1])
    return data.endswith(_LAST_CHUNK)


def is_complete_call(data: bytes) -> bool:
    """Return whether a call is complete; without a length, it has no body."""
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return False
    match = _LENGTH.search(data, 0, head)
    return len(data) >= head + 4 + (int(match[1]) if match else 0)


def drive(
    address: Address,
    talk: Callable[[], Conversation],
    *,
    connections: int = 16,
    seconds: float = math.inf,
) -> Measured:
    """Hold conversations on several connections until the time is over, or all have ended.

    Without any answer in that time, as on a busy machine, it goes on until there is one.

    Raises:
        BenchError: there is no answer at all.
    """
    load = _Load([_Connection(address, talk()) for _ in range(connections)])
    try:
        load.run(seconds)
    finally:
        load.close()
    if not load.measured.latencies:
        raise BenchError(f"no answer: {load.measured.first_error}")
    return load.measured


class _Load:
    def __init__(self, connections: Sequence[_Connection]) -> None:
        self.measured = Measured()
        self._connections = connections
        self._busy = len(connections)
        self._waiting: list[tuple[float, int, _Connection]] = []  # calls that are not yet due
        self._order = itertools.count()
        self._selector = selectors.DefaultSelector()
        for connection in connections:
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)

    def run(self, seconds: float) -> None:
        """Send and receive."""
        measured, select = self.measured, self._selector.select
        began = last = now = _clock()
        end = began + seconds
        for connection in self._connections:
            self._send(connection)
        while self._busy and (now < end or not measured.latencies):
            if self._waiting:
                self._send_due(now)
            timeout = min(end, self._waiting[0][0] if self._waiting else end, now + 1.0) - now
            if events := select(max(timeout, _SHORT)):
                last = now
                for key, _ in events:
                    self._receive(key.data)
            elif now - last > PATIENCE:
                measured.note(f"no answer for {PATIENCE:g} seconds")
                break
            now = _clock()
        measured.seconds = now - began

    def _send(self, connection: _Connection) -> None:
        call = connection.call
        if call.at > _clock():
            heapq.heappush(self._waiting, (call.at, next(self._order), connection))
            return
        connection.sent_at = call.at or _clock()
        connection.socket.sendall(call.request)

    def _send_due(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            at, _, connection = heapq.heappop(self._waiting)
            connection.sent_at = at
            connection.socket.sendall(connection.call.request)

    def _receive(self, connection: _Connection) -> None:
        data = connection.socket.recv(PIECE)
        if not data:
            self._end(connection)
            self.measured.note(f"the server closed a connection after {connection.received!r}")
            return
        if connection.received:
            data = connection.received + data
        if not is_complete(data):
            connection.received = data
            return
        connection.received = b""
        self.measured.latencies.append(_clock() - connection.sent_at)
        if data[9:12] not in connection.call.expected:
            self.measured.note(data[:500].decode(errors="replace"))
            self._end(connection)
            return
        try:
            connection.call = connection.conversation.send(data)
        except StopIteration:
            self._end(connection)
            return
        self._send(connection)

    def _end(self, connection: _Connection) -> None:
        self._selector.unregister(connection.socket)
        self._busy -= 1

    def close(self) -> None:
        self._selector.close()
        for connection in self._connections:
            connection.socket.close()
