"""Who may call, and which pages may read the answers: one decision, before anything else looks at a call.

fal's API answers pages of every origin. An emulator on a developer's machine must not: a page of any site
could submit requests, read webhook URLs and empty the queue. So a call is refused when

- its Host or Origin is not plainly one (400, see `authorities`);
- it is for the control API and does not come straight from this machine, by a name of the emulator's own;
- it comes from a page whose origin is neither on this machine nor allowed by a setting. The browser says so
  with `BaseURL`, or with `Sec-Fetch-Site: cross-site` where it sends no `BaseURL`.

Only files on the CDN are for the pages of every origin, as at fal.
"""

from __future__ import annotations

import ipaddress
import logging
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from falmock.protocol.addresses import is_loopback
from falmock.protocol.authorities import (
    Authority,
    AuthorityError,
    WebOrigin,
    origin_of,
    parse_authority,
    parse_origin,
    parse_url,
)
from falmock.protocol.errors import PlatformError
from falmock.protocol.hosts import CDN, TARGETS, NotServedError, is_fal, is_own, locate, own_authority

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from falmock.settings import Settings

log = logging.getLogger("falmock")

CONTROL: Final = "/control"
HEALTH: Final = "/health"
PROXY: Final = "/api/fal/proxy"

EXPOSED: Final = (
    "x-fal-request-id",
    "x-fal-billable-units",
    "x-fal-served-from",
    "x-fal-request-timeout-type",
    "x-fal-error-type",
    "x-fal-needs-retry",
    "x-fal-runner-hints",
    "etag",
    "content-length",
    "content-range",
    "accept-ranges",
)
FORWARDED: Final = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"})
_SAME_SITE: Final = frozenset({b"same-origin", b"same-site", b"none"})
_READ: Final = frozenset({b"host", b"origin", b"sec-fetch-site", *(name.encode() for name in TARGETS)})


class Area(Enum):
    """What a call is for."""

    FAL = auto()  # a host of fal's
    MEDIA = auto()  # to read a file on the CDN
    PROXY = auto()  # fal's browser proxy protocol
    HEALTH = auto()
    CONTROL = auto()


@dataclass(frozen=True, slots=True)
class Call:
    """What the decision looks at.

    Attributes:
        area: what the call is for.
        host: that it names.
        peer: IP address that it comes from; None if the server does not tell.
        proxied: it came through a proxy that nobody vouches for.
        origin: of the page that sent it; "null" for an opaque one, None for a call without an Origin.
        own: the origin of a page that the emulator itself serves under this name; None under foreign names.
        cross_site: the browser says that a page of another site made it.
    """

    area: Area
    host: Authority
    peer: str | None = None
    proxied: bool = False
    origin: WebOrigin | str | None = None
    own: WebOrigin | None = None
    cross_site: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """What the settings allow.

    Attributes:
        names: of this emulator, besides those of loopback.
        origins: whose pages may call, besides those of this machine.
    """

    names: frozenset[str] = frozenset()
    origins: frozenset[WebOrigin] = frozenset()

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """Return the policy of an emulator."""
        allowed = {origin for text in settings.allow_origins if (origin := parse_origin(text)) is not None}
        if settings.public_url is not None:
            url = parse_url(settings.public_url)
            allowed.add(origin_of(url.scheme, url.authority))
        names = frozenset(parse_authority(name).name for name in settings.hostnames)
        return cls(names, frozenset(allowed))

    def objection(self, call: Call) -> str | None:
        """Return why a call is refused, in one line, or None."""
        if call.area is Area.CONTROL and (why := self._not_from_here(call)) is not None:
            return why
        if call.area is Area.MEDIA:
            return None
        if call.origin is not None:
            return None if self._is_allowed(call) else _foreign(call.origin)
        return CROSS_SITE if call.cross_site else None

    def _not_from_here(self, call: Call) -> str | None:
        if call.proxied:
            return "the control API is not answered through a proxy: call its address directly"
        if call.peer is not None and not is_loopback(call.peer):
            return f"the control API answers to this machine only, and the call comes from {call.peer}"
        name = call.host.name
        if not is_loopback(name) and name not in self.names:
            return (
                f"the control API is not reached as {name!r}: say localhost, or start with --hostname {name}"
            )
        return None

    def _is_allowed(self, call: Call) -> bool:
        origin = call.origin
        if not isinstance(origin, WebOrigin):
            return False
        here = origin.scheme in {"http", "https"} and is_loopback(origin.authority.name)
        return here or origin == call.own or origin in self.origins


