"""Access control: checks every call, and decides which answers web pages can read.

fal's API answers web pages of every origin. On a developer's machine, any page on the internet could then
submit requests, read webhook URLs and empty the queue. So a call is refused if

- its Host or Origin header is malformed (400, see `authorities`);
- it is for the control API or the live page, has no control token, and does not come directly from this
  machine, under one of the emulator's names;
- it comes from a page with a foreign origin that no setting allows. Browsers name the origin in `Origin`, or
  send `Sec-Fetch-Site: cross-site` without it.

Only the files on the CDN may be read by pages of every origin, as at fal.

`TrustedProxies` comes before the guard if a setting names reverse proxies.
"""

from __future__ import annotations

import base64
import hmac
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from falmock.http.context import CONTEXT, READING, Area, CallContext, area_of, read_head
from falmock.http.cors import Mirror, for_pages, for_readers
from falmock.http.own_names import OwnNames
from falmock.http.replies import explained, refusal_response
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
from falmock.protocol.hosts import CDN, QUEUE, NotServedError, find_destination, is_own

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from falmock.http.own_names import LookUp
    from falmock.protocol.hosts import Destination
    from falmock.settings import Settings

log = logging.getLogger("falmock")


_SAME_SITE: Final = frozenset({"same-origin", "same-site", "none"})
_STEERING: Final = (Area.CONTROL, Area.PAGE)  # not for callers; a tuple, because hashing an enum is slow
FORWARDED: Final = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"})
_CHALLENGE: Final = 'Basic realm="The control token is the password", charset="UTF-8"'


