"""Limits on the size and the duration of a call, so that no call delays the others."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on one call. Times are real seconds.

    Attributes:
        header_bytes: of a request line with its headers; more is 431. Node allows 16 KiB, Go 1 MiB.
        headers: fields of one request; more is 431. Apache allows as many.
        head_seconds: from the first byte of a request to the end of its headers; later is 408.
        body_seconds: between two pieces of a body; later is 408. Also how long a reader of an answer may
            stop reading before its connection is cut.
        idle_seconds: that a connection may be open without a request.
        faults: that one request may ask for in its prompt and its headers; more is 400.
        depth: of nested arrays and objects in a JSON body. Python's own parser gives up near 1,000, and
            what writes JSON needs room above the reader.
        members: of arrays and objects in a JSON body. So many take some 10 ms to parse; 14 MiB of `[]`
            take four seconds.
    """

    header_bytes: int = 64 * KIB
    headers: int = 100
    head_seconds: float = 10.0
    body_seconds: float = 60.0
    idle_seconds: float = 60.0
    faults: int = 20
    depth: int = 200
    members: int = 100_000


DEFAULT = Limits()
