"""How a request ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from falmock.protocol.errors import compact

UNBILLED: Final = {"x-fal-billable-units": "0"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a request.

    Attributes:
        status: HTTP status of the result.
        body: the result on the wire.
        headers: the runner's own headers.
        error: `error` of the request's status, for platform errors only.
        error_type: `error_type` of the request's status, for platform errors only.
    """

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    error_type: str | None = None

    @classmethod
    def refused(cls, status: int, detail: object) -> Outcome:
        """Return the outcome of a request that the runner refuses before the model runs."""
        return cls(status, compact({"detail": detail}), UNBILLED)
