"""Decides which addresses webhooks are sent to and input files are fetched from.

A name is looked up once, all its addresses are checked, and the connection goes to one of them. So a second
look-up cannot give another address. TLS still verifies the name. The emulator never connects to its own
listeners.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

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
    from collections.abc import Awaitable, Callable, Collection

    LookUp = Callable[[str, int], Awaitable[list[str]]]

ANYWHERE: Final = frozenset({Reach.LOOPBACK, Reach.PRIVATE, Reach.PUBLIC})
PUBLIC_ONLY: Final = frozenset({Reach.PUBLIC})
NOWHERE: Final[frozenset[Reach]] = frozenset()
PORTS: Final = {"http": 80, "https": 443}
LOOK_UP_SECONDS: Final = 2.0  # for the name in a webhook's URL, at the submission


class AddressRefusedError(Exception):
    """The host or its address is not allowed. The text says why."""


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
    """The listeners of an emulator, the names of this machine, and `Settings.public_url`.

    A listener on a wildcard address has every address of this machine: 0.0.0.0 the IPv4 ones, :: all.
    """

    def __init__(self, names: Collection[str] = (), public_url: str | None = None) -> None:
        self._names = frozenset(name.lower().removesuffix(".") for name in names)
        self._listening: set[tuple[IPAddress, int]] = set()
        public = urlsplit(public_url or "")
        self._public = (public.hostname, public.port or PORTS.get(public.scheme))

    def add(self, listener: socket.socket) -> None:
        host, port = listener.getsockname()[:2]
        address = parse(host)
        assert address is not None  # noqa: S101 - the system's own text
        self._listening.add((address if address.is_unspecified else delivered(address), port))

    def has_port(self, port: int) -> bool:
        return any(port == own for _, own in self._listening)

    def has_name(self, host: str, port: int) -> bool:
        """Return whether these are a name and a port of the emulator, without a look-up."""
        name = host.lower().removesuffix(".")
        return (name in self._names and self.has_port(port)) or (name, port) == self._public

    def has(self, address: IPAddress, port: int) -> bool:
        """Return whether a connection to an address reaches one of the listeners."""
        there = delivered(address)
        return any(
            port == own_port and (there == own or (_covers(own, there) and is_this_machine(there)))
            for own, own_port in self._listening
        )


def _covers(own: IPAddress, address: IPAddress) -> bool:
    """Return whether a listener on a wildcard address accepts connections to an address."""
    return own.is_unspecified and (own.version == 6 or address.version == 4)  # noqa: PLR2004 - of IP


def is_this_machine(address: IPAddress) -> bool:
    """Return whether this machine has an address: if so, a socket can be bound to it."""
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
    """Decides which addresses a connection may go to: none of the emulator's own.

    `beyond` has the kinds of addresses that hosts besides loopback ones may have.
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
        import httpx  # noqa: PLC0415 - loads slowly, and most requests have no webhook

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
            return False  # the attempt checks again
        return any(self.own.has(address, port) for address in found)


def _described(allowed: Collection[Reach]) -> str:
    if Reach.PRIVATE in allowed:
        return "an address that can be called"
    return "a public address" if Reach.PUBLIC in allowed else "on this machine"
