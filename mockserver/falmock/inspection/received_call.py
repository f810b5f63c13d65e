"""A call while it is recorded: raw bytes, parsed and masked only when the journal is read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from falmock.inspection.redaction import compacted
from falmock.protocol.calls import Call, Operation
from falmock.protocol.hosts import CDN

if TYPE_CHECKING:
    from collections.abc import Sequence

KEPT: Final = 64 * 1024  # bytes of a body
LARGE: Final = 256 * 1024  # bytes; the digest of a larger input takes more than a millisecond
OVERHEAD: Final = 1024  # bytes of text that take as long to parse as the rest of an entry
CONTENT_TYPE: Final = b"content-type"
FAILED: Final = 400
WITH_INPUT: Final = frozenset({Operation.SUBMIT, Operation.RUN})


@dataclass(slots=True, repr=False)  # the fields hold secrets
class ReceivedCall:
    """A call and the response so far. Headers are one bytes object."""

    id: int
    at: float
    real: float
    call: Call
    method: str
    path: str
    query: bytes
    headers: bytes
    chunks: list[bytes] = field(default_factory=list)
    request_body: bytes = b""
    request_size: int = 0
    sha256: str | None = None
    status: int | None = None
    response_headers: bytes = b""
    response_body: bytes = b""
    response_size: int = 0
    took: float | None = None
    request_id: str | None = None
    error: str | None = None
    fault: str | None = None
    public: bool | None = None

    @property
    def endpoint(self) -> str | None:
        return self.call.endpoint

    @property
    def caller(self) -> str | None:
        return self.call.caller

    @property
    def test(self) -> str | None:
        return self.call.test

    @property
    def operation(self) -> Operation:
        return self.call.operation

    @property
    def weight(self) -> int:
        """The time to parse the call when it is read, in bytes of text."""
        return OVERHEAD + len(self.headers) + len(self.request_body) + len(self.response_body)

    def on_request_body(self, chunk: bytes, *, more: bool) -> None:
        """Record a chunk of the request body: all of a submit, for its digest, and nothing of an upload."""
        if self.call.operation in WITH_INPUT:
            self.chunks.append(chunk)
            if not more and self.request_size + len(chunk) <= LARGE:
                self.digest_input()
        elif self.request_size < KEPT and (
            self.call.host != CDN or b"json" in header(self.headers, CONTENT_TYPE)
        ):
            self.request_body += chunk[: KEPT - self.request_size]
        self.request_size += len(chunk)

    def on_response_start(self, status: int, headers: bytes) -> None:
        """Record the start of the response; `headers` are joined."""
        self.status = status
        self.response_headers = headers

    def on_response_body(self, chunk: bytes) -> None:
        """Record a chunk of the response, unless it is a downloaded file."""
        is_file = self.call.operation is Operation.DOWNLOAD and (self.status or 0) < FAILED
        if self.response_size < KEPT and not is_file:
            self.response_body += chunk[: KEPT - self.response_size]
        self.response_size += len(chunk)

    @property
    def has_undigested_input(self) -> bool:
        """Whether `digest_input` is still to be called, off the event loop because the input is large."""
        return bool(self.chunks)

    def digest_input(self) -> None:
        """Hash and shorten an input that is complete."""
        body = b"".join(self.chunks)
        self.sha256 = hashlib.sha256(body).hexdigest()
        self.request_body = body if len(body) <= KEPT else compacted(body)[:KEPT]
        self.chunks = []

    def trim(self) -> None:
        """Shorten an unfinished input."""
        if self.chunks:  # the call ended before its input did
            self.request_body = b"".join(self.chunks)[:KEPT]
            self.chunks = []


def join_headers(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return headers as on the wire, each with a line break after it; empty if one contains a line break."""
    joined = b"".join([b"%b: %b\r\n" % pair for pair in headers])
    return joined if joined.count(b"\n") == joined.count(b"\r") == len(headers) else b""


def split_headers(joined: bytes) -> list[tuple[bytes, bytes]]:
    """Undo `join_headers`."""
    pairs = (line.partition(b": ") for line in joined.split(b"\r\n")[:-1])
    return [(name, value) for name, _, value in pairs]


def header(joined: bytes, name: bytes) -> bytes:
    """Return the value of a header, empty if it is missing; `name` is in lower case."""
    return next((value for other, value in split_headers(joined) if other.lower() == name), b"")
