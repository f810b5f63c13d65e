"""Skips idle time: a poll that would repeat the last answer moves the clock to the next event.

Code that polls until a job is done gets there with a few polls, however long the job takes. Calls to the
run host and status streams return without delay. The engine does not know of it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from falmock.engine.clock import LAST
from falmock.engine.lifecycle import State
from falmock.engine.runs import RETRY
from falmock.protocol import calls
from falmock.protocol.authorities import AuthorityError, parse_authority
from falmock.protocol.calls import Operation
from falmock.protocol.hosts import NotServedError, find_destination
from falmock.testing.transport import BLOCKING

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from falmock.engine.emulator import Emulator
    from falmock.protocol.calls import Call

_POLLS: Final = frozenset({Operation.STATUS, Operation.RESULT, Operation.STREAM})


class Autojump:
    """An application around that of an emulator whose clock is stopped. Only this moves it."""

    def __init__(self, app: ASGIApp, emulator: Emulator) -> None:
        self.on = True  # whether calls move the clock
        self._app = app
        self._emulator = emulator
        self._last_seen: dict[str, str] = {}  # states, by request id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call, after moving the clock if it would bring nothing new."""
        lenient = self._emulator.settings.lenient_paths
        call = _read(scope, lenient=lenient) if self.on else None
        webhooks = not scope.get(BLOCKING)
        if call is not None and call.operation is Operation.RUN:
            await _alongside(self._app(scope, receive, send), self._step_while_running(webhooks=webhooks))
        elif call is None or call.request_id is None or call.operation not in _POLLS:
            await self._app(scope, receive, send)
        elif call.operation is Operation.STREAM:
            await self._stream(call.request_id, scope, receive, send, webhooks=webhooks)
        else:
            while not self._is_news(call.request_id) and await self.step(webhooks=webhooks):
                pass
            await self._app(scope, receive, send)
            self._remember(call.request_id)

    async def step(self, *, webhooks: bool = True) -> bool:
        """Move the clock to the next event, and wait until the work that it starts is done.

        Webhooks that were under way before are not waited for: their receiver may be the caller.

        Args:
            webhooks: wait for the webhooks that the event starts; not for a caller that blocks its event
                loop, because the receiver may live in it.

        Returns:
            False if there is no event to come, or while the emulator cannot write.
        """
        under_way = self._emulator.timeline.delivering()
        await self._settle(under_way, webhooks=webhooks)
        at = self._emulator.timeline.next_at()
        if at > LAST or self._emulator.trouble() is not None:
            return False
        clock = self._emulator.clock
        clock.move_to(max(at, clock.now()))
        await self._settle(under_way, webhooks=webhooks)
        return True

    async def _settle(self, under_way: set[asyncio.Task[None]], *, webhooks: bool) -> None:
        timeline = self._emulator.timeline
        timeline.tick()
        while busy := set(timeline.busy()) - (under_way if webhooks else timeline.delivering()):
            _, pending = await asyncio.wait(busy, timeout=RETRY)
            if not pending or self._emulator.trouble() is not None:
                self._emulator.timeline.tick()
            if self._emulator.trouble() is not None:
                return

    def _is_news(self, request_id: str) -> bool:
        """Check whether a poll would return a state that the caller has not seen yet.

        The answer to the submit says IN_QUEUE, so a first poll that says it is news only with a position.
        """
        request = self._emulator.request(request_id)
        if request is None or request.state == State.COMPLETED:
            return True
        last = self._last_seen.get(request_id)
        if last is None and request.state == State.IN_QUEUE:
            return self._emulator.position(request) > 0
        return last != request.state

    def _remember(self, request_id: str) -> None:
        if (request := self._emulator.request(request_id)) is not None:
            self._last_seen[request_id] = request.state

    async def _stream(
        self, request_id: str, scope: Scope, receive: Receive, send: Send, *, webhooks: bool
    ) -> None:
        sent = asyncio.Event()

        async def note(message: Message) -> None:
            self._remember(request_id)
            sent.set()
            await send(message)

        async def step_after_each_event() -> None:
            await sent.wait()
            while True:
                while self._is_news(request_id):
                    sent.clear()
                    await sent.wait()
                if not await self.step(webhooks=webhooks):
                    return

        await _alongside(self._app(scope, receive, note), step_after_each_event())

    async def _step_while_running(self, *, webhooks: bool) -> None:
        while True:
            changed = self._emulator.changed()
            if not any(request.direct for request in self._emulator.store.open_requests()):
                await changed.wait()
            elif not await self.step(webhooks=webhooks):
                return


async def _alongside(call: Awaitable[None], work: Awaitable[None]) -> None:
    """Await a call while some work goes on beside it, which is cancelled when the call ends."""
    tasks = asyncio.ensure_future(call), asyncio.ensure_future(work)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not tasks[0].done():
            tasks[1].result()
        await tasks[0]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _read(scope: Scope, *, lenient: bool) -> Call | None:
    """Read a call that may move the clock: any to the run host, or a poll."""
    if scope["type"] != "http":
        return None
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    try:
        authority = parse_authority(headers.get("host", "localhost"))
        found = find_destination(authority, headers, scope["scheme"], scope["path"], ())
    except (AuthorityError, NotServedError):
        return None
    call = calls.read(found.host, scope["method"], found.path, headers, lenient=lenient)
    return call if call.operation is Operation.RUN or scope["method"] in {"GET", "HEAD"} else None
