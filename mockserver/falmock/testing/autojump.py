"""A clock that jumps: who asks and would learn nothing new moves the time on to where there is news.

So code that polls until a job is done gets there with a few polls, however long the job runs, and code
that waits at the run host or reads a stream waits for nothing. The queue knows nothing of it.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

from falmock.engine.clock import LAST
from falmock.engine.lifecycle import State
from falmock.engine.runs import RETRY
from falmock.protocol.authorities import AuthorityError
from falmock.protocol.hosts import RUN, NotServedError, locate
from falmock.testing.transport import BLOCKING

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from falmock.engine.clock import Clock
    from falmock.engine.emulator import Emulator

_ASKING: Final = re.compile(r".+/requests/(?P<id>[^/]+)(?P<stream>/status/stream)?(?:/status|/response)?")
_GLANCE: Final = 0.001  # real seconds between two looks at whether a call to the run host still waits


class Autojump:
    """An application around an emulator's.

    Args:
        app: the emulator's.
        emulator: whose time passes.
        clock: the emulator's; nobody else's, and standing still by itself.

    Attributes:
        on: whether asking moves the time.
    """

    def __init__(self, app: ASGIApp, emulator: Emulator, clock: Clock) -> None:
        self.on = True
        self._app = app
        self._emulator = emulator
        self._clock = clock
        self._told: dict[str, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call, with the time passing as the caller's patience would have it."""
        host, path = _address(scope)
        asking = _ASKING.fullmatch(path)
        patient = not scope.get(BLOCKING)
        if not self.on:
            await self._app(scope, receive, send)
        elif host == RUN:
            await _with(self._app(scope, receive, send), self._while_somebody_runs(patient=patient))
        elif asking is None or scope["method"] not in {"GET", "HEAD"}:
            await self._app(scope, receive, send)
        elif asking["stream"] is None:
            await self._until_news(asking["id"].lower(), patient=patient)
            await self._app(scope, receive, send)
            self._tell(asking["id"].lower())
        else:
            await self._stream(asking["id"].lower(), scope, receive, send, patient=patient)

    async def step(self, *, patient: bool = True) -> bool:
        """Move the time on to the next thing that happens, and see it through.

        Renderings are waited for, so that the times are the same on every machine. So are the webhooks
        that this sets off, but for a caller in whose way they would be: one that holds up its own event
        loop, in which they perhaps arrive, is not `patient`. Those on their way already are not waited
        for either: it may be their receiver who asks.

        Returns:
            Whether there was anything to come; nothing is while it could not be written down.
        """
        on_their_way = self._emulator.timeline.delivering()
        await self._settle(on_their_way, patient=patient)
        at = self._emulator.timeline.next_at()
        if at > LAST or self._emulator.trouble() is not None:
            return False
        self._clock.move_to(max(at, self._clock.now()))
        await self._settle(on_their_way, patient=patient)
        return True

    async def _settle(self, on_their_way: set[asyncio.Task[None]], *, patient: bool) -> None:
        timeline = self._emulator.timeline
        timeline.tick()
        while busy := set(timeline.busy()) - (on_their_way if patient else timeline.delivering()):
            _, left = await asyncio.wait(busy, timeout=RETRY)
            if not left or self._emulator.trouble() is not None:
                timeline.tick()
            if self._emulator.trouble() is not None:
                return

    async def _until_news(self, request_id: str, *, patient: bool) -> None:
        while not self._is_news(request_id) and await self.step(patient=patient):
            pass

    def _is_news(self, request_id: str) -> bool:
        """Tell whether the caller does not know yet how a request stands.

        The answer to the submit has told that it is in the queue; there, only a place behind others is news.
        """
        request = self._emulator.request(request_id)
        if request is None or request.state == State.COMPLETED:
            return True
        told = self._told.get(request_id)
        if told is None and request.state == State.IN_QUEUE:
            return self._emulator.position(request) > 0
        return told != request.state

    def _tell(self, request_id: str) -> None:
        if (request := self._emulator.request(request_id)) is not None:
            self._told[request_id] = request.state

    async def _stream(
        self, request_id: str, scope: Scope, receive: Receive, send: Send, *, patient: bool
    ) -> None:
        spoken = asyncio.Event()

        async def tell(message: Message) -> None:
            self._tell(request_id)
            spoken.set()
            await send(message)

        async def move_on() -> None:
            """Each time that the stream has told how things stand, let them stand otherwise."""
            await spoken.wait()
            while True:
                while self._is_news(request_id):
                    spoken.clear()
                    await spoken.wait()
                if not await self.step(patient=patient):
                    return

        await _with(self._app(scope, receive, tell), move_on())

    async def _while_somebody_runs(self, *, patient: bool) -> None:
        while True:
            if not any(request.direct for request in self._emulator.store.open_requests()):
                await asyncio.sleep(_GLANCE)
            elif not await self.step(patient=patient):
                return


async def _with(call: Awaitable[None], company: Awaitable[None]) -> None:
    """See a call through while something else goes on, which ends with it at the latest."""
    tasks = asyncio.ensure_future(call), asyncio.ensure_future(company)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not tasks[0].done():
            tasks[1].result()
        await tasks[0]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _address(scope: Scope) -> tuple[str, str]:
    """Return which of fal's hosts a call is for, and the path there; nothing for what is not fal's."""
    if scope["type"] != "http":
        return "", ""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    try:
        arrival = locate(headers, scope["scheme"], scope["path"], own_names=(), own_authority="localhost")
    except (AuthorityError, NotServedError):
        return "", ""
    return arrival.host, arrival.path
