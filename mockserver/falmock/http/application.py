"""The ASGI application, with a short way for most calls of the queue."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette

from falmock.http.refusals import failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

log = logging.getLogger("falmock")


class Application(Starlette):
    """An ASGI application that answers most calls of the queue without another layer, and without a task.

    Args:
        at_once: does what `answer_at_once` does, but may raise; None to answer no call at once.
        given: arguments of Starlette's, for all other calls.
    """

    def __init__(
        self, at_once: Callable[[Scope, bytes | None], Response | None] | None, **given: Any
    ) -> None:
        super().__init__(**given)
        self._at_once = at_once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = None
        if self._at_once is not None and scope["type"] == "http":
            try:
                response = self._at_once(scope, None)
            except Exception:  # as in Starlette's own middleware: the caller gets a response, the server logs
                await failure()(scope, receive, send)
                raise
        await (super().__call__ if response is None else response)(scope, receive, send)

    def answer_at_once(self, scope: Scope, body: bytes | None) -> Response | None:
        """Return the response to a call that waits for nothing, or None.

        Args:
            scope: of an HTTP call.
            body: of the call, complete; None if it has not been received.
        """
        if self._at_once is None:
            return None
        try:
            return self._at_once(scope, body)
        except Exception:  # a defect: its caller gets a response
            log.exception("a call failed; this is a bug in falmock")
            return failure()
