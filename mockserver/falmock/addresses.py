"""Which addresses are this machine's, which are nobody's business, and which are the world's."""

from __future__ import annotations

import ipaddress


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
    """Look through an IPv6 address that only wraps an IPv4 one."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
