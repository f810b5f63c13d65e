"""The CORS headers of answers to web pages. The guard decides which pages may call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from falmock.http.context import CONTEXT, CallContext
from falmock.http.replies import with_headers
from falmock.protocol.hosts import ROUTER_HEADERS

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

EXPOSED: Final = (
    "x-fal-request-id",
    "x-fal-billable-units",
    "x-fal-served-from",
    "x-fal-request-timeout-type",
    "x-fal-error-type",
    "x-fal-needs-retry",
    "x-fal-runner-hints",
    "etag",
    "content-length",
    "content-range",
    "accept-ranges",
)

MIRRORED: Final = {
    "access-control-request-method": "access-control-allow-methods",
    "access-control-request-headers": "access-control-allow-headers",
    "access-control-request-private-network": "access-control-allow-private-network",
}


def for_pages(app: ASGIApp) -> ASGIApp:
    """Let a page send credentials, and read the answer with its headers."""
    return CORSMiddleware(
        app,
        allow_origin_regex=".*",
        allow_methods=["*"],
        allow_headers=["*"],
        allow_credentials=True,
        allow_private_network=True,
        expose_headers=EXPOSED,
    )


def for_readers(app: ASGIApp) -> ASGIApp:
    """Let all pages read files."""
    return CORSMiddleware(app, allow_origins=["*"], expose_headers=EXPOSED)


class Mirror:
    """CORS of the queue host: it allows the origin, method and headers that a page names (PROTOCOL.md 10.2).

    Args:
        app: answers the calls, which must have an Origin.
        exposes: whether pages may read the headers of answers too.
    """

    def __init__(self, app: ASGIApp, *, exposes: bool) -> None:
        self._app = app
        self._exposed = {"access-control-expose-headers": ", ".join(EXPOSED)} if exposes else {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight; add the headers to any other answer."""
        context: CallContext = scope[CONTEXT]
        headers = context.headers
        allowed = ROUTER_HEADERS | {"access-control-allow-origin": headers["origin"]}
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            mirrored = {MIRRORED[name]: value for name, value in headers.items() if name in MIRRORED}
            await Response(headers=allowed | mirrored)(scope, receive, send)
            return
        await with_headers(self._app, allowed | self._exposed)(scope, receive, send)
