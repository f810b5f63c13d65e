"""JSON responses with encoded headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from falmock.inspection.received_call import join_headers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    RawHeaders = Sequence[tuple[bytes, bytes]]


class Reply(Response):
    """A JSON response with its headers in the recorded order (PROTOCOL.md 11.2).

    Args:
        headers: they follow those about the body.
    """

    def __init__(self, status: int, body: bytes, headers: RawHeaders) -> None:
        self.status_code = status
        self.background = None
        self.body = body
        self.raw_headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            *headers,
        ]
        self.head: bytes | None = None  # the joined headers, made at the first use


def head_of(response: Response) -> bytes:
    """Return the headers of a response, joined; nothing if one contains a line break."""
    if not isinstance(response, Reply):
        return join_headers(response.raw_headers)
    if response.head is None:
        response.head = join_headers(response.raw_headers)
    return response.head


def encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Return headers as bytes."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
