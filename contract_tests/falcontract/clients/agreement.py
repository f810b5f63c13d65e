"""Repeats a trace with each client on a second session of the target, and records its readings.

The clock of the target must not move between steps: then both sessions get the same answers, and each
difference is a bug of the client.
"""

from __future__ import annotations

import math
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from falcontract.clients.base import FAL_CLIENT, FALQUEUE, missing_clients
from falcontract.steps import CLIENT_FAULTS, FAULTS
from falcontract.targets.receivers import Receivers
from falcontract.targets.wire import change_target
from falcontract.traces import ClientOutcome, Observation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from falcontract.clients.base import ClientAdapter
    from falcontract.steps import Program, Step
    from falcontract.targets.base import Session, Target
    from falcontract.traces import Trace

QUEUE: Final = "/queue.fal.run"
CLIENTS: Final = tuple(name for name in (FALQUEUE, FAL_CLIENT) if name not in missing_clients())


class ClientRun:
    """A client that repeats the steps of a trace, which may still grow, on a second session of the target."""

    def __init__(self, trace: Trace, client: ClientAdapter, session: Session) -> None:
        self._trace, self._client, self._session = trace, client, session
        self._begun = session.now()
        self._done = 0
        self._step = 0

    async def catch_up(self) -> None:
        """Repeat the exchanges that are new since the last call."""
        while self._done < len(self._trace.exchanges):
            e = self._trace.exchanges[self._done]
            self._done += 1
            await self._change_before(e.index, e.at)
            await self._session.pass_time(max(e.at - (self._session.now() - self._begun), 0.0))
            reading = await self._client.take(e.step)
            self._note_sent(e.step)
            if reading is not None:
                expected = _without_base(self._client.expected(e), self._trace.base.removesuffix(QUEUE))
                found = _without_base(reading, _base(self._session))
                self._trace.observations.append(
                    Observation(self._client.name, str(e.step), expected, found, e)
                )

    async def finish(self) -> None:
        """Do the steps after the last exchange."""
        await self._change_before(len(self._trace.program.steps), math.inf)

    async def _change_before(self, index: int, at: float) -> None:
        """Do the steps before an exchange that was sent at a time."""
        for step in self._trace.program.steps[self._step : index]:
            if step.do == "wait":
                left = at - (self._session.now() - self._begun)
                await self._session.pass_time(max(min(step.seconds, left), 0.0))
            elif step.do in {"lock", "unlock", "restart"}:
                await change_target(self._session, step)
            elif step.do == "client" and (reading := await self._client.do(step)) is not None:
                self._trace.outcomes.append(ClientOutcome(self._client.name, step, reading))
                self._note_sent(step)
        self._step = max(self._step, index)

    def _note_sent(self, step: Step) -> None:
        base = _base(self._session)
        for call in self._client.sent:
            url = call.url.removeprefix(base).lstrip("/")
            self._trace.sent.append(replace(call, step=step, url=url))
        self._client.sent.clear()


@asynccontextmanager
async def open_client_run(trace: Trace, target: Target, client: str = FALQUEUE) -> AsyncIterator[ClientRun]:
    """Open a second session of the target and a client for it."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(target.open(_with_client_faults(trace.program)))
        if client == FALQUEUE:
            adapter = await _falqueue(session, stack, receives="receive" in target.abilities)
        else:
            from falcontract.clients.fal_client import FalClientAdapter  # noqa: PLC0415 - optional package

            adapter = FalClientAdapter(session, _base(session))
        stack.push_async_callback(adapter.close)
        yield ClientRun(trace, adapter, session)


def _with_client_faults(program: Program) -> Program:
    if CLIENT_FAULTS not in program.setup:
        return program
    return replace(program, setup=program.setup | {FAULTS: program.setup[CLIENT_FAULTS]})


async def _falqueue(session: Session, stack: AsyncExitStack, *, receives: bool) -> ClientAdapter:
    from falcontract.clients.falqueue import FalqueueAdapter  # noqa: PLC0415 - optional package

    receivers = Receivers(session, session.now(), _no_status)
    if receives:
        await stack.enter_async_context(receivers.open())
    return FalqueueAdapter(session, _base(session), receivers)


async def compare(trace: Trace, target: Target, clients: Sequence[str] = CLIENTS) -> None:
    """Repeat a trace with each client, if the target's clock is exact."""
    if trace.exact_time:
        for client in clients:
            async with open_client_run(trace, target, client) as run:
                await run.catch_up()
                await run.finish()


def _base(session: Session) -> str:
    return session.hosts["queue"].removesuffix(QUEUE)


async def _no_status(request_id: str, step: Step) -> None:
    """Receivers of the second session do not read statuses."""
    del request_id, step


def _without_base(value: Any, base: str) -> Any:
    """Remove the base URL from all texts: each session may have a different port."""
    if isinstance(value, str):
        return value.replace(base, "")
    if isinstance(value, dict):
        return {key: _without_base(item, base) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_without_base(item, base) for item in value)
    return value
