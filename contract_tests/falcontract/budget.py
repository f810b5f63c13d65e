"""Money, as a hard counter: what a request may cost at worst is set aside before it is sent."""

from __future__ import annotations

from dataclasses import dataclass, field


class OverBudget(Exception):
    """The next request could cost more than is left. It was not sent."""


@dataclass
class Budget:
    """US dollars.

    What is set aside comes back when an answer shows that nothing is owed; until then it counts as spent.

    Attributes:
        limit: that may be spent in all.
        held: set aside, by what for.
        spent: what may have been spent: nobody has shown that it was not.
    """

    limit: float = 0.0
    held: dict[str, float] = field(default_factory=dict)
    spent: float = 0.0

    def reserve(self, name: str, usd: float) -> None:
        """Set aside what a request may cost at worst.

        Raises:
            OverBudget: there is not enough left.
        """
        taken = self.spent + sum(self.held.values())
        if taken + usd > self.limit + 1e-9:
            raise OverBudget(
                f"{name} may cost ${usd:.2f} at worst; ${self.limit - taken:.2f} of ${self.limit:.2f} is left"
            )
        self.held[name] = self.held.get(name, 0.0) + usd

    def release(self, name: str) -> None:
        """Nothing is owed for it."""
        self.held.pop(name, None)

    def settle(self) -> None:
        """Whatever is still set aside may have been spent."""
        self.spent += sum(self.held.values())
        self.held.clear()
