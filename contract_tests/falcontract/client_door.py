"""The second door: the project's own client, which is the subject under test.

The one place where this package uses falqueue. It says of each step what the client made of it, in the
vocabulary of `verdicts_of`; what a client cannot be made to send, it leaves to the wire.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import httpx

import falqueue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from falcontract.steps import Program, Step
    from falcontract.targets import Session

Verdict: TypeAlias = tuple[Any, ...]

KEYS: Final = ("a", "b", "none", "garbage", "half", "unknown")


def can(step: Step) -> bool:
    """Tell whether the client can be made to take a step."""
    if step.key not in KEYS or step.method or step.path:
        return False
    if step.do == "submit":
        return step.body is None and isinstance(step.input, dict) and not step.webhook
    return step.do in {"status", "until", "result", "cancel", "stream"}


class ClientDoor:
    """One program under way through the client.

    Args:
        session: of the target.
        base: of the target, all hosts in one.
    """

    def __init__(self, session: Session, base: str) -> None:
        self._session, self._base = session, base
        self._handles: dict[str, falqueue.Handle[dict[str, Any]]] = {}
        self._clients: dict[str, falqueue.AsyncClient] = {}
        self.verdicts: list[Verdict] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Make a client for each key."""
        async with AsyncExitStack() as stack:
            for key in KEYS:
                client = falqueue.AsyncClient(
                    _credentials(self._session.keys.get(key)),
                    base_url=self._base,
                    transport=self._session.transport(),
                    sleep=self._session.pass_time,
                    clock=self._session.now,
                    wall_clock=self._session.wall,
                    luck=lambda: 0.5,
                )
                self._clients[key] = await stack.enter_async_context(client)
            yield

    async def run(self, program: Program) -> None:
        """Do all steps that it can."""
        for step in program.steps:
            for _ in range(step.times):
                await self._do(step)

    async def _do(self, step: Step) -> None:
        if step.do == "wait":
            await self._session.pass_time(step.seconds)
        elif step.do == "lock" and self._session.lock is not None:
            self._session.lock(step.key)
        elif step.do == "until":
            await self._until(step)
        elif can(step) and (step.do == "submit" or step.job in self._handles):
            self.verdicts.append(await self._ask(step))

    async def _until(self, step: Step) -> None:
        end = self._session.now() + step.seconds
        while step.job in self._handles:
            verdict = await self._ask(step)
            self.verdicts.append(verdict)
            if verdict[0] in {step.state, "refused"} or self._session.now() >= end:
                return
            await self._session.pass_time(self._session.poll_seconds)

    async def _ask(self, step: Step) -> Verdict:
        try:
            return await self._heard(step)
        except falqueue.RequestFailed as error:
            return ("failed", error.status_code, error.error_type)
        except falqueue.Refused as error:
            return ("refused", error.status_code)
        except (falqueue.FalqueueError, httpx.HTTPError) as error:
            return ("error", type(error).__name__, str(error)[:200])

    async def _heard(self, step: Step) -> Verdict:
        client = self._clients[step.key]
        match step.do:
            case "submit":
                self._handles[step.job] = await client.submit(step.endpoint, step.input, **_options(step))
                return ("accepted",)
            case "result":
                return ("output", await client.result(self._handles[step.job]))
            case "cancel":
                return ("cancel", (await client.cancel(self._handles[step.job])).value)
            case "stream":
                return await self._stream(client, step)
            case _:
                return _state(await client.status(self._handles[step.job], logs="logs=1" in step.query))

    async def _stream(self, client: falqueue.AsyncClient, step: Step) -> Verdict:
        async def watch() -> list[Verdict]:
            return [_state(one) async for one in client.stream(self._handles[step.job])]

        task = asyncio.create_task(watch())
        await self._session.drive(task, step.seconds)
        states = task.result() if not task.cancelled() else [("no end",)]
        return ("stream", *_each_once(states))


def _each_once(states: list[Verdict]) -> list[Verdict]:
    return [one for one, before in zip(states, [None, *states], strict=False) if one != before]


def _credentials(header: str | None) -> falqueue.Credentials:
    if header is None:
        return falqueue.Credentials.anonymous()
    return falqueue.Credentials(header.removeprefix("Key "))


def _options(step: Step) -> Any:
    headers = {name.lower(): value for name, value in step.headers.items()}
    options: dict[str, Any] = {}
    if "x-fal-request-timeout" in headers:
        options["start_timeout"] = float(headers["x-fal-request-timeout"])
    if "x-fal-queue-priority" in headers:
        options["priority"] = headers["x-fal-queue-priority"]
    if "x-fal-no-retry" in headers:
        options["no_retry"] = True
    if "x-fal-object-lifecycle-preference" in headers:
        told = json.loads(headers["x-fal-object-lifecycle-preference"])
        options["lifecycle"] = falqueue.Lifecycle(seconds=told["expiration_duration_seconds"])
    return options


def _state(status: falqueue.Status) -> Verdict:
    match status:
        case falqueue.Queued(position=position):
            return ("IN_QUEUE", position)
        case falqueue.InProgress():
            return ("IN_PROGRESS",)
        case _:
            return ("COMPLETED",)
