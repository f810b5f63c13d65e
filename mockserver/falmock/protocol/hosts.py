"""Which fal host a call is for, and how URLs in the answer lead back the way it came.

One port answers for every fal host. In this order, a call belongs to the host that is named by

1. `x-fal-target-url`, the whole URL, as fal's own browser proxy protocol sends it;
2. `x-fal-target-host`, as other proxies send it;
3. its `Host` header, when a name server or a proxy led fal's name here;
4. the first part of its path: `http://127.0.0.1:8787/queue.fal.run/fal-ai/...`;
5. nothing: a bare path on the emulator's own address is the queue's.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from falmock.protocol.authorities import Authority, parse_authority, parse_url

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, MutableMapping
    from typing import Any

QUEUE: Final = "queue.fal.run"
RUN: Final = "fal.run"
REST: Final = "rest.fal.ai"
CDN: Final = "v3.fal.media"
MEDIA: Final = "v3b.fal.media"
PLATFORM: Final = "api.fal.ai"
WEBSITE: Final = "fal.ai"

# Older names of the same hosts.
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
TARGETS: Final = ("x-fal-target-url", "x-fal-target-host")
LONGEST_ADDRESS: Final = 100  # characters; an IPv6 address has 45, and its zone is an interface's name
FAL_DOMAINS: Final = ("fal.run", "fal.ai", "fal.media", "falrun.com", "fal.dev")


class NotServedError(Exception):
    """The call names a host that the emulator does not stand for."""

    def __init__(self, host: str) -> None:
        self.host = host
        super().__init__(host)


@dataclass(frozen=True, slots=True)
class BaseURL:
    """The way a call came in.

    Attributes:
        style: "host" when fal's own name was used, "prefix" when it led the path, "bare" for
            neither.
        scheme: "http" or "https".
        authority: name and port of the emulator; for "host" only ":port", or nothing.
    """

    style: str
    scheme: str
    authority: str

    def url(self, host: str, path: str) -> str:
        """Return the address of a path on a fal host, for whoever came this way."""
        if self.style == "host":
            return f"{self.scheme}://{host}{self.authority}{path}"
        if self.style == "bare" and host == QUEUE:
            return f"{self.scheme}://{self.authority}{path}"
        return f"{self.scheme}://{self.authority}/{host}{path}"

    def __str__(self) -> str:
        return f"{self.style} {self.scheme} {self.authority}".rstrip()

    @classmethod
    def parse(cls, text: str) -> BaseURL:
        """Read back what `str()` gave."""
        style, scheme, *authority = text.split(" ")
        return cls(style, scheme, authority[0] if authority else "")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a call belongs.

    Attributes:
        host: one of the fal hosts above, aliases resolved.
        path: on that host, with its leading and without a trailing slash.
        query: without the question mark; None leaves the call's own.
        origin: for the URLs of the answer.
    """

    host: str
    path: str
    query: str | None
    origin: BaseURL


def is_fal(name: str) -> bool:
    """Tell whether a host name is one of fal's, served here or not."""
    return any(name == domain or name.endswith("." + domain) for domain in FAL_DOMAINS)


def is_served(name: str) -> bool:
    """Tell whether a host name is one that the emulator stands for."""
    return name in ALIASES


def locate(
    headers: Mapping[str, str], scheme: str, path: str, *, own_names: Collection[str], own_authority: str
) -> Destination:
    """Find out where a call belongs.

    Args:
        headers: of the call; names in lower case.
        scheme: it came with.
        path: it came with, decoded.
        own_names: names besides loopback ones that lead to this emulator.
        own_authority: for a client that sends no Host header.

    Raises:
        AuthorityError: a header names no host at all.
        NotServedError: the host is neither fal's, as far as it is emulated, nor the emulator's own.
    """
    called = parse_authority(headers.get("host", own_authority))
    authority, name = str(called), called.name
    if name in ALIASES:
        origin = BaseURL("host", scheme, f":{called.port}" if called.port else "")
        return Destination(ALIASES[name], _trim(path), None, origin)
    if not is_own(name, own_names):
        raise NotServedError(name)
    if target := headers.get("x-fal-target-url"):
        return _by_url(target, BaseURL("bare", scheme, authority))
    if host := headers.get("x-fal-target-host"):
        target_host = _fal_host(parse_authority(host).name)
        return Destination(target_host, _trim(path), None, BaseURL("prefix", scheme, authority))
    first, _, rest = path.removeprefix("/").partition("/")
    if first.lower() in ALIASES:
        return Destination(ALIASES[first.lower()], _trim(rest), None, BaseURL("prefix", scheme, authority))
    if is_fal(first.lower()):
        raise NotServedError(first.lower())
    return Destination(QUEUE, _trim(path), None, BaseURL("bare", scheme, authority))


def _by_url(target: str, origin: BaseURL) -> Destination:
    url = parse_url(target)
    return Destination(_fal_host(url.authority.name), _trim(unquote(url.path)), url.query or "", origin)


def _fal_host(name: str) -> str:
    if name not in ALIASES:
        raise NotServedError(name)
    return ALIASES[name]


def _trim(path: str) -> str:
    return "/" + path.strip("/")


def own_authority(scope: MutableMapping[str, Any]) -> str:
    """Return the authority of the socket that a call arrived at, for a caller that names no host."""
    server = scope.get("server") or ("localhost", None)
    return str(Authority(str(server[0]), server[1]))


def is_own(name: str, own_names: Collection[str]) -> bool:
    """Tell whether a host name is the emulator's own.

    A page elsewhere must not reach a local server by a name that it rebinds, so names are a closed list.
    """
    return name in own_names or name == "localhost" or name.endswith(".localhost") or _is_address(name)


def _is_address(name: str) -> bool:
    return len(name) <= LONGEST_ADDRESS and _reads_as_address(name)


@lru_cache(maxsize=128)
def _reads_as_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
