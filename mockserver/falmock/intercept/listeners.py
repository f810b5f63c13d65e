"""The open ports of an emulator: plain HTTP, TLS, and the proxy."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from falmock.http.server import Server, address
from falmock.intercept.server_info import ServerInfo
from falmock.protocol.addresses import is_loopback
from falmock.system import private

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Iterator

    from starlette.applications import Starlette

    from falmock.intercept.authority import CertificateAuthority

PRELOAD: Final = "preload.cjs"


@dataclass(frozen=True, slots=True)
class Listeners:
    """Listening sockets."""

    http: socket.socket
    https: socket.socket
    proxy: socket.socket

    def __iter__(self) -> Iterator[socket.socket]:
        return iter((self.http, self.https, self.proxy))


@asynccontextmanager
async def open_listeners(
    app: Starlette, listeners: Listeners, open_ca: Callable[[], CertificateAuthority], *, sealed: bool
) -> AsyncIterator[ServerInfo]:
    """Serve an application, with and without TLS and through the proxy, for the length of a block.

    Plain calls are answered while the CA is opened, in a thread.
    A proxy that other machines can reach is always sealed: it must not be an open relay.

    Raises:
        OSError: Node's preload cannot be written.
    """
    settings = app.state.emulator.settings
    plain = Server(app, limits=settings.limits)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(plain.running(listeners.http))
        ca = await asyncio.to_thread(open_ca)
        from falmock.intercept.proxy import Proxy  # noqa: PLC0415 - loads h11; plain calls do not wait for it

        preload = ca.certificate.with_name(PRELOAD)
        private.write(preload, (files("falmock.intercept") / PRELOAD).read_bytes())
        private.publish(preload.parent)
        server = ServerInfo(
            http=address(listeners.http),
            https=address(listeners.https).replace("http:", "https:"),
            proxy=address(listeners.proxy),
            certificate=str(ca.certificate.absolute()),
            bundle=str(ca.bundle.absolute()),
            preload=str(preload.absolute()),
            sealed=sealed or not is_loopback(listeners.proxy.getsockname()[0]),
            state=str(settings.state.absolute()) if settings.state is not None else "",
            token=app.state.identity.token,
        )
        proxy = Proxy(
            server.http,
            server.https,
            sealed=server.sealed,
            refused=app.state.ledger.refuse,
            calling=app.state.through_proxy,
        )
        secure = Server(app, ca.context(), limits=settings.limits)
        await stack.enter_async_context(secure.running(listeners.https))
        await stack.enter_async_context(proxy.serving(listeners.proxy))
        try:
            yield server
        finally:
            for each in (plain, secure):  # so that both close at the same time
                each.stop()
