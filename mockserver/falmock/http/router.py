"""Passes calls to fal's hosts, and records each with its answer in the journal."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from starlette.middleware.exceptions import ExceptionMiddleware

from falmock.faults.triggers import MAGIC_HEADER
from falmock.http import replies
from falmock.http.context import CONTEXT, READING, CallContext
from falmock.http.fault_injection import INSPECTED, FaultInjector
from falmock.inspection.journal import journal_of
from falmock.inspection.recorded import join_headers
from falmock.protocol import calls
from falmock.protocol.authorities import AuthorityError, parse_url
from falmock.protocol.errors import PlatformError
from falmock.protocol.hosts import ALIASES, QUEUE, WEBSITE, NotServedError, find_destination, is_fal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from falmock.engine.emulator import Emulator
    from falmock.http.queue import QueueHost
    from falmock.inspection.ledger import Ledger
    from falmock.protocol.hosts import BaseURL, Destination

log = logging.getLogger("falmock")

MISDIRECTED: Final = 421
NOT_EMULATED: Final = (
    "The call was refused, so that nothing reaches the paid service. Leave it out or stub it in the "
    f"program, or call a host that is emulated: {', '.join(ALIASES)}."
)
NOT_OWN: Final = "If that is its name on your network, start it with --hostname."
REFUSES_LOCAL: Final = "ai-sdk/"  # Vercel's AI SDK downloads nothing from addresses of this machine
FAULTLESS: Final = frozenset({WEBSITE})  # no fault applies to these hosts


class HostRouter:
    """An ASGI application for all fal hosts. It needs a `CallContext` in the scope.

    Args:
        others: an ASGI application for each of the other hosts.
        ledger: counts the calls for each host, and those that are not emulated.
        files: base URL of files in answers to calls under fal's own names; empty to keep fal's.
    """

    def __init__(
        self,
        emulator: Emulator,
        queue: QueueHost,
        others: Mapping[str, ASGIApp],
        ledger: Ledger,
        *,
        files: str = "",
    ) -> None:
        self._queue = queue
        self._hosts = {QUEUE: queue.app, **others}
        self._ledger = ledger
        self._files = files
        self._rules = emulator.rule_set
        self._faults = FaultInjector(emulator)
        self._journal = journal_of(emulator)
        self._clock = emulator.clock
        settings = emulator.settings
        self._lenient = settings.lenient_paths
        public = parse_url(settings.public_url) if settings.public_url is not None else None
        self._public = (public.scheme, str(public.authority)) if public is not None else None
        self._app = ExceptionMiddleware(self._answer, handlers=replies.FAL_HANDLERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find the host of a call, and have it answer."""
        context: CallContext = scope[CONTEXT]
        app: ASGIApp = self._app
        try:
            destination = self.locate(context, scope)
        except AuthorityError as error:
            app = replies.refusal_response(PlatformError("bad_request", str(error)))
            context.call = self._read("", scope["path"], context, scope)
        except NotServedError as error:
            self._ledger.refuse(error.host)
            app = _not_served(error.host)
            context.call = self._read(error.host, scope["path"], context, scope)
        else:
            self._ledger.calls[destination.host] += 1
            scope["path"] = destination.path
            if destination.query is not None:
                scope["query_string"] = destination.query.encode()
        await self._record(app, context, scope, receive, send)

    def locate(self, context: CallContext, scope: Scope) -> Destination:
        """Return where a call goes; add the operation and the base URL to its context.

        Raises:
            AuthorityError, NotServedError: see `find_destination`.
        """
        destination = find_destination(
            context.authority, context.headers, scope["scheme"], scope["path"], context.names
        )
        context.base_url = self._adapted(destination.base_url, context.headers)
        context.call = self._read(destination.host, destination.path, context, scope)
        return destination

    def _read(self, host: str, path: str, context: CallContext, scope: Scope) -> calls.Call:
        return calls.read(host, scope["method"], path, context.headers, lenient=self._lenient)

    def _adapted(self, base_url: BaseURL, headers: Mapping[str, str]) -> BaseURL:
        if base_url.style == "host":
            adapts = self._files and REFUSES_LOCAL not in headers.get("user-agent", "")
            return replace(base_url, files=self._files) if adapts else base_url
        if self._public is None:
            return base_url
        scheme, authority = self._public
        return replace(base_url, scheme=scheme, authority=authority)

    def answer_at_once(
        self, context: CallContext, scope: Scope, path: str, headers: bytes
    ) -> Response | None:
        """Answer a call to the queue without waiting; None if a rule may apply to it.

        Args:
            path: on that host.
            headers: as `join_headers` returns them.
        """
        call = context.call
        if self._rules.watches(call.operation, call.request_id):
            return None
        self._ledger.calls[QUEUE] += 1
        record = self._journal.open(call, scope, path, self._clock.now(), headers)
        if context.body is not None:
            record.on_request_body(context.body, more=False)
        error: str | None = None
        try:
            try:
                response = self._queue.answer(context, scope)
            except replies.EXPECTED as expected:
                response = replies.response_of_host(expected, QUEUE)
            record.on_response_start(response.status_code, replies.head_of(response))
            record.on_response_body(response.body)  # type: ignore[arg-type]  # bytes, in all of ours
        except BaseException as caught:
            error = type(caught).__name__
            raise
        finally:
            self._journal.close(record, error, request_id=context.request_id)
        return response

    async def pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the queue answer a call whose context and path are complete."""
        self._ledger.calls[QUEUE] += 1
        await self._record(self._app, scope[CONTEXT], scope, receive, send)

    async def _record(
        self, app: ASGIApp, context: CallContext, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Record a call while `app` answers it."""
        record = self._journal.open(context.call, scope, scope["path"], self._clock.now())
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
            await app(scope, receive if scope["method"] in READING else receive_and_record, record_and_send)
            if record.chunks and complete:  # a large input
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

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        context: CallContext = scope[CONTEXT]
        call = context.call
        app = self._hosts[call.host]
        if call.host not in FAULTLESS and (
            call.operation in INSPECTED
            or MAGIC_HEADER in context.headers
            or self._rules.watches(call.operation, call.request_id)
        ):
            await self._faults(app, scope, receive, send)
        else:
            await app(scope, receive, send)


def _not_served(host: str) -> Response:
    """Return a refusal with 421, which fal does not have, and log it."""
    what, advice = ("does not emulate", NOT_EMULATED) if is_fal(host) else ("is not", NOT_OWN)
    log.warning("refused a call for %s, which falmock %s", host, what)
    return replies.explained(MISDIRECTED, f"falmock {what} {host}. {advice}")
