"""Passes calls to fal's hosts."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from starlette.datastructures import MutableHeaders
from starlette.middleware.exceptions import ExceptionMiddleware

from falmock.engine.payloads import LARGE_INPUT
from falmock.faults.triggers import MAGIC_HEADER, may_have_triggers
from falmock.http.context import CONTEXT, CallContext
from falmock.http.fault_injection import INSPECTED, FaultInjector
from falmock.http.refusals import FAL_HANDLERS, explained, refusal_response
from falmock.http.submission import wants_webhook
from falmock.protocol import calls
from falmock.protocol.authorities import AuthorityError, parse_url
from falmock.protocol.calls import Operation
from falmock.protocol.errors import PlatformError
from falmock.protocol.hosts import (
    ALIASES,
    QUEUE,
    TARGETS,
    WEBSITE,
    NotServedError,
    find_destination,
    is_fal,
)

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from falmock.http.recorder import AtOnce, Recorder
    from falmock.protocol.hosts import Destination
    from falmock.settings import Settings

log = logging.getLogger("falmock")

MISDIRECTED: Final = 421
NOT_EMULATED: Final = (
    "The call was refused, so that nothing reaches the paid service. Leave it out or stub it in the "
    f"program, or call a host that is emulated: {', '.join(ALIASES)}."
)
NOT_OWN: Final = "If that is its name on your network, start it with --hostname."
REFUSES_LOCAL: Final = "ai-sdk/"  # Vercel's AI SDK downloads nothing from addresses of this machine
AT_ONCE: Final = frozenset({Operation.SUBMIT, Operation.STATUS, Operation.RESULT, Operation.CANCEL})
FAULTLESS: Final = frozenset({WEBSITE})  # no fault applies to these hosts


class HostRouter:
    """An ASGI application for all fal hosts. It needs a `CallContext` in the scope.

    Args:
        hosts: an ASGI application for each.
        queue: returns the response of the queue host to a call that waits for nothing.
        settings: of the emulator.
        recorder: records the calls.
        faults: injects faults into them.
        arrivals: counts the calls for each host.
        refused: called with the host name of each call that is not emulated.
        files: base URL of files in answers to calls under fal's own names; empty to keep fal's.
    """

    def __init__(
        self,
        hosts: Mapping[str, ASGIApp],
        queue: AtOnce,
        settings: Settings,
        *,
        recorder: Recorder,
        faults: FaultInjector,
        arrivals: Counter[str],
        refused: Callable[[str], None],
        files: str = "",
    ) -> None:
        self._files = files
        self._arrivals = arrivals
        self._faults = faults
        self._rules = faults.rules
        self._hosts = hosts
        self._queue = queue
        self._lenient = settings.lenient_paths
        self._recorder = recorder
        self._refused = refused
        public = parse_url(settings.public_url) if settings.public_url is not None else None
        self._public = (public.scheme, str(public.authority)) if public is not None else None
        self._app = ExceptionMiddleware(self._answer, handlers=FAL_HANDLERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context: CallContext = scope[CONTEXT]
        host = ""
        app: ASGIApp = self._app
        try:
            destination = self._locate(context, scope)
        except AuthorityError as error:
            app = refusal_response(PlatformError("bad_request", str(error)))
        except NotServedError as error:
            self._refused(error.host)
            host, app = error.host, _not_served(error.host)
        else:
            host = destination.host
            self._arrivals[host] += 1
            scope["path"] = destination.path
            if destination.query is not None:
                scope["query_string"] = destination.query.encode()
        context.call = calls.read(
            host, scope["method"], scope["path"], context.headers, lenient=self._lenient
        )
        await self._recorder(app, context, scope, receive, send)

    def answer_at_once(self, context: CallContext, scope: Scope, body: bytes | None) -> Response | None:
        """Answer a call to the queue host that waits for nothing and that no fault can affect.

        Args:
            context: of the guard; it is completed.
            scope: of the call; it is not changed.
            body: of the call, complete; None if it has not been received.

        Returns:
            The response; None for any other call.
        """
        if MAGIC_HEADER in context.headers or not TARGETS.isdisjoint(context.headers):
            return None
        try:
            destination = self._locate(context, scope)
        except NotServedError:
            return None
        path = destination.path
        call = calls.read(destination.host, scope["method"], path, context.headers, lenient=self._lenient)
        if (
            call.host != QUEUE
            or call.operation not in AT_ONCE
            or self._rules.watches(call.operation, call.request_id)
        ):
            return None
        if call.operation is Operation.SUBMIT:
            if body is None or len(body) > LARGE_INPUT or may_have_triggers(body) or wants_webhook(scope):
                return None
            context.body = body
        self._arrivals[call.host] += 1
        context.call = call
        return self._recorder.answer_at_once(self._queue, context, scope, path)

    def _locate(self, context: CallContext, scope: Scope) -> Destination:
        """Return where a call goes, and set the base URL for its answer.

        Raises:
            AuthorityError, NotServedError: see `find_destination`.
        """
        destination = find_destination(
            context.authority, context.headers, scope["scheme"], scope["path"], context.names
        )
        base_url = destination.base_url
        if base_url.style == "host":
            if self._files and REFUSES_LOCAL not in context.headers.get("user-agent", ""):
                base_url = replace(base_url, files=self._files)
        elif self._public is not None:
            scheme, authority = self._public
            base_url = replace(base_url, scheme=scheme, authority=authority)
        context.base_url = base_url
        return destination

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


def with_headers(app: ASGIApp, headers: Mapping[str, str]) -> ASGIApp:
    """Return an application that adds headers to each response of another."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_more(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        await app(scope, receive, send_more)

    return application


def _not_served(host: str) -> Response:
    """Return a refusal that cannot be mistaken for fal's 404, and log it."""
    what = "does not emulate" if is_fal(host) else "is not"
    log.warning("refused a call for %s, which falmock %s", host, what)
    return explained(MISDIRECTED, f"falmock {what} {host}. {NOT_EMULATED if is_fal(host) else NOT_OWN}")
