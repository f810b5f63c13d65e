"""Request targets of the proxy: the address that they name, and the request to forward. Pure."""

from __future__ import annotations

from typing import Final

import h11

from falmock.protocol.authorities import AuthorityError, HttpUrl, origin_of, parse_authority, parse_url

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

Address = tuple[str, int]


class RefusedError(Exception):
    """The proxy refuses a request; the text gives the reason."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def tunnel_address(target: str) -> Address:
    """Parse the target of CONNECT, `host:port`.

    Raises:
        RefusedError: it is something else.
    """
    try:
        authority = parse_authority(target)
    except AuthorityError as error:
        raise RefusedError(400, str(error)) from None
    if authority.port is None:
        raise RefusedError(400, "the request target has no port")
    return authority.name, authority.port


def forward_url(target: str) -> HttpUrl:
    """Parse the target of any other request, an http URL.

    Raises:
        RefusedError: it is something else.
    """
    try:
        url = parse_url(target, userinfo=True)
    except AuthorityError as error:
        raise RefusedError(400, str(error)) from None
    if url.scheme != "http":
        raise RefusedError(400, "this is falmock's proxy: it accepts CONNECT and http://... only")
    return url


def onward(request: h11.Request, url: HttpUrl, *, upgrades: bool) -> h11.Request:
    """Return the request in origin form, with `Connection: close` unless it upgrades."""
    host = str(origin_of(url.scheme, url.authority).authority)
    path = (url.path or "/") + ("" if url.query is None else f"?{url.query}")
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
