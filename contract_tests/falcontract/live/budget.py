"""A budget that is checked before a call is sent: the worst-case price is reserved first."""

from __future__ import annotations

from dataclasses import dataclass, field

ROUNDING = 1e-9


class OverBudget(Exception):
    """The call could cost more than is left. It was not sent."""


@dataclass
class Budget:
    """US dollars. A reservation counts as spent unless it is released."""

    limit: float = 0.0  # most that may be spent
    held: dict[str, float] = field(default_factory=dict)  # reservations by name
    spent: float = 0.0  # reservations that were settled

    def reserve(self, name: str, usd: float) -> None:
        """Reserve the worst-case price of a call.

        Raises:
            OverBudget: too little is left.
        """
        taken = self.spent + sum(self.held.values())
        if taken + usd > self.limit + ROUNDING:
            left = self.limit - taken
            raise OverBudget(f"{name} may cost ${usd:.2f} at worst; ${left:.2f} of ${self.limit:.2f} is left")
        self.held[name] = self.held.get(name, 0.0) + usd

    def release(self, name: str) -> None:
        """Drop a reservation: the call was free."""
        self.held.pop(name, None)

    def settle(self) -> None:
        """Count all reservations as spent."""
        self.spent += sum(self.held.values())
        self.held.clear()
