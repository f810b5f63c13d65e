"""Request targets of the proxy: their authority, and the request to pass on. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

import h11

from falmock.protocol.addresses import is_name, parse

HTTP: Final = 80
DROPPED: Final = frozenset(
    {
        b"host",  # replaced by that of the URL
        b"proxy-connection",
        b"proxy-authorization",
        b"keep-alive",
        b"forwarded",  # the emulator must not trust a client's claims about its own address
        b"x-real-ip",
    }
)
FORWARDED: Final = b"x-forwarded-"

_AUTHORITY = re.compile(r"(?:\[[^\[\]]+\]|[^\[\]:]+)(?::[0-9]+)?")  # urlsplit takes "[::1]x" for "::1"

Address = tuple[str, int]


class RefusedError(Exception):
    """The proxy refuses a request; the text gives the reason."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def onward(request: h11.Request, target: str, *, upgrades: bool) -> h11.Request:
    """Return the request in origin form, with `Connection: close` unless it upgrades."""
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
        raise RefusedError(400, "the request target has no valid host and port") from None
    strict = _AUTHORITY.fullmatch(parts.netloc.rpartition("@")[2])
    if not strict or not port or not (parse(host) or is_name(host)):
        raise RefusedError(400, "the request target has no valid host and port")
    return host, port
