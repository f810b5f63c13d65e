"""Opens the connections of webhooks and of input files, to checked addresses only.

A name is looked up once, all its addresses are checked, and the connection goes to one of them. So a second
look-up cannot give another address. TLS still verifies the name. The emulator never connects to its own
listeners.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpcore
import httpx

from falmock.protocol.addresses import (
    LOOPBACK_ADDRESSES,
    IPAddress,
    Reach,
    delivered,
    is_localhost,
    is_loopback,
    is_name,
    parse,
    reach,
)
from falmock.protocol.authorities import Authority
from falmock.protocol.hosts import is_fal

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator

    LookUp = Callable[[str, int], Awaitable[list[str]]]

log = logging.getLogger("falmock.system.dialler")

ANYWHERE: Final = frozenset({Reach.LOOPBACK, Reach.PRIVATE, Reach.PUBLIC})
PUBLIC_ONLY: Final = frozenset({Reach.PUBLIC})
NOWHERE: Final[frozenset[Reach]] = frozenset()
PORTS: Final = {"http": 80, "https": 443}
LOOK_UP_SECONDS: Final = 2.0  # for the name in a webhook's URL, at the submission


class AddressRefusedError(httpcore.ConnectError):
    """The dialler does not connect to this host. The text says why."""


async def look_up(host: str, port: int) -> list[str]:
    """Return the IP addresses of a host name, by the system's resolver.

    Raises:
        OSError: the name has no address.
        UnicodeError: IDNA refuses the name.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


async def resolve(host: str, port: int, look_up: LookUp = look_up) -> list[IPAddress]:
    """Return the addresses of a host. Addresses and `localhost` names are not looked up.

    Raises:
        OSError: the name has no address.
        UnicodeError: IDNA refuses the name.
    """
    if is_localhost(host):
        return list(LOOPBACK_ADDRESSES)
    if (literal := parse(host)) is not None:
        return [literal]
    if not is_name(host):
        raise OSError(f"{host} is not a host name")
    found = [address for text in await look_up(host, port) if (address := parse(text)) is not None]
    if not found:
        raise OSError(f"{host} has no address")
    return found


class OwnAddresses:
    """The listeners and names of an emulator.

    A listener on a wildcard address has every address of this machine: 0.0.0.0 the IPv4 ones, :: all.

    Args:
        names: of this machine.
        public_url: see `Settings`.
    """

    def __init__(self, names: Collection[str] = (), public_url: str | None = None) -> None:
        self._names = frozenset(name.lower().removesuffix(".") for name in names)
        self._listening: set[tuple[IPAddress, int]] = set()
        public = urlsplit(public_url or "")
        self._public = (public.hostname, public.port or PORTS.get(public.scheme))

    def add(self, listener: socket.socket) -> None:
        """Add a listening socket."""
        self._listening.add(_listening_address(listener))

    @contextmanager
    def listening(self, listener: socket.socket) -> Iterator[None]:
        """Add a listening socket for the length of a block."""
        own = _listening_address(listener)  # a server closes its listener before the block ends
        self._listening.add(own)
        try:
            yield
        finally:
            self._listening.discard(own)

    def has_port(self, port: int) -> bool:
        """Check whether any listener has this port."""
        return any(port == own for _, own in self._listening)

    def has_name(self, host: str, port: int) -> bool:
        """Check for a name and port of the emulator, without a look-up."""
        name = host.lower().removesuffix(".")
        return (name in self._names and self.has_port(port)) or (name, port) == self._public

    def has(self, address: IPAddress, port: int) -> bool:
        """Check whether a connection to an address reaches one of the listeners."""
        there = delivered(address)
        return any(
            port == own_port and (there == own or (_covers(own, there) and _is_this_machine(there)))
            for own, own_port in self._listening
        )


def _listening_address(listener: socket.socket) -> tuple[IPAddress, int]:
    host, port = listener.getsockname()[:2]
    address = parse(host)
    assert address is not None  # noqa: S101 - the system's own text
    return (address if address.is_unspecified else delivered(address)), port


def _covers(own: IPAddress, address: IPAddress) -> bool:
    """Check whether a listener on a wildcard address accepts connections to an address."""
    return own.is_unspecified and (own.version == 6 or address.version == 4)  # noqa: PLR2004 - of IP


def _is_this_machine(address: IPAddress) -> bool:
    """Check for an address of this machine: only to such an address can a socket be bound."""
    if address.is_loopback:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004 - of IP
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


class Dialler:
    """Decides which addresses a connection may go to.

    Args:
        own: the emulator's own addresses, which are refused.
        beyond: the allowed reach for hosts whose text is not loopback. Loopback hosts get only loopback.
        look_up: returns the addresses of a name.
    """

    def __init__(self, own: OwnAddresses, *, beyond: frozenset[Reach], look_up: LookUp = look_up) -> None:
        self.own = own
        self._beyond = beyond
        self._look_up = look_up

    async def addresses(self, host: str, port: int) -> list[IPAddress]:
        """Return the addresses to connect to for a host.

        Raises:
            AddressRefusedError: the host is not allowed.
            OSError: the name has no address.
            UnicodeError: IDNA refuses the name.
        """
        allowed = {Reach.LOOPBACK} if is_loopback(host) else self._beyond
        shown = Authority(host)  # an IPv6 address in brackets
        if not allowed:
            raise AddressRefusedError(f"{shown} is not on this machine")
        found = await resolve(host, port, self._look_up)
        if self.own.has_name(host, port) or any(self.own.has(address, port) for address in found):
            raise AddressRefusedError(f"{shown} port {port} is falmock itself")
        usable = [address for address in found if reach(address) is not Reach.UNUSABLE]
        if not usable or not all(reach(address) in allowed for address in usable):
            raise AddressRefusedError(f"{shown} is not {_described(allowed)}")
        return usable

    async def objection(self, url: str) -> str | None:
        """Return the reason not to post to a URL: it leads to the emulator or to fal. Otherwise None.

        A name is looked up only if connections may leave this machine, and only for a port of the emulator.
        """
        target = httpx.URL(url)
        port = target.port or PORTS[target.scheme]
        if is_fal(target.host.lower().removesuffix(".")):
            return f"{target.host} is a host of fal's, which falmock emulates"
        if self.own.has_name(target.host, port) or await self._leads_here(target.host, port):
            return f"{Authority(target.host)} port {port} is falmock itself"
        return None

    async def _leads_here(self, host: str, port: int) -> bool:
        named = parse(host) is None and not is_localhost(host)
        if not self.own.has_port(port) or (named and not self._beyond):
            return False
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                found = await resolve(host, port, self._look_up)
        except (OSError, UnicodeError, TimeoutError):
            return False  # the delivery checks again
        return any(self.own.has(address, port) for address in found)


def _described(allowed: Collection[Reach]) -> str:
    if Reach.PRIVATE in allowed:
        return "an address that can be called"
    return "a public address" if Reach.PUBLIC in allowed else "on this machine"


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
            raise
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
        raise AddressRefusedError(f"{path} is not a network address")

    async def sleep(self, seconds: float) -> None:
        """See `httpcore.AsyncNetworkBackend`."""
        await asyncio.sleep(seconds)
