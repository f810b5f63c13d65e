"""Opens the connections of httpx clients, to addresses that a dialler has checked."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

from falmock.system.dialler import AddressRefusedError

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterable

    from falmock.protocol.addresses import IPAddress
    from falmock.system.dialler import Dialler

log = logging.getLogger("falmock.system.transport")


class CheckedTransport(httpx.AsyncHTTPTransport):
    """An httpx transport that connects only to addresses checked by a dialler.

    Args:
        dialler: checks.
        verify: the TLS settings.
        tcp: connects to an address; httpcore's own by default.
    """

    def __init__(
        self,
        dialler: Dialler,
        *,
        verify: ssl.SSLContext,
        tcp: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        super().__init__(verify=verify, trust_env=False)
        # httpx has no parameter for httpcore's network backend.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=verify,
            max_connections=None,  # the senders of webhooks have slots for each receiver
            max_keepalive_connections=20,
            keepalive_expiry=5.0,
            network_backend=_CheckedBackend(dialler, tcp or httpcore.AnyIOBackend()),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Close the connection of a call that fails. httpcore leaves it open in some moments."""
        opened: list[httpcore.AsyncNetworkStream] = []

        async def trace(event: str, info: dict[str, Any]) -> None:
            if event == "connection.connect_tcp.complete":
                opened.append(info["return_value"])

        request.extensions = {**request.extensions, "trace": trace}
        try:
            response = await super().handle_async_request(request)
        except BaseException:
            for stream in opened:
                await stream.aclose()
            raise
        connection = response.extensions.get("network_stream")
        if connection is not None:  # a stand-in for the network has none
            response.stream = _Body(response.stream, connection)
        return response


class _Body(httpx.AsyncByteStream):
    """The body of a response. Its connection is closed if the end of the response is cancelled."""

    def __init__(self, stream: Any, connection: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._connection = connection

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._stream)

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        except BaseException:
            await self._connection.aclose()
            raise


class _CheckedBackend(httpcore.AsyncNetworkBackend):
    def __init__(self, dialler: Dialler, tcp: httpcore.AsyncNetworkBackend) -> None:
        self._dialler = dialler
        self._tcp = tcp

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that accepts. Each gets an equal share of the remaining time."""
        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        untried = await self._checked(host, port, timeout)
        while True:
            address, *untried = untried
            share = None if end is None else max(0.0, end - loop.time()) / (1 + len(untried))
            try:
                return await self._tcp.connect_tcp(str(address), port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if not untried:
                    raise

    async def _checked(self, host: str, port: int, timeout: float | None) -> list[IPAddress]:
        try:
            async with asyncio.timeout(timeout):
                return await self._dialler.addresses(host, port)
        except AddressRefusedError as refusal:
            log.warning("not connected: %s", refusal)
            raise httpcore.ConnectError(str(refusal)) from refusal
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"no address for {host} in time") from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"no address for {host} ({error})") from error

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: callers cannot name socket files."""
        del timeout, socket_options
        raise httpcore.ConnectError(f"{path} is not a network address")

    async def sleep(self, seconds: float) -> None:
        """See `httpcore.AsyncNetworkBackend`."""
        await asyncio.sleep(seconds)
