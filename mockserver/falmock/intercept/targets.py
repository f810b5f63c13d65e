"""What the proxy is asked for: the address that a target names, and the request that is passed on. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

import h11

from falmock.addresses import is_name, parse

HTTP: Final = 80
DROPPED: Final = frozenset(
    {
        b"host",  # that of the URL takes its place
        b"proxy-connection",
        b"proxy-authorization",
        b"keep-alive",
        b"forwarded",  # what a caller says of itself is not to be believed behind the proxy
        b"x-real-ip",
    }
)
FORWARDED: Final = b"x-forwarded-"

_AUTHORITY = re.compile(r"(?:\[[^\[\]]+\]|[^\[\]:]+)(?::[0-9]+)?")  # urlsplit takes "[::1]x" for "::1"

Address = tuple[str, int]


class RefusedError(Exception):
    """The door stays shut; the text says why, the status how."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def onward(request: h11.Request, target: str, *, upgrades: bool) -> h11.Request:
    """Return a request as the host itself expects it, and as the last one on its connection."""
    url = urlsplit(target)
    name, port = authority(target, HTTP)
    host = (f"[{name}]" if ":" in name else name) + (f":{port}" if port != HTTP else "")
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    dropped = DROPPED if upgrades else DROPPED | {b"connection"}
    kept = [
        (name, value)
        for name, value in request.headers.raw_items()
        if name.lower() not in dropped and not name.lower().startswith(FORWARDED)
    ]
    kept.insert(0, (b"Host", host.encode("ascii")))
    if not upgrades:
        kept.append((b"Connection", b"close"))
    return h11.Request(method=request.method, target=path, headers=kept)


def authority(url: str, default_port: int | None) -> Address:
    """Return the host and the port of a URL.

    Raises:
        RefusedError: it has none, or IDNA refuses the name.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or default_port
    except ValueError:
        raise RefusedError(400, "the proxy was asked for an address that is none") from None
    strict = _AUTHORITY.fullmatch(parts.netloc.rpartition("@")[2])
    if not strict or not port or not (parse(host) or is_name(host)):
        raise RefusedError(400, "the proxy was asked for an address that is none")
    return host, port
