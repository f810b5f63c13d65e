"""Waits between attempts and between polls."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff: `initial` seconds, then `factor` times longer each time, up to `maximum`.

    `jitter` is the fraction by which each wait varies at random. `max_attempts` counts the first attempt;
    a submit is tried at most four times, and polls ignore it.

    >>> [Backoff(initial=1, maximum=5, jitter=0).seconds(attempt) for attempt in (1, 2, 3, 4)]
    [1.0, 2.0, 4.0, 5.0]
    """

    initial: float = 0.5
    factor: float = 2.0
    maximum: float = 10.0
    jitter: float = 0.25
    max_attempts: int = 10

    def seconds(self, attempt: int, rng: Callable[[], float] = random.random) -> float:
        """Return the wait after this attempt (the first is 1). `rng` returns numbers in [0, 1)."""
        wait = self.initial * self.factor ** min(attempt - 1, 64)
        return min(self.maximum, wait) * (1 + self.jitter * (2 * rng() - 1))


RETRIES = Backoff()
POLLS = Backoff(initial=0.5, factor=1.3, maximum=5.0, jitter=0.1)
