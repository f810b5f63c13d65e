"""Finds the fal host that a call is for, and the base URL for the URLs in its answer.

One port serves every fal host. The host of a call is the first of

1. the one in `x-fal-target-url`, the full URL that fal's browser proxy protocol sends; if that is of the
   emulator itself, rules 4 and 5 apply to its path;
2. the one in `x-fal-target-host`, which other proxies send;
3. the one in its `Host` header, if DNS or a proxy leads fal's name here;
4. the first segment of its path: `http://127.0.0.1:8787/queue.fal.run/fal-ai/...`;
5. the queue host, for any other path on the emulator's own address.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from falmock.protocol.addresses import is_loopback
from falmock.protocol.authorities import DEFAULT_PORTS, Authority, parse_authority, parse_url

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, MutableMapping
    from typing import Any

    from falmock.protocol.authorities import HttpUrl

QUEUE: Final = "queue.fal.run"
RUN: Final = "fal.run"
REST: Final = "rest.fal.ai"
CDN: Final = "v3.fal.media"
MEDIA: Final = "v3b.fal.media"
PLATFORM: Final = "api.fal.ai"
WEBSITE: Final = "fal.ai"

# The hosts that the emulator serves, and the older names of each.
ALIASES: Final[dict[str, str]] = {
    QUEUE: QUEUE,
    RUN: RUN,
    REST: REST,
    "rest.alpha.fal.ai": REST,
    CDN: CDN,
    MEDIA: CDN,
    "fal.media": CDN,
    "v2.fal.media": CDN,
    PLATFORM: PLATFORM,
    WEBSITE: WEBSITE,
}
TARGETS: Final = frozenset({"x-fal-target-url", "x-fal-target-host"})
LONGEST_ADDRESS: Final = 100  # characters; an IPv6 address has 45, plus a zone, the name of an interface
FAL_DOMAINS: Final = ("fal.run", "fal.ai", "fal.media", "falrun.com", "fal.dev")
_BELOW_FAL: Final = tuple(f".{domain}" for domain in FAL_DOMAINS)


_READABLE: Final = {
    "access-control-allow-credentials": "true",
    "vary": "origin, access-control-request-method, access-control-request-headers",
}
_EDGE: Final = {"strict-transport-security": "max-age=31536000; includeSubDomains", "x-robots-tag": "noindex"}

# The headers of every answer of a host, in the recorded order (PROTOCOL.md 11.2).
HEADERS: Final[dict[str, dict[str, str]]] = {
    QUEUE: _READABLE | _EDGE,
    RUN: _EDGE,
    REST: _EDGE,
    PLATFORM: {
        "access-control-allow-origin": "*",
        "cache-control": "public, max-age=0, must-revalidate",
        "strict-transport-security": "max-age=63072000",
    },
}
# Those of the queue host for a path or method that its router does not know.
ROUTER_HEADERS: Final = _READABLE


class NotServedError(Exception):
    """The call names a host that the emulator does not serve."""

    def __init__(self, host: str) -> None:
        self.host = host
        super().__init__(host)


@dataclass(frozen=True, slots=True)
class BaseURL:
    """The base of the URLs in an answer. They lead back to the emulator in the style of the call.

    Attributes:
        style: "host" if the call used fal's own name, "prefix" if that name led its path, else "bare".
        authority: of the emulator; for style "host" only ":port" or "".
        files: for style "host", base URL of the emulator that replaces the media hosts, as
            "http://127.0.0.1:8787"; empty for none.
    """

    style: str
    scheme: str
    authority: str = ""
    files: str = ""

    def url(self, host: str, path: str) -> str:
        """Return the URL of a path on a fal host."""
        if self.files and host in {CDN, MEDIA}:
            return f"{self.files}/{host}{path}"
        if self.style == "host":
            return f"{self.scheme}://{host}{self.authority}{path}"
        if self.style == "bare" and host == QUEUE:
            return f"{self.scheme}://{self.authority}{path}"
        return f"{self.scheme}://{self.authority}/{host}{path}"

    def __str__(self) -> str:
        return f"{self.style} {self.scheme} {self.authority} {self.files}".rstrip()

    @classmethod
    def parse(cls, text: str) -> BaseURL:
        """Parse the result of `str()`."""
        return cls(*text.split(" "))


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a call goes.

    Attributes:
        path: on that host, with a leading and without a trailing slash.
        query: without the question mark; None keeps the call's own.
    """

    host: str
    path: str
    query: str | None
    base_url: BaseURL


