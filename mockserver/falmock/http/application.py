"""The ASGI application. The calls of programs to the queue take a short way past its layers.

These are most of the calls that an emulator gets: submits, polls, results and cancels. Their heads, which
clients repeat, are parsed once. A call that need not wait is answered without a task. The others go to the
router: those with a webhook or a large input, and those that a fault may affect. The calls of pages, to other
hosts and for streams pass through the layers.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from starlette.applications import Starlette
from starlette.middleware.errors import ServerErrorMiddleware

from falmock.engine.files import LARGE_INPUT
from falmock.faults.triggers import MAGIC_HEADER, may_have_triggers
from falmock.http.context import CONTEXT, Area, CallContext, area_of, query_of, read_head
from falmock.http.replies import HANDLERS, fail, failure
from falmock.http.submission import WEBHOOK
from falmock.inspection.recorded import join_headers
from falmock.protocol.authorities import AuthorityError
from falmock.protocol.calls import Operation
from falmock.protocol.hosts import QUEUE, TARGETS, NotServedError, is_own

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from falmock.http.router import HostRouter
    from falmock.protocol.authorities import Authority
    from falmock.protocol.calls import Call
    from falmock.protocol.hosts import BaseURL
    from falmock.settings import Settings

log = logging.getLogger("falmock")

OPERATIONS: Final = frozenset({Operation.SUBMIT, Operation.STATUS, Operation.RESULT, Operation.CANCEL})
REMEMBERED: Final = 500  # heads of calls
LONGEST: Final = 2000  # bytes of the path and the headers of a call that is remembered


class _Head(NamedTuple):
    """The parsed head of a call to the queue, without its query; `joined` are all headers as bytes."""

    authority: Authority
    headers: Mapping[str, str]
    joined: bytes
    path: str
    base_url: BaseURL
    call: Call


class Application(Starlette):
    """An ASGI application that passes the queue's calls to the router, and others to its layers."""

    def __init__(self, router: HostRouter, settings: Settings, **given: Any) -> None:
        super().__init__(**given, exception_handlers={**HANDLERS, Exception: fail})
        self._router = router
        self._layered = bool(settings.trusted_proxies)  # they change the heads of calls
        self._names = settings.own_names
        self._largest = min(LARGE_INPUT, settings.max_body)
        self._heads: dict[object, _Head] = {}
        self._to_queue = ServerErrorMiddleware(router.pass_on, handler=fail)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = self._head(scope) if scope["type"] == "http" else None
        if head is None:
            await super().__call__(scope, receive, send)
            return
        context = self._context(head)
        try:
            response = self._answer(head, context, scope, None)
        except Exception:  # as Starlette's own middleware does: the caller gets a 500, the server logs
            await failure()(scope, receive, send)
            raise
        if response is not None:
            await response(scope, receive, send)
        else:
            await self._to_queue({**scope, "path": head.path, CONTEXT: context}, receive, send)

    def answer_at_once(self, scope: Scope, body: bytes | None) -> Response | None:
        """Return the response to an HTTP call, or None for one that needs a task. Does not wait.

        Args:
            scope: is not changed.
            body: complete; None if it has not been received.
        """
        try:
            head = self._head(scope)
            return None if head is None else self._answer(head, self._context(head), scope, body)
        except Exception:  # a bug: the caller gets a 500
            log.exception("a call failed; this is a bug in falmock")
            return failure()

    def _answer(self, head: _Head, context: CallContext, scope: Scope, body: bytes | None) -> Response | None:
        if head.call.operation is Operation.SUBMIT:
            if body is None or len(body) > self._largest or may_have_triggers(body):
                return None
            if WEBHOOK in query_of(scope):
                return None
            context.body = body
        return self._router.answer_at_once(context, scope, head.path, head.joined)

    def _context(self, head: _Head) -> CallContext:
        context = CallContext(Area.FAL, head.authority, head.headers, self._names)
        context.call, context.base_url = head.call, head.base_url
        return context

    def _head(self, scope: Scope) -> _Head | None:
        """Return the head of a call that takes the short way, else None."""
        if self._layered:
            return None
        key = (scope["method"], scope["path"], scope["scheme"], *scope["headers"])
        return self._heads.get(key) or self._read(scope, key)

    def _read(self, scope: Scope, key: object) -> _Head | None:
        names = self._names
        try:
            authority, headers = read_head(scope)
            context = CallContext(area_of(scope, authority, headers, names), authority, headers, names)
            if context.area is not Area.FAL or context.is_of_page:  # the guard decides
                return None
            if "." not in authority.name and not is_own(authority.name, names):  # the guard looks it up
                return None
            if "host" not in headers or MAGIC_HEADER in headers or not TARGETS.isdisjoint(headers):
                return None
            found = self._router.locate(context, scope)
        except (AuthorityError, NotServedError):
            return None
        call = context.call
        if found.host != QUEUE or call.operation not in OPERATIONS:
            return None
        joined = join_headers(scope["headers"])
        head = _Head(authority, headers, joined, found.path, context.base_url, call)
        if len(head.joined) + len(found.path) <= LONGEST:
            if len(self._heads) >= REMEMBERED:
                self._heads.clear()
            self._heads[key] = head
        return head