@dataclass(frozen=True, slots=True)
class Incoming:
    """The facts about a call that the policy depends on.

    Attributes:
        host: the authority that the call names.
        peer: the caller's IP address; None if the server does not know it.
        proxied: whether it came through a proxy that no setting names.
        origin: the origin of the page that sent it; "null" if it is opaque, None without an Origin header.
        own: the origin of the emulator's own pages under this name; None under foreign names.
        cross_site: whether the browser says that a page of another site made the call.
    """

    area: Area
    host: Authority
    peer: str | None = None
    proxied: bool = False
    origin: WebOrigin | str | None = None
    own: WebOrigin | None = None
    cross_site: bool = False
    authorized: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """Decides which calls are allowed."""

    names: frozenset[str] = frozenset()  # of this emulator, besides those of loopback
    origins: frozenset[WebOrigin] = frozenset()  # besides those of this machine

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        allowed = {origin for text in settings.allow_origins if (origin := parse_origin(text)) is not None}
        if settings.public_url is not None:
            url = parse_url(settings.public_url)
            allowed.add(origin_of(url.scheme, url.authority))
        names = frozenset(parse_authority(name).name for name in settings.hostnames)
        return cls(names, frozenset(allowed))

    def objection(self, call: Incoming) -> str | None:
        """Return why a call is refused, in one line, or None."""
        if call.area in _STEERING and (why := self._objection_to_control(call)) is not None:
            return why
        if call.area is Area.MEDIA:
            return None
        if self.allows_page_of(call):
            return None
        return CROSS_SITE if call.origin is None else _foreign(call.origin)

    def allows_page_of(self, call: Incoming) -> bool:
        """Return whether the page that sent a call, if one did, may do so."""
        return not call.cross_site if call.origin is None else self._allows_origin(call)

    def _objection_to_control(self, call: Incoming) -> str | None:
        if call.authorized:
            return None
        if call.proxied:
            return "the control API is not answered through a proxy: call its address directly"
        if call.peer is not None and not is_loopback(call.peer):
            return (
                f"the control API answers to this machine only, and the call comes from {call.peer} without "
                "the token of --control-token (Authorization: Bearer)"
            )
        name = call.host.name
        if not is_loopback(name) and name not in self.names:
            return (
                f"the control API does not answer as {name!r}: use localhost, or start with --hostname {name}"
            )
        return None

    def _allows_origin(self, call: Incoming) -> bool:
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
    f"{ONLY}, and this one has the origin null: it is a file, or in a sandboxed frame. Serve it from "
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
    """The first ASGI layer. Refuses a call, or passes it on with a `CallContext` in its scope.

    Args:
        fal: answers calls for fal's hosts.
        through_proxy: source addresses of the emulator's own proxy, which may carry calls of other machines.
    """

    def __init__(
        self,
        app: ASGIApp,
        fal: ASGIApp,
        settings: Settings,
        through_proxy: Collection[tuple[str, int]],
        look_up: LookUp,
    ) -> None:
        self._app = app
        self._fal = fal
        self._policy = Policy.of(settings)
        self._own_names = OwnNames(look_up)
        self._token = settings.control_token
        self._names = settings.own_names
        self._through_proxy = through_proxy
        # They only add headers: their calls have been checked.
        self._for_pages = for_pages(self._dispatch)
        self._for_readers = for_readers(self._dispatch)
        self._for_pages_of_queue = Mirror(self._dispatch, exposes=settings.expose_headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # no model here uses one
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            authority, headers = read_head(scope)
            names = self._names
            if "." not in authority.name and not is_own(authority.name, names):
                names = await self._names_with(authority.name, scope)
            context = CallContext(area_of(scope, authority, headers, names), authority, headers, names)
            app: ASGIApp = self._fal if context.area is Area.FAL else self._dispatch
            if context.area in _STEERING or context.is_of_page:
                app = self._checked(scope, context)
                send = _without_cors_on_request(send, context)
        except AuthorityError as error:
            await refuse(400, str(error))(scope, receive, send)
            return
        await app({**scope, CONTEXT: context}, receive, send)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        context: CallContext = scope[CONTEXT]
        app = self._fal if context.area in {Area.FAL, Area.MEDIA} else self._app
        await app(scope, receive, send)

    def _checked(self, scope: Scope, context: CallContext) -> ASGIApp:
        """Apply the policy to a call; return the application that answers it."""
        destination = _destination(scope, context) if context.area is Area.FAL else None
        call = self._incoming(scope, context, destination)
        context.area = call.area
        if (why := self._policy.objection(call)) is not None:
            return _ask_for_token(why) if self._may_ask(call) else refuse(403, why)
        if call.origin is None:
            return self._dispatch
        if call.area is Area.MEDIA:
            return self._for_readers
        on_queue = destination is not None and destination.host == QUEUE
        return self._for_pages_of_queue if on_queue else self._for_pages

    def _incoming(self, scope: Scope, context: CallContext, destination: Destination | None) -> Incoming:
        headers, area, host = context.headers, context.area, context.authority
        origin: WebOrigin | str | None = None
        if "origin" in headers:
            origin = parse_origin(headers["origin"]) or "null"
        cross_site = headers.get("sec-fetch-site", "none") not in _SAME_SITE
        if area is Area.PAGE and _follows_a_link(scope["method"], headers):
            cross_site = False
        if (origin is not None or cross_site) and _reads_a_file(scope, destination):
            area = Area.MEDIA
        peer = scope.get("client")
        return Incoming(
            area,
            host,
            peer=peer[0] if peer else None,
            proxied=area in _STEERING and self._is_proxied(scope),
            origin=origin,
            own=origin_of(scope["scheme"], host) if origin and is_own(host.name, context.names) else None,
            cross_site=cross_site,
            authorized=area in _STEERING and _has_token(headers, self._token),
        )

    async def _names_with(self, name: str, scope: Scope) -> frozenset[str]:
        """Return the emulator's names, and `name` too if it leads to the address of the call."""
        server = scope.get("server")
        own = server is not None and await self._own_names.has(name, server[0])
        return self._names | {name} if own else self._names

    def _may_ask(self, call: Incoming) -> bool:
        """Return whether the control token would open the live page to a call."""
        return self._token is not None and call.area is Area.PAGE and self._policy.allows_page_of(call)

    def _is_proxied(self, scope: Scope) -> bool:
        peer = scope.get("client")
        if peer is not None and tuple(peer) in self._through_proxy:
            return True
        return any(name in FORWARDED for name, _ in scope["headers"])


def _without_cors_on_request(send: Send, context: CallContext) -> Send:
    """Return a `send` that leaves out CORS headers if the call has that fault."""

    async def sending(message: Message) -> None:
        if context.no_cors and message["type"] == "http.response.start":
            headers = message["headers"]
            kept = [pair for pair in headers if not pair[0].lower().startswith(b"access-control-")]
            message = {**message, "headers": kept}
        await send(message)

    return sending


def by_area(areas: Mapping[Area, ASGIApp]) -> ASGIApp:
    """Return an application that passes each call to the application of its area."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        context: CallContext = scope[CONTEXT]
        await areas[context.area](scope, receive, send)

    return application


def refuse(status: int, why: str) -> Response:
    """Return a refusal, and log it, because a page cannot read the response."""
    log.warning("refused a call: %s", why)
    if status == PlatformError.STATUS["bad_request"]:
        return refusal_response(PlatformError("bad_request", why))
    return explained(status, why)


def _follows_a_link(method: str, headers: Mapping[str, str]) -> bool:
    """Return whether a browser opens the live page by a link. The page with the link cannot read it."""
    return (
        method in READING
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )


def _has_token(headers: Mapping[str, str], token: str | None) -> bool:
    """Return whether a call has the control token: as Bearer, or as the password of any user."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    scheme = scheme.lower()
    if token is None or scheme not in {"bearer", "basic"}:
        return False
    given = _password(given) if scheme == "basic" else given.strip()
    return hmac.compare_digest(given.encode(), token.encode())


def _password(credentials: str) -> str:
    """Return the password in Basic credentials; empty if they are malformed."""
    try:
        return base64.b64decode(credentials.strip()).decode().partition(":")[2]
    except ValueError:
        return ""


def _ask_for_token(why: str) -> Response:
    """Return a refusal that makes a browser ask for the control token."""
    response = explained(401, why)
    response.headers["www-authenticate"] = _CHALLENGE
    return response


def _destination(scope: Scope, context: CallContext) -> Destination | None:
    """Return where a call goes on fal's hosts, or None."""
    host = context.authority
    try:
        return find_destination(host, context.headers, scope["scheme"], scope["path"], {host.name})
    except (AuthorityError, NotServedError):
        return None


def _reads_a_file(scope: Scope, destination: Destination | None) -> bool:
    if scope["method"] not in READING or destination is None:
        return False
    return destination.host == CDN and destination.path.startswith("/files/")


class TrustedProxies:
    """Applies `X-Forwarded-For` and `X-Forwarded-Proto` of the proxies that a setting names.

    Args:
        through_proxy: see `Guard`; the headers of calls from there are ignored.
    """

    def __init__(
        self, app: ASGIApp, trusted: Collection[str], through_proxy: Collection[tuple[str, int]]
    ) -> None:
        self._app = app
        self._through_proxy = through_proxy
        self._applying = ProxyHeadersMiddleware(self._without_headers, list(trusted))  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app: ASGIApp = self._applying if self._is_trusted(scope) else self._app  # type: ignore[assignment]
        await app(scope, receive, send)

    def _is_trusted(self, scope: Scope) -> bool:
        peer = scope.get("client")
        return (
            scope["type"] == "http"
            and peer is not None
            and tuple(peer) not in self._through_proxy
            and any(name == b"x-forwarded-for" for name, _ in scope["headers"])
            and peer[0] in self._applying.trusted_hosts
        )

    async def _without_headers(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Drop the headers after they are applied: the guard takes the remaining ones for untrusted."""
        headers = [(name, value) for name, value in scope["headers"] if name not in FORWARDED]
        await self._app({**scope, "headers": headers}, receive, send)
