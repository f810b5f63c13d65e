"""Limits on the size and the duration of a call, so that no call delays others."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on one call. Times are real seconds.

    Attributes:
        header_bytes: of the request line and the headers, else 431. Node allows 16 KiB, Go 1 MiB.
        headers: number of header fields, else 431. Apache has the same limit.
        head_seconds: from the first byte of a request to the end of its headers, else 408.
        body_seconds: between two pieces of a body, else 408. Also the longest pause of a client that reads
            a response; after it the connection is closed.
        idle_seconds: of an open connection without a request.
        faults: number of faults that one request asks for in its prompt and headers, else 400.
        depth: of nested arrays and objects in a JSON body. Python's parser fails near 1,000, and
            serialising needs more stack than parsing.
        members: of all arrays and objects in a JSON body. This many take about 10 ms to parse; 14 MiB of
            `[]` take four seconds.
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