ONLY: Final = "falmock answers to pages of this machine only"
CROSS_SITE: Final = (
    f"{ONLY}, and the browser says that a page of another site made this call (Sec-Fetch-Site: cross-site). "
    "To allow that page, start with --allow-origin and its origin, and call with fetch(), which names it."
)
OPAQUE: Final = (
    f"{ONLY}, and this one has no origin of its own: it is a file, or in a sandboxed frame. Serve it from "
    "http://localhost instead."
)


def _foreign(origin: WebOrigin | str) -> str:
    if not isinstance(origin, WebOrigin):
        return OPAQUE
    return (
        f"{ONLY}, and this one is from {origin}. To allow it, start with --allow-origin {origin}, or set "
        f"FALMOCK_ALLOW_ORIGIN={origin}."
    )


class Guard:
    """Decides about each call, and adds the headers that let an allowed page read the answer.

    Sets `falmock.area` in the scope: what the call is for.

    Args:
        app: answers what is not refused.
        settings: of the emulator.
        through_proxy: addresses from which the emulator's own proxy calls, for whoever it may be.
    """

    def __init__(self, app: ASGIApp, settings: Settings, through_proxy: Collection[tuple[str, int]]) -> None:
        self._app = app
        self._policy = Policy.of(settings)
        self._names = settings.own_names
        self._through_proxy = through_proxy
        # Neither decides anything: only calls of allowed pages, and of pages that read files, get to them.
        self._for_pages = CORSMiddleware(
            app,
            allow_origin_regex=".*",
            allow_methods=["*"],
            allow_headers=["*"],
            allow_credentials=True,
            allow_private_network=True,
            expose_headers=EXPOSED,
        )
        self._for_readers = CORSMiddleware(app, allow_origins=["*"], expose_headers=EXPOSED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            call = self._read(scope)
        except AuthorityError as error:
            await refuse(400, str(error))(scope, receive, send)
            return
        if (why := self._policy.objection(call)) is not None:
            await refuse(403, why)(scope, receive, send)
            return
        app = self._app
        if call.origin is not None:
            app = self._for_readers if call.area is Area.MEDIA else self._for_pages
        await app({**scope, "falmock.area": call.area}, receive, send)

    def _read(self, scope: Scope) -> Call:
        headers = _headers(scope)
        host = _host(scope, headers)
        area = self._area(scope["path"], host, headers)
        origin: WebOrigin | str | None = None
        if b"origin" in headers:
            origin = parse_origin(_text(headers[b"origin"])) or "null"
        cross_site = headers.get(b"sec-fetch-site", b"none") not in _SAME_SITE
        if (origin is not None or cross_site) and area is Area.FAL and _reads_a_file(scope, host):
            area = Area.MEDIA
        peer = scope.get("client")
        return Call(
            area,
            host,
            peer=peer[0] if peer else None,
            proxied=area is Area.CONTROL and self._is_proxied(scope),
            origin=origin,
            own=origin_of(scope["scheme"], host) if origin and is_own(host.name, self._names) else None,
            cross_site=cross_site,
        )

    def _area(self, path: str, host: Authority, headers: dict[bytes, bytes]) -> Area:
        """Return what a call is for; a path on a host of fal's is fal's, whatever it is."""
        if is_fal(host.name):
            return Area.FAL
        if path == PROXY:
            return Area.PROXY
        if any(name.encode() in headers for name in TARGETS):
            return Area.FAL
        if path == CONTROL or path.startswith(f"{CONTROL}/"):
            return Area.CONTROL
        if path == HEALTH and is_own(host.name, self._names):
            return Area.HEALTH
        return Area.FAL

    def _is_proxied(self, scope: Scope) -> bool:
        peer = scope.get("client")
        if peer is not None and tuple(peer) in self._through_proxy:
            return True
        return any(name in FORWARDED for name, _ in scope["headers"])


def by_area(areas: Mapping[Area, ASGIApp], others: ASGIApp) -> ASGIApp:
    """Return an application that hands a call to what answers in its area; `others` get the rest."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        app = areas.get(scope.get("falmock.area", Area.FAL), others)
        await app(scope, receive, send)

    return application


class TrustedProxies:
    """Applies `X-Forwarded-For` and `X-Forwarded-Proto` of the proxies that a setting names.

    Args:
        app: answers calls.
        trusted: IP addresses and networks of the proxies.
        through_proxy: as for `Guard`; calls from there keep their own address, whatever their headers say.
    """

    def __init__(
        self, app: ASGIApp, trusted: Collection[str], through_proxy: Collection[tuple[str, int]]
    ) -> None:
        self._app = app
        self._networks = [ipaddress.ip_network(each) for each in trusted]
        self._through_proxy = through_proxy
        self._believe = ProxyHeadersMiddleware(self._without_headers, list(trusted))  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        app: ASGIApp = self._believe if self._is_trusted(scope) else self._app  # type: ignore[assignment]
        await app(scope, receive, send)

    def _is_trusted(self, scope: Scope) -> bool:
        peer = scope.get("client")
        if scope["type"] != "http" or peer is None or tuple(peer) in self._through_proxy:
            return False
        if all(name != b"x-forwarded-for" for name, _ in scope["headers"]):
            return False
        try:
            address = ipaddress.ip_address(peer[0])
        except ValueError:  # the server listens at something else than a port
            return False
        return any(address in network for network in self._networks)

    async def _without_headers(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Drop the headers once they are applied: the guard takes those that are left for untrusted ones."""
        headers = [(name, value) for name, value in scope["headers"] if name not in FORWARDED]
        await self._app({**scope, "headers": headers}, receive, send)


def refuse(status: int, why: str) -> JSONResponse:
    """Return a refusal of fal's shape, and log it: a page cannot read it, so its developer looks here."""
    log.warning("refused a call: %s", why)
    if status == PlatformError.STATUS["bad_request"]:
        error = PlatformError("bad_request", why)
        return JSONResponse(error.body, status, error.headers)
    # fal's JavaScript client shows `message`, and every other one the body or `detail`.
    return JSONResponse({"detail": why, "message": why}, status)


def _headers(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers that the decision looks at.

    Raises:
        AuthorityError: one of them is there twice, so that two readers could see different ones.
    """
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in _READ:
            if name in found:
                raise AuthorityError(f"the call has more than one {name.decode()} header")
            found[name] = value
    return found


def _host(scope: Scope, headers: dict[bytes, bytes]) -> Authority:
    if b"host" in headers:
        return parse_authority(_text(headers[b"host"]))
    if scope.get("http_version") != "1.0":
        raise AuthorityError("the call has no Host header")
    return parse_authority(own_authority(scope))


def _reads_a_file(scope: Scope, host: Authority) -> bool:
    if scope["method"] not in {"GET", "HEAD"}:
        return False
    headers = {_text(name): _text(value) for name, value in scope["headers"]}
    own = str(host)
    try:
        arrival = locate(headers, scope["scheme"], scope["path"], own_names={host.name}, own_authority=own)
    except (AuthorityError, NotServedError):
        return False
    return arrival.host == CDN and arrival.path.startswith("/files/")


def _text(value: bytes) -> str:
    return value.decode("latin-1")
