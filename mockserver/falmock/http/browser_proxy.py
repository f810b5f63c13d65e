"""The proxy that fal's clients use from a page, at `/api/fal/proxy` (PROTOCOL.md 12).

A page must not have a key, so it calls its own server, with fal's URL in `x-fal-target-url`. That server adds
the key and calls fal. Here the emulator is that server. The target may also be a URL of the emulator itself,
such as one from an earlier answer.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from starlette.responses import JSONResponse

from falmock.http.context import CONTEXT, Area, CallContext
from falmock.protocol.authorities import AuthorityError, parse_url
from falmock.protocol.hosts import QUEUE, REST, RUN, NotServedError, find_target, is_fal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from falmock.settings import Settings

log = logging.getLogger("falmock")

NAME: Final = "@fal-ai/server-proxy/falmock"
FORWARDED: Final = ("x-fal-", "x-falmock-")
ALLOWED_HOSTS: Final = frozenset({RUN, QUEUE})
ALLOWED_URLS: Final = frozenset(
    f"{REST}/storage/upload/{operation}?storage_type=fal-cdn-v3"
    for operation in ("initiate", "complete-multipart")
)


class BrowserProxy:
    """Forwards allowed calls with a key.

    Args:
        settings: the proxy uses the first of the keys.
        refused: called with each host name that a call was refused for.
    """

    def __init__(self, fal: ASGIApp, settings: Settings, refused: Callable[[str], None]) -> None:
        self._fal = fal
        self._refused = refused
        self._key = settings.keys[0] if settings.keys else "falmock:proxy"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context: CallContext = scope[CONTEXT]
        name, allowed = self._target(context, scope["scheme"])
        if not allowed:
            log.warning("refused a page's call for %s: pages may call queue and run hosts", name)
            self._refused(name)
            await JSONResponse("Invalid request", 400)(scope, receive, send)
            return
        headers = self._forwarded(context.headers)
        inner = {
            **scope,
            CONTEXT: CallContext(Area.FAL, context.authority, headers, context.names),
            "path": "/",
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
        }
        await self._fal(inner, receive, send)

    def _target(self, context: CallContext, scheme: str) -> tuple[str, bool]:
        """Return the name of the host that a page wants to call, and whether it may."""
        try:
            url = parse_url(context.headers.get("x-fal-target-url", ""))
        except AuthorityError:
            return "no host", False
        name = url.authority.name
        try:
            target = find_target(url, context.authority, scheme, context.names)
        except NotServedError:
            return name, False
        if is_fal(name) and (name != target.host or url.authority.port is not None):
            return name, False
        allowed = target.host in ALLOWED_HOSTS or f"{target.host}{target.path}?{target.query}" in ALLOWED_URLS
        return name, allowed

    def _forwarded(self, headers: Mapping[str, str]) -> dict[str, str]:
        kept = {
            name: value
            for name, value in headers.items()
            if name.startswith(FORWARDED) or name in {"host", "user-agent", "content-length"}
        }
        return kept | {
            "authorization": headers.get("authorization", f"Key {self._key}"),
            "accept": "application/json",
            "content-type": "application/json",
            "x-fal-client-proxy": NAME,
        }
