"""What every client that stands beside the raw wire is asked, and the words in which it answers."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

if TYPE_CHECKING:
    from falcontract.steps import Step
    from falcontract.traces import Exchange

Verdict: TypeAlias = tuple[Any, ...]

KEYS: Final = ("a", "b", "none", "garbage", "half", "unknown")
FALQUEUE, FAL_CLIENT = "falqueue", "fal_client"


class ClientAdapter(Protocol):
    """One program under way through a client."""

    @property
    def name(self) -> str:
        """Of the client."""
        ...

    async def ask(self, step: Step) -> Verdict | None:
        """Take a step; None where the client cannot be made to take it."""
        ...

    def reading(self, e: Exchange) -> Verdict:
        """Return what a raw answer means, as far as this client tells one meaning from another."""
        ...


def can(step: Step) -> bool:
    """Tell whether a client can be made to take a step: it sends what it thinks right, and nothing else."""
    if step.key not in KEYS or step.method or step.path:
        return False
    if step.do == "submit":
        return step.body is None and isinstance(step.input, dict)
    return step.do in {"status", "until", "result", "cancel", "stream"}


def absent() -> tuple[str, ...]:
    """Return the clients that are not installed."""
    return tuple(name for name in (FALQUEUE, FAL_CLIENT) if importlib.util.find_spec(name) is None)
