"""How a request ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from falmock.protocol.errors import compact

UNBILLED: Final = {"x-fal-billable-units": "0"}

# Seconds that a runner takes to reject an input, as recorded (PROTOCOL.md 4.2)
REJECTION: Final = 0.07  # for an invalid field
FILE_REJECTION: Final = 0.9  # for an input file, which it has to download first


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a request.

    Attributes:
        error, error_type: of the request's status, for platform errors only.
        seconds: how long the runner takes, if it rejects the input; None for a whole run.
    """

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    error_type: str | None = None
    seconds: float | None = None

    @classmethod
    def refused(cls, status: int, detail: object) -> Outcome:
        """Return the outcome of a request that the runner refuses before the model runs."""
        return cls(status, compact({"detail": detail}), UNBILLED, seconds=REJECTION)
