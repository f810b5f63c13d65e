"""Passes calls to fal's hosts."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from starlette.datastructures import MutableHeaders
from starlette.middleware.exceptions import ExceptionMiddleware

from falmock.faults.triggers import MAGIC_HEADER
from falmock.http.context import CONTEXT, CallContext
from falmock.http.fault_injection import INSPECTED, FaultInjector
from falmock.http.refusals import FAL_HANDLERS, explained, refusal_response
from falmock.protocol import calls
from falmock.protocol.authorities import AuthorityError, parse_url
from falmock.protocol.errors import PlatformError
from falmock.protocol.hosts import (
    ALIASES,
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

    from falmock.http.recorder import Recorder
    from falmock.protocol.authorities import Authority
    from falmock.protocol.calls import Call
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
FAULTLESS: Final = frozenset({WEBSITE})  # no fault applies to these hosts


class HostRouter:
    """An ASGI application for all fal hosts. It needs a `CallContext` in the scope.

    Args:
        hosts: an ASGI application for each.
        recorder: records the calls.
        faults: injects faults into them.
        arrivals: counts the calls for each host.
        refused: called with the host name of each call that is not emulated.
        files: base URL of files in answers to calls under fal's own names; empty to keep fal's.
    """

    def __init__(
        self,
        hosts: Mapping[str, ASGIApp],
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
            destination = self.locate(
                context.authority, context.headers, scope["scheme"], scope["path"], context.names
            )
        except AuthorityError as error:
            app = refusal_response(PlatformError("bad_request", str(error)))
        except NotServedError as error:
            self._refused(error.host)
            host, app = error.host, _not_served(error.host)
        else:
            host = destination.host
            context.base_url = destination.base_url
            self._arrivals[host] += 1
            scope["path"] = destination.path
            if destination.query is not None:
                scope["query_string"] = destination.query.encode()
        context.call = calls.read(
            host, scope["method"], scope["path"], context.headers, lenient=self._lenient
        )
        await self._recorder(app, context, scope, receive, send)

    def locate(
        self,
        authority: Authority,
        headers: Mapping[str, str],
        scheme: str,
        path: str,
        names: frozenset[str],
    ) -> Destination:
        """Return where a call goes, with the base URL for its answer. See `find_destination`."""
        destination = find_destination(authority, headers, scheme, path, names)
        base_url = destination.base_url
        if base_url.style == "host":
            if self._files and REFUSES_LOCAL not in headers.get("user-agent", ""):
                base_url = replace(base_url, files=self._files)
        elif self._public is not None:
            scheme, public = self._public
            base_url = replace(base_url, scheme=scheme, authority=public)
        return destination if base_url is destination.base_url else replace(destination, base_url=base_url)

    def read(self, destination: Destination, method: str, headers: Mapping[str, str]) -> Call:
        """Read a call to a host."""
        return calls.read(destination.host, method, destination.path, headers, lenient=self._lenient)

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
    """Return a refusal with 421, which fal does not have, and log it."""
    what = "does not emulate" if is_fal(host) else "is not"
    log.warning("refused a call for %s, which falmock %s", host, what)
    return explained(MISDIRECTED, f"falmock {what} {host}. {NOT_EMULATED if is_fal(host) else NOT_OWN}")
