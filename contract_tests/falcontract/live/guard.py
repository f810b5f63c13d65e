"""The guard between this machine and fal: every call passes it. It checks host, budget, count and rate."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import httpx

from falcontract.live.budget import Budget
from falcontract.live.planning import NotPlanned

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from falcontract.live.planning import PlannedProgram

HOSTS: Final = ("queue.fal.run", "rest.fal.ai")
VARIABLES: Final = ("FAL_KEY", "FAL_LIVE", "FAL_LIVE_BUDGET_USD")
PER_SECOND: Final = 2.0
IN_FLIGHT: Final = 2
ANSWER_TIMEOUT: Final = 30.0  # seconds to wait for a submit that was interrupted


class LiveDisabled(Exception):
    """An environment variable is missing or wrong; the message names it."""


class WrongHost(httpx.TransportError):
    """The call is for a host that must not get the key. It was not sent."""


def settings(environ: Mapping[str, str]) -> tuple[str, Budget]:
    """Return key and budget from the environment.

    Raises:
        LiveDisabled: a variable is missing or wrong.
    """
    if missing := [name for name in VARIABLES if not environ.get(name)]:
        raise LiveDisabled(f"set {', '.join(missing)} to allow calls to fal")
    if environ["FAL_LIVE"] != "1":
        raise LiveDisabled("set FAL_LIVE=1 to allow calls to fal")
    try:
        limit = float(environ["FAL_LIVE_BUDGET_USD"])
    except ValueError:
        limit = -1.0
    if not 0 <= limit < float("inf"):
        raise LiveDisabled("FAL_LIVE_BUDGET_USD is not a number of dollars")
    return environ["FAL_KEY"], Budget(limit)


class LiveGuard(httpx.AsyncBaseTransport):
    """A transport that checks each call before it sends it. `clock` returns monotonic seconds."""

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        budget: Budget,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inner, self.budget = inner, budget
        self._sleep, self._clock = sleep, clock
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._next = -float("inf")
        self._left = 0
        self._usd = 0.0
        self._submits = 0
        self.sent = 0
        self.unacknowledged: list[str] = []

    def admit(self, entry: PlannedProgram) -> None:
        """Allow the calls of one program of the plan."""
        self._left, self._usd = entry.requests, entry.usd

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Check and send a call.

        Raises:
            WrongHost: its host is not fal's queue.
            OverBudget: its price could exceed the budget.
            NotPlanned: the program has used up its calls.
        """
        if request.url.scheme != "https" or request.url.host not in HOSTS:
            raise WrongHost(
                f"{request.url.host} is not a host of fal's queue: nothing was sent", request=request
            )
        is_cancel = request.method == "PUT" and request.url.path.endswith("/cancel")
        if not is_cancel:  # a cancel is free and must always be possible
            if self._left <= 0:
                raise NotPlanned("the program has sent as many calls as its plan allows")
            self._left -= 1
        if request.method == "POST":
            return await self._submit(request)
        return await self._forward(request)

    async def _submit(self, request: httpx.Request) -> httpx.Response:
        """Reserve the price, and send. An interruption does not interrupt the call itself."""
        self._submits += 1
        name = f"submit {self._submits}"
        self.budget.reserve(name, self._usd)
        task = asyncio.create_task(self._forward(request))
        try:
            answer = await asyncio.shield(task)
        except asyncio.CancelledError:
            await self._read_interrupted(task)
            raise
        if 400 <= answer.status_code < 500:
            self.budget.release(name)
        return answer

    async def _read_interrupted(self, task: asyncio.Task[httpx.Response]) -> None:
        """Read the answer to an interrupted submit, so that its job can be cancelled."""
        with suppress(httpx.HTTPError, ValueError, KeyError, TimeoutError):
            async with asyncio.timeout(ANSWER_TIMEOUT):
                answer = await task
                self.unacknowledged.append(str(json.loads(await answer.aread())["cancel_url"]))

    async def _forward(self, request: httpx.Request) -> httpx.Response:
        async with self._slots:
            now = self._clock()
            at = max(now, self._next)
            self._next = at + 1 / PER_SECOND
            if at > now:
                await self._sleep(at - now)
            self.sent += 1
            return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()
