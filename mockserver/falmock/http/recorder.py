"""Takes down every call, between the front door and whoever answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from falmock.engine.clock import Clock
    from falmock.inspection.journal import Journal


BODILESS: Final = frozenset({"GET", "HEAD"})


class Recorder:
    """Listens in on calls. What goes by is not changed, and not kept waiting.

    Args:
        journal: where to.
        clock: the emulator's.
    """

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock

    async def __call__(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Let `app` answer a call that has been read (`falmock.call` in its scope)."""
        record = self._journal.open(scope["falmock.call"], scope, self._clock.now())
        error: str | None = None
        complete = False

        async def hear() -> Message:
            nonlocal complete
            message = await receive()
            if message["type"] == "http.request":
                complete = not message.get("more_body", False)
                record.on_request_body(message.get("body", b""), more=not complete)
            return message

        async def say(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.on_response_start(message["status"], message["headers"])
            elif message["type"] == "http.response.body":
                record.on_response_body(message.get("body", b""))
            await send(message)

        try:
            await app(scope, receive if scope["method"] in BODILESS else hear, say)
            if record.has_undigested_input and complete:
                await asyncio.to_thread(record.digest_input)
        except BaseException as caught:
            error = type(caught).__name__
            raise
        finally:
            self._journal.close(
                record,
                error,
                fault=scope.get("falmock.fault"),
                request_id=scope.get("falmock.request_id"),
                public=scope.get("falmock.public"),
            )
