"""What the tests of the wire compare: complete header lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import httpx

# The headers of every answer of the queue host, also without an Origin (PROTOCOL.md 10.2)
READABLE: Final = [
    "access-control-allow-credentials: true",
    "vary: origin, access-control-request-method, access-control-request-headers",
]
# Those of the queue, run and rest hosts (PROTOCOL.md 11.2)
EDGE: Final = ["strict-transport-security: max-age=31536000; includeSubDomains", "x-robots-tag: noindex"]


def lines(answer: httpx.Response) -> list[str]:
    """Return the headers as sent, without the date, which comes first."""
    (name, _), *rest = answer.headers.raw
    assert name == b"date"
    return [f"{name.decode()}: {value.decode()}" for name, value in rest]


def about_body(answer: httpx.Response) -> list[str]:
    """Return the headers about the body that was received."""
    return ["content-type: application/json", f"content-length: {len(answer.content)}"]
