"""Which addresses are this machine's, which are nobody's business, and which are the world's."""

from __future__ import annotations

import ipaddress
from typing import Final

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


def is_loopback(host: str) -> bool:
    """Tell whether a host, by its text alone, is this machine: no name is looked up."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.strip("[]").partition("%")[0])
    except ValueError:
        return False
    return _embedded(address).is_loopback


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the open internet's."""
    return _embedded(ipaddress.ip_address(address.partition("%")[0])).is_global


def _embedded(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Look through an IPv6 address that only wraps an IPv4 one: mapped, 6to4, or NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
