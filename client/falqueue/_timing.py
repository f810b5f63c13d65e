"""How long to wait between two tries, and between two polls."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that grow: `first` seconds, each next one `factor` times longer, at most `longest`.

    `spread` is the share by which luck moves each wait up or down, so that many clients do not knock at once.
    `attempts` is how often a thing is tried before it counts as failed, a submit at most four times;
    polls have no use for it.

    >>> [Backoff(first=1, longest=5).seconds(attempt, luck=0.5) for attempt in (1, 2, 3, 4)]
    [1.0, 2.0, 4.0, 5.0]
    """

    first: float = 0.5
    factor: float = 2.0
    longest: float = 10.0
    spread: float = 0.25
    attempts: int = 10

    def seconds(self, attempt: int, luck: float) -> float:
        """Return the wait after the attempt with this number, counted from 1; `luck` is in [0, 1)."""
        grown = self.first * self.factor ** min(attempt - 1, 64)
        return min(self.longest, grown) * (1 + self.spread * (2 * luck - 1))


RETRIES = Backoff()
POLLS = Backoff(first=0.5, factor=1.3, longest=5.0, spread=0.1)
