"""The headers of each kind of answer, as recorded (PROTOCOL.md 11.2). It shares no code with an emulator.

A header that a kind does not list must be absent. Not listed are those of the connection and of the body's
form (`TRANSPORT`), and those that pages cause (`FOR_PAGES`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from falcontract.model.published import UUID

if TYPE_CHECKING:
    from collections.abc import Mapping

TRANSPORT: Final = frozenset(
    {"date", "content-length", "connection", "keep-alive", "transfer-encoding", "content-type"}
)
FOR_PAGES: Final = frozenset(
    {
        "access-control-allow-origin",
        "access-control-allow-methods",
        "access-control-allow-headers",
        "access-control-expose-headers",
        "access-control-max-age",
    }
)

JSON: Final = re.escape("application/json")
EVENTS: Final = r"text/event-stream(; charset=utf-8)?"
READABLE: Final = {
    "access-control-allow-credentials": "true",
    "vary": "origin, access-control-request-method, access-control-request-headers",
}
EDGE: Final = {
    "strict-transport-security": re.escape("max-age=31536000; includeSubDomains"),
    "x-robots-tag": "noindex",
}
ID: Final = {"x-fal-request-id": UUID.pattern}
# The runner: a UUID of version 4.
SERVED: Final = {"x-fal-served-from": r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"}
UNITS: Final = {"x-fal-billable-units": r"\d+(\.\d+)?"}
FREE: Final = {"x-fal-billable-units": "0"}
QUEUE: Final = READABLE | EDGE


@dataclass(frozen=True)
class Headers:
    """The headers of a kind of answer: those that it has, with regular expressions, and those it may have."""

    required: Mapping[str, str]
    content_type: str | None = JSON  # None: it has no body
    optional: frozenset[str] = field(default_factory=frozenset)

    def names(self, found: Mapping[str, str]) -> list[str]:
        """Return the names of an answer's headers that are for a kind to decide."""
        return sorted(found.keys() - TRANSPORT - FOR_PAGES - self.optional)


KINDS: Final[dict[str, Headers]] = {
    "submit": Headers(QUEUE | ID),
    "status": Headers(QUEUE),
    "cancel": Headers(QUEUE),
    "stream": Headers(QUEUE, EVENTS, frozenset({"cache-control"})),
    "success": Headers(QUEUE | ID | SERVED | UNITS),
    "success by time": Headers(QUEUE | ID | SERVED | {"x-fal-raw-time": r"\d+(\.\d+)?"}),
    # An emulator may not know the price; on fal there are units.
    "success without a known price": Headers(
        QUEUE | ID | SERVED, optional=frozenset({"x-fal-billable-units", "x-fal-raw-time"})
    ),
    "rejection": Headers(QUEUE | ID | SERVED | FREE | {"x-fal-needs-retry": "false"}),
    "early result": Headers(QUEUE | ID),
    # The set of a platform error is not recorded; that it has the id and the type is.
    "platform error": Headers(QUEUE | ID | {"x-fal-error-type": "[a-z_]+"}),
    "start timeout": Headers(
        QUEUE | ID | {"x-fal-error-type": "[a-z_]+", "x-fal-request-timeout-type": "user"}
    ),
    "router": Headers(READABLE, None, frozenset({"allow"})),
    # falmock adds a hint to the 404 of an unknown model; fal has none.
    "refusal": Headers(QUEUE, JSON, frozenset({"x-fal-request-id", "x-falmock-hint"})),
    "run": Headers(EDGE | ID | SERVED | UNITS),
    "rejected run": Headers(EDGE | ID | SERVED | FREE | {"x-fal-needs-retry": "false"}),
    "rest": Headers(EDGE),
}
