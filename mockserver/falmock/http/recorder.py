"""Records every call to a fal host, with its answer, in the journal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from falmock.http.refusals import EXPECTED, response_of_host
from falmock.http.replies import head_of
from falmock.inspection.received_call import join_headers

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from falmock.engine.clock import Clock
    from falmock.http.context import CallContext
    from falmock.inspection.journal import Journal

    HostAtOnce = Callable[[CallContext, Scope], Response]

BODILESS: Final = frozenset({"GET", "HEAD"})


class Recorder:
    """Copies the messages of calls to the journal.

    Args:
        journal: gets the calls.
        clock: the emulator's.
    """

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock

    def answer_at_once(
        self, host: HostAtOnce, context: CallContext, scope: Scope, path: str, headers: bytes
    ) -> Response:
        """Record a call that a host answers without waiting.

        Args:
            host: returns the response.
            path: on that host.
            headers: as `join_headers` returns them.
        """
        record = self._journal.open(context.call, scope, path, headers, self._clock.now())
        if context.body is not None:
            record.on_request_body(context.body, more=False)
        error: str | None = None
        try:
            try:
                response = host(context, scope)
            except EXPECTED as expected:
                response = response_of_host(expected, context.call.host)
            record.on_response_start(response.status_code, head_of(response))
            record.on_response_body(response.body)  # type: ignore[arg-type]  # bytes, in all of ours
        except BaseException as caught:
            error = type(caught).__name__
            raise
        finally:
            self._journal.close(record, error, request_id=context.request_id)
        return response

    async def __call__(
        self, app: ASGIApp, context: CallContext, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Record a call while `app` answers it."""
        headers = join_headers(scope["headers"])
        record = self._journal.open(context.call, scope, scope["path"], headers, self._clock.now())
        error: str | None = None
        complete = False

        async def receive_and_record() -> Message:
            nonlocal complete
            message = await receive()
            if message["type"] == "http.request":
                complete = not message.get("more_body", False)
                record.on_request_body(message.get("body", b""), more=not complete)
            return message

        async def record_and_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.on_response_start(message["status"], join_headers(message["headers"]))
            elif message["type"] == "http.response.body":
                record.on_response_body(message.get("body", b""))
            await send(message)

        try:
            await app(scope, receive if scope["method"] in BODILESS else receive_and_record, record_and_send)
            if record.has_undigested_input and complete:
                await asyncio.to_thread(record.digest_input)
        except BaseException as caught:
            error = type(caught).__name__
            raise
        finally:
            self._journal.close(
                record,
                error,
                fault=context.fault,
                request_id=context.request_id,
                public=context.public,
            )
