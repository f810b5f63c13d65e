"""Strict parsers of authorities, web origins and http URLs.

An authority is `host[:port]` (RFC 9110, RFC 3986), as in a Host header. A web origin is a scheme and an
authority (RFC 6454, WHATWG HTML), as in an Origin header. URL libraries are lenient: they drop
user info, take backslashes for slashes, strip control characters, and read `127.1` as an address. Each of
these lets one parser see a local name where another sees a foreign one, so all of them are errors here.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import idna

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
LONGEST_NAME: Final = 253  # characters (RFC 1035)
LONGEST: Final = LONGEST_NAME + len(".:65535")
LONGEST_SCHEME: Final = 32

_AUTHORITY: Final = re.compile(
    r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_.-]+))(?::(?P<port>[1-9][0-9]{0,4}))?", re.ASCII
)
_NAME: Final = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}", re.ASCII)
_NUMBER: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)", re.ASCII)
_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<authority>[^/?#\\]*)(?P<path>(?:/[^?#]*)?)(?:\?(?P<query>[^#]*))?(?:#.*)?",
    re.ASCII | re.IGNORECASE,
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*", re.ASCII)


class AuthorityError(ValueError):
    """A text is not a valid authority, origin or http URL; the message is one line."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A host and perhaps a port.

    Attributes:
        name: in lower case, without a final dot; an IP address in its shortest form, without brackets.
    """

    name: str
    port: int | None = None
    text: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        name = f"[{self.name}]" if ":" in self.name else self.name
        object.__setattr__(self, "text", name if self.port is None else f"{name}:{self.port}")

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class WebOrigin:
    """The origin of a web page.

    Attributes:
        scheme: in lower case.
        authority: without the default port of the scheme.
    """

    scheme: str
    authority: Authority

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


@dataclass(frozen=True, slots=True)
class HttpUrl:
    """A parsed http or https URL without its fragment. Path and query are as given; the path may be empty."""

    scheme: str
    authority: Authority
    path: str
    query: str | None

    @property
    def base(self) -> str:
        """Scheme and authority."""
        return f"{self.scheme}://{self.authority}"

    @property
    def port(self) -> int:
        """The port to connect to."""
        return self.authority.port or DEFAULT_PORTS[self.scheme]


def parse_authority(text: str) -> Authority:
    """Parse `name`, `name:port`, `192.0.2.1:port` or `[2001:db8::1]:port`.

    Raises:
        AuthorityError: it is something else, for example user info, a zone, a percent sign, an invalid port,
            a number that is not an IPv4 address in four parts, or a character outside ASCII.
    """
    if len(text) > LONGEST:  # checked first, so that callers cannot fill the cache
        raise AuthorityError("the name of a host has at most 253 characters")
    return _parsed(text)


def parse_origin(text: str) -> WebOrigin | None:
    """Parse an Origin header; None for the opaque one, "null"; any other text is an AuthorityError."""
    if text == "null":
        return None
    scheme, separator, rest = text.lower().partition("://")
    # Two characters outside ASCII are letters of ASCII in lower case.
    if not (text.isascii() and separator and len(scheme) <= LONGEST_SCHEME and _SCHEME.fullmatch(scheme)):
        raise AuthorityError(f"{_shown(text)} is not a web origin, as http://localhost:3000")
    return origin_of(scheme, parse_authority(rest))


def origin_of(scheme: str, authority: Authority) -> WebOrigin:
    """Return the origin of a page that is served at an authority."""
    if authority.port is not None and authority.port == DEFAULT_PORTS.get(scheme):
        authority = Authority(authority.name)
    return WebOrigin(scheme, authority)


def parse_url(text: str, *, userinfo: bool = False) -> HttpUrl:
    """Parse an absolute http or https URL. A name outside ASCII is converted as httpx does it (IDNA 2008).

    Args:
        userinfo: accept `user:password@` before the host, and drop it.

    Raises:
        AuthorityError: it is something else.
    """
    match = None if _CONTROL.search(text) else _URL.fullmatch(text)
    if match is None:
        raise AuthorityError(f"{_shown(text)} is not an http or https URL")
    before, at, host = match["authority"].rpartition("@")
    if at and (not userinfo or "@" in before):
        raise AuthorityError("a URL with user info before its host is not accepted here")
    return HttpUrl(match["scheme"].lower(), parse_authority(_in_ascii(host)), match["path"], match["query"])


def _in_ascii(host: str) -> str:
    if host.isascii():
        return host
    name, colon, port = host.partition(":")
    try:
        # Long names take IDNA much time; names that are cut here are too long to be valid.
        encoded = idna.encode(name[: LONGEST + 1].lower()).decode()
    except idna.IDNAError:
        encoded = ""
    if not encoded or encoded.count(".") != name.count("."):  # IDNA accepts three other dots
        raise AuthorityError(f"{_shown(host)} is not the name of a host")
    return encoded + colon + port


@lru_cache(maxsize=256)
def _parsed(text: str) -> Authority:
    match = _AUTHORITY.fullmatch(text.lower()) if text.isascii() else None
    if match is None:
        raise AuthorityError(f"{_shown(text)} is not a host, or a host and a port, as 127.0.0.1:8787")
    port = None if match["port"] is None else int(match["port"])
    if port is not None and port > 65535:  # noqa: PLR2004 - the largest of TCP's
        raise AuthorityError(f"{port} is not a port")
    try:
        if match["ipv6"] is not None:
            name = str(ipaddress.IPv6Address(match["ipv6"]))
        else:
            name = _name(match["name"].removesuffix("."))
    except ValueError:
        raise AuthorityError(f"{_shown(text)} is not the name or the address of a host") from None
    return Authority(name, port)


def _name(text: str) -> str:
    """Return a name or an IPv4 address; a name that ends in a number must be an address (WHATWG URL)."""
    if _NUMBER.fullmatch(text):
        return str(ipaddress.IPv4Address(text))
    if len(text) > LONGEST_NAME or not _NAME.fullmatch(text):
        raise ValueError(text)
    return text


def _shown(text: str) -> str:
    """Return the beginning of a text, safe to print."""
    return ascii(text if len(text) <= 80 else f"{text[:80]}...")  # noqa: PLR2004 - one line
