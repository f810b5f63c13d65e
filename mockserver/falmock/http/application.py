"""The ASGI application. Most calls to the queue take a short way past its layers."""

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
    """An ASGI application that answers most calls to the queue itself, and passes the others to its layers.

    Args:
        at_once: as `answer_at_once`, but may raise; None if every call passes through the layers.
        given: arguments of Starlette's.
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
            except Exception:  # as Starlette's own middleware does: the caller gets a 500, the server logs
                await failure()(scope, receive, send)
                raise
        await (super().__call__ if response is None else response)(scope, receive, send)

    def answer_at_once(self, scope: Scope, body: bytes | None) -> Response | None:
        """Return the response to an HTTP call, or None for a call that needs the layers. Does not wait.

        Args:
            body: complete; None if it has not been received.
        """
        if self._at_once is None:
            return None
        try:
            return self._at_once(scope, body)
        except Exception:  # a bug: the caller gets a 500
            log.exception("a call failed; this is a bug in falmock")
            return failure()
