"""Several doors, one program: what the wire heard and what each client made of it, side by side.

Only a target whose clock stands still between steps has twins: there the same steps are answered the same,
so whatever differs is the client's doing.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from falcontract.doors import FAL_CLIENT, FALQUEUE, absent
from falcontract.receivers import Receivers
from falcontract.traces import Observation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from falcontract.doors import ClientAdapter
    from falcontract.steps import Step
    from falcontract.targets import Session, Target
    from falcontract.traces import Trace

QUEUE: Final = "/queue.fal.run"
EVERY: Final = tuple(name for name in (FALQUEUE, FAL_CLIENT) if name not in absent())


class ClientRun:
    """A client that does on a twin of the target what the wire does, step by step.

    Args:
        trace: of the wire, growing.
        door: of the client.
        session: of the twin.
    """

    def __init__(self, trace: Trace, door: ClientAdapter, session: Session) -> None:
        self._trace, self._door, self._session = trace, door, session
        self._begun = session.now()
        self._done = 0
        self._step = 0

    async def catch_up(self) -> list[Observation]:
        """Do what the wire has done since the last time; note both verdicts, and return those that differ."""
        looks = []
        while self._done < len(self._trace.exchanges):
            e = self._trace.exchanges[self._done]
            self._done += 1
            await self._lock_before(e.index)
            await self._session.pass_time(max(e.at - (self._session.now() - self._begun), 0.0))
            verdict = await self._door.ask(e.step)
            if verdict is None:
                continue
            wire = _here(self._door.reading(e), self._trace.base.removesuffix(QUEUE))
            client = _here(verdict, _base(self._session))
            looks.append(Observation(self._door.name, str(e.step), wire, client, e))
        self._trace.observations += looks
        return [look for look in looks if look.wire != look.client]

    async def _lock_before(self, index: int) -> None:
        for step in self._trace.program.steps[self._step : index]:
            if step.do == "lock" and self._session.lock is not None:
                self._session.lock(step.key)
        self._step = max(self._step, index)


@asynccontextmanager
async def open_client_run(trace: Trace, target: Target, client: str = FALQUEUE) -> AsyncIterator[ClientRun]:
    """Open a twin of a trace's target, with a client before it.

    Args:
        trace: of the wire; it may go on growing.
        target: with a clock that stands still between steps.
        client: which.
    """
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(target.open(trace.program))
        door: Any
        if client == FALQUEUE:
            door = await _falqueue(session, stack, receives="receive" in target.abilities)
        else:
            from falcontract.fal_client_door import FalClientAdapter  # noqa: PLC0415 - it may not be installed

            door = FalClientAdapter(session, _base(session))
        stack.push_async_callback(door.close)
        yield ClientRun(trace, door, session)


async def _falqueue(session: Session, stack: AsyncExitStack, *, receives: bool) -> Any:
    from falcontract.client_door import FalqueueAdapter  # noqa: PLC0415 - like the other one

    receivers = Receivers(session, session.now(), _nothing)
    if receives:
        await stack.enter_async_context(receivers.open())
    return FalqueueAdapter(session, _base(session), receivers.url)


async def compare(trace: Trace, target: Target, clients: Sequence[str] = EVERY) -> None:
    """Take each client through what the wire has done, and note what they make of it."""
    if not trace.exact_time:
        return
    for client in clients:
        async with open_client_run(trace, target, client) as companion:
            await companion.catch_up()


def _base(session: Session) -> str:
    return session.hosts["queue"].removesuffix(QUEUE)


async def _nothing(request_id: str, step: Step) -> None:
    """Let a receiver of the twin read no status: the wire's has done so."""
    del request_id, step


def _here(value: Any, base: str) -> Any:
    """Leave the address out: twins are served on ports of their own."""
    if isinstance(value, str):
        return value.replace(base, "")
    if isinstance(value, dict):
        return {key: _here(item, base) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_here(item, base) for item in value)
    return value
