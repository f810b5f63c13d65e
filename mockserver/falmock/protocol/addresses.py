"""Classification of IP addresses and host texts, without any look-up."""

from __future__ import annotations

import ipaddress
import re
import socket
from enum import StrEnum
from typing import Final

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

LOOPBACK_ADDRESSES: Final[tuple[IPAddress, ...]] = (
    ipaddress.IPv4Address("127.0.0.1"),
    ipaddress.IPv6Address("::1"),
)

LONGEST_LABEL: Final = 63  # characters between two dots of a name (RFC 1035)

# The forms that inet_aton accepts: one to four numbers, each decimal, octal (0177) or hexadecimal (0x7f).
_IPV4 = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+)){0,3}", re.IGNORECASE | re.ASCII)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_THIS_NETWORK: Final = ipaddress.IPv4Network("0.0.0.0/8")
_UNIQUE_LOCAL: Final = ipaddress.IPv6Network("fc00::/7")
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")


class Reach(StrEnum):
    """Where a connection to an address ends.

    UNUSABLE addresses are never connected to: link-local (cloud metadata), multicast, broadcast,
    unspecified, reserved and scoped addresses, and IPv6 translations of non-public IPv4 addresses.
    """

    LOOPBACK = "loopback"
    PRIVATE = "private"
    PUBLIC = "public"
    UNUSABLE = "unusable"


def parse(host: str) -> IPAddress | None:
    """Parse an IP address; return None for a name.

    Accepts every form of an IPv4 address that the operating system's resolver accepts: `127.1`,
    `0x7f.1`, `0177.0.0.1`, `2130706433`.
    """
    text = host.removesuffix(".")
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    if _IPV4.fullmatch(text):
        try:
            return ipaddress.IPv4Address(socket.inet_aton(text))
        except OSError:
            return None
    try:
        return ipaddress.IPv6Address(text)
    except ValueError:
        return None


def is_name(host: str) -> bool:
    """Check for a valid host name: ASCII labels of letters, digits, hyphens and underscores."""
    labels = host.removesuffix(".").split(".")
    return host.isascii() and all(
        0 < len(label) <= LONGEST_LABEL and label.replace("-", "").replace("_", "").isalnum()
        for label in labels
    )


def is_localhost(host: str) -> bool:
    """Check for `localhost` and its subdomains, which RFC 6761 reserves for loopback."""
    name = host.lower().removesuffix(".")
    return name == "localhost" or name.endswith(".localhost")


def is_loopback(host: str) -> bool:
    """Check whether a host is loopback, from its text alone."""
    if is_localhost(host):
        return True
    address = parse(host)
    return address is not None and reach(address) is Reach.LOOPBACK


def reach(address: IPAddress) -> Reach:
    """Return where a connection to an address ends."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return _reach_v6(address)
        address = address.ipv4_mapped
    if address.is_loopback:
        return Reach.LOOPBACK
    if address.is_multicast or address.is_link_local or address.is_reserved or address in _THIS_NETWORK:
        return Reach.UNUSABLE
    return Reach.PUBLIC if address.is_global else Reach.PRIVATE


def _reach_v6(address: ipaddress.IPv6Address) -> Reach:
    if address.scope_id is not None:
        return Reach.UNUSABLE
    if address.is_loopback:
        return Reach.LOOPBACK
    inside = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address.sixtofour
    if inside is not None:
        return Reach.PUBLIC if reach(inside) is Reach.PUBLIC else Reach.UNUSABLE
    if address in _GLOBAL_UNICAST:
        return Reach.PUBLIC if address.is_global else Reach.PRIVATE
    return Reach.PRIVATE if address in _UNIQUE_LOCAL else Reach.UNUSABLE


def delivered(address: IPAddress) -> IPAddress:
    """Return the address at which a connection arrives.

    An IPv4-mapped address is the IPv4 one. Linux and macOS lead the unspecified address to loopback.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return delivered(address.ipv4_mapped)
        plain = ipaddress.IPv6Address(int(address))  # without a scope
        return LOOPBACK_ADDRESSES[1] if plain.is_unspecified else plain
    return LOOPBACK_ADDRESSES[0] if address.is_unspecified else address