def is_fal(name: str) -> bool:
    """Check whether a host name is fal's, served here or not."""
    return name in FAL_DOMAINS or name.endswith(_BELOW_FAL)


def is_served(name: str) -> bool:
    """Check whether the emulator serves a host name."""
    return name in ALIASES


def find_destination(
    authority: Authority, headers: Mapping[str, str], scheme: str, path: str, own_names: Collection[str]
) -> Destination:
    """Find the destination of a call.

    Args:
        own_names: names of this emulator besides those of loopback.

    Raises:
        AuthorityError: a header does not name a host.
        NotServedError: the emulator does not serve the host, and it is not the emulator's own name.
    """
    name = authority.name
    if name in ALIASES:
        base_url = _base_url("host", scheme, f":{authority.port}" if authority.port else "")
        return Destination(ALIASES[name], _trim(path), None, base_url)
    if not is_own(name, own_names):
        raise NotServedError(name)
    if target := headers.get("x-fal-target-url"):
        return find_target(parse_url(target), authority, scheme, own_names)
    if host := headers.get("x-fal-target-host"):
        target_host = _fal_host(parse_authority(host).name)
        return Destination(target_host, _trim(path), None, _base_url("prefix", scheme, authority.text))
    return _by_path(path, None, scheme, authority)


def find_target(url: HttpUrl, authority: Authority, scheme: str, own_names: Collection[str]) -> Destination:
    """Find the destination of a call that names its target by URL.

    The URL is of a fal host, or of this emulator, as the call itself could have.

    Raises:
        NotServedError: it is of another host.
    """
    name, path, query = url.authority.name, unquote(url.path), url.query or ""
    if name in ALIASES:
        return Destination(ALIASES[name], _trim(path), query, _base_url("bare", scheme, authority.text))
    same_port = url.port == (authority.port or DEFAULT_PORTS[scheme])
    if name in own_names or (same_port and (name == authority.name or is_loopback(name))):
        return _by_path(path, query, scheme, authority)
    raise NotServedError(name)


def _by_path(path: str, query: str | None, scheme: str, authority: Authority) -> Destination:
    first, _, rest = path.removeprefix("/").partition("/")
    first = first.lower()
    if first in ALIASES:
        return Destination(ALIASES[first], _trim(rest), query, _base_url("prefix", scheme, authority.text))
    if is_fal(first):
        raise NotServedError(first)
    return Destination(QUEUE, _trim(path), query, _base_url("bare", scheme, authority.text))


@lru_cache(maxsize=64)
def _base_url(style: str, scheme: str, authority: str) -> BaseURL:
    return BaseURL(style, scheme, authority)


def _fal_host(name: str) -> str:
    if name not in ALIASES:
        raise NotServedError(name)
    return ALIASES[name]


def _trim(path: str) -> str:
    return "/" + path.strip("/")


def own_authority(scope: MutableMapping[str, Any]) -> str:
    """Return the authority of the socket that received a call, for a call without a Host header."""
    server = scope.get("server") or ("localhost", None)
    return str(Authority(str(server[0]), server[1]))


def is_own(name: str, own_names: Collection[str]) -> bool:
    """Check whether a host name is the emulator's own.

    The names are a closed list: a web page could make any other name resolve to this machine (DNS rebinding).
    """
    return name in own_names or name == "localhost" or name.endswith(".localhost") or _is_address(name)


def _is_address(name: str) -> bool:
    return len(name) <= LONGEST_ADDRESS and _parses_as_address(name)


@lru_cache(maxsize=128)
def _parses_as_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
