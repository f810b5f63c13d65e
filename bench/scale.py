"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Scale:
    """How much is measured; the defaults are those of the goals.

    Attributes:
        rounds: of each target, in turns: A B C A B C.
        seconds: of one round of load.
        warm_up: seconds of load before the first round.
        starts: of each target.
        requests: that memory is measured over.
    """

    rounds: int = 5
    seconds: float = 3.0
    warm_up: float = 1.5
    starts: int = 11
    requests: int = 200_000


FULL: Final = Scale()
QUICK: Final = Scale(rounds=3, seconds=1.0, warm_up=0.5, starts=5, requests=10_000)
