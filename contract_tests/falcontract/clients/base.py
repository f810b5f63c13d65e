"""The interface of client adapters, and the steps that a client can take."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

if TYPE_CHECKING:
    from falcontract.steps import Step
    from falcontract.traces import Exchange, Sent

# An answer as a client understands it, for example ("IN_QUEUE", 2) or ("failed", 504, "request_timeout").
Reading: TypeAlias = tuple[Any, ...]

USABLE_KEYS: Final = ("a", "b", "none", "garbage", "half", "unknown")
FALQUEUE, FAL_CLIENT = "falqueue", "fal_client"


class ClientAdapter(Protocol):
    """One run of a program through a client."""

    sent: list[Sent]  # the calls of the step that it does

    @property
    def name(self) -> str: ...

    async def take(self, step: Step) -> Reading | None:
        """Do a step and return the reading; None if the client cannot do it."""
        ...

    async def do(self, step: Step) -> Reading | None:
        """Do a step that only clients can do; None if this client does not."""
        ...

    def expected(self, e: Exchange) -> Reading:
        """Return the reading that follows from a raw answer, as precise as the client's."""
        ...

    async def close(self) -> None: ...


def can_take(step: Step) -> bool:
    """Return whether clients can do a step at all: they send valid calls only."""
    if step.key not in USABLE_KEYS or step.method or step.path:
        return False
    if step.do == "submit":
        return step.body is None and isinstance(step.input, dict)
    return step.do in {"status", "until", "result", "cancel", "stream"}


def missing_clients() -> tuple[str, ...]:
    """Return the clients that are not installed."""
    return tuple(name for name in (FALQUEUE, FAL_CLIENT) if importlib.util.find_spec(name) is None)
