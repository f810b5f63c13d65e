"""Reverse proxies whose `X-Forwarded-*` headers count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Receive, Scope, Send

FORWARDED: Final = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"})


class TrustedProxies:
    """Applies `X-Forwarded-For` and `X-Forwarded-Proto` of the proxies that a setting names.

    Args:
        through_proxy: see `Guard`; the headers of calls from there are ignored.
    """

    def __init__(
        self, app: ASGIApp, trusted: Collection[str], through_proxy: Collection[tuple[str, int]]
    ) -> None:
        self._app = app
        self._through_proxy = through_proxy
        self._applying = ProxyHeadersMiddleware(self._without_headers, list(trusted))  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app: ASGIApp = self._applying if self._is_trusted(scope) else self._app  # type: ignore[assignment]
        await app(scope, receive, send)

    def _is_trusted(self, scope: Scope) -> bool:
        peer = scope.get("client")
        return (
            scope["type"] == "http"
            and peer is not None
            and tuple(peer) not in self._through_proxy
            and any(name == b"x-forwarded-for" for name, _ in scope["headers"])
            and peer[0] in self._applying.trusted_hosts
        )

    async def _without_headers(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Drop the headers after they are applied: the guard takes the remaining ones for untrusted."""
        headers = [(name, value) for name, value in scope["headers"] if name not in FORWARDED]
        await self._app({**scope, "headers": headers}, receive, send)
