"""Opens the connections of httpx clients, to addresses that a dialler has checked."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

from falmock.system.dialler import AddressRefusedError
from falmock.system.http1 import Pool

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    from falmock.protocol.addresses import IPAddress
    from falmock.system.dialler import Dialler

log = logging.getLogger("falmock.system.transport")


class CheckedTransport(httpx.AsyncHTTPTransport):
    """An httpx transport that connects only to addresses checked by a dialler.

    The length of a body must be known.

    Args:
        dialler: checks the addresses.
        verify: the TLS settings.
        tcp: connects to an address; by default httpcore's backend.
    """

    def __init__(
        self,
        dialler: Dialler,
        *,
        verify: ssl.SSLContext,
        tcp: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        super().__init__(verify=verify, trust_env=False)
        network = _CheckedBackend(dialler, tcp or httpcore.AnyIOBackend())
        self._pool: Any = Pool(network, verify)  # httpx has no parameter for a pool


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
        """Refuse, because a URL must not lead to a socket file."""
        del timeout, socket_options
        raise httpcore.ConnectError(f"{path} is not a network address")

    async def sleep(self, seconds: float) -> None:
        """See `httpcore.AsyncNetworkBackend`."""
        await asyncio.sleep(seconds)
