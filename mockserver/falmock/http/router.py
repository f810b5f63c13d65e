"""The front door: finds out which fal host a call is for, and shows it in."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from falmock.protocol import calls
from falmock.protocol.authorities import AuthorityError, parse_url
from falmock.protocol.errors import PlatformError, Refusal
from falmock.protocol.hosts import ALIASES, NotServedError, is_fal, locate, own_authority

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from falmock.http.recorder import Recorder
    from falmock.protocol.hosts import BaseURL, Destination

    Answer = Callable[[Request], Awaitable[Response]]

log = logging.getLogger("falmock")

MISDIRECTED: Final = 421
WAY_OUT: Final = (
    "The call was refused, so that nothing reaches the paid service. Leave it out or stub it in the "
    f"program, or call a host that is emulated: {', '.join(ALIASES)}."
)
MISNAMED: Final = "If that is its name on your network, start it with --hostname."


class HostRouter:
    """One ASGI application for every host.

    Args:
        hosts: an ASGI application for each fal host.
        names: under which this emulator is reached, besides loopback ones and IP addresses; in lower case.
        public_url: the one under which clients reach it, whatever they called; see `Settings`.
        recorder: takes calls down.
        arrived: is told the host of each call.
        refused: is told the name of each host that a call was refused for.
    """

    def __init__(
        self,
        hosts: Mapping[str, ASGIApp],
        names: Collection[str],
        *,
        public_url: str | None = None,
        recorder: Recorder,
        arrived: Callable[[str], None],
        refused: Callable[[str], None],
    ) -> None:
        self._arrived = arrived
        self._hosts = hosts
        self._recorder = recorder
        public = parse_url(public_url) if public_url is not None else None
        self._public = (public.scheme, str(public.authority)) if public is not None else None
        self._names = names
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on to its host, with the path that it has there."""
        if scope["type"] == "websocket":  # no model here talks over one
            await send({"type": "websocket.close", "code": 1000})
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        own = own_authority(scope)
        try:
            arrival = locate(
                headers, scope["scheme"], scope["path"], own_names=self._names, own_authority=own
            )
        except AuthorityError as error:
            host, answer = "", refusal_response(PlatformError("bad_request", str(error)))
        except NotServedError as error:
            self._refused(error.host)
            host, answer = error.host, _refuse(error.host)
        else:
            self._arrived(arrival.host)
            await self._recorder(
                self._hosts[arrival.host], self._inner(scope, arrival, headers), receive, send
            )
            return
        call = calls.read(host, scope["method"], scope["path"], headers)
        await self._recorder(answer, {**scope, "falmock.call": call}, receive, send)

    def _inner(self, scope: Scope, arrival: Destination, headers: Mapping[str, str]) -> Scope:
        """Return a call as its host sees it."""
        inner = {
            **scope,
            "path": arrival.path,
            "falmock.origin": self._published(arrival.origin),
            "falmock.call": calls.read(arrival.host, scope["method"], arrival.path, headers),
        }
        if arrival.query is not None:
            inner["query_string"] = arrival.query.encode()
        return inner

    def _published(self, origin: BaseURL) -> BaseURL:
        if self._public is None or origin.style == "host":  # fal's own name leads back by itself
            return origin
        scheme, authority = self._public
        return replace(origin, scheme=scheme, authority=authority)


def as_asgi(answer: Answer) -> ASGIApp:
    """Return an ASGI application out of a function from request to response."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        response = await answer(Request(scope, receive))
        await response(scope, receive, send)

    return application


def answering(app: ASGIApp) -> ASGIApp:
    """Return an application that says what another one raises, so that who listens in hears every answer."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except Refusal as refusal:
            response = refusal_response(refusal)
        except HTTPException as error:
            response = refusing_plainly(error)
        else:
            return
        await response(scope, receive, send)

    return application


def refusal_response(refusal: Refusal) -> Response:
    """Return a refusal as it stands on the wire."""
    return Response(refusal.content(), refusal.status, refusal.headers, "application/json")


def refusing_plainly(error: HTTPException) -> Response:
    """Return what Starlette itself refuses (an unknown path, a wrong method) in fal's shape."""
    return JSONResponse({"detail": error.detail}, error.status_code, error.headers)


def _refuse(host: str) -> Response:
    """Say loudly that this is not who was asked for; a silent 404 would be taken for fal's."""
    what = "does not emulate" if is_fal(host) else "is not"
    log.warning("refused a call for %s, which falmock %s", host, what)
    detail = f"falmock {what} {host}. {WAY_OUT if is_fal(host) else MISNAMED}"
    # fal's JavaScript client shows `message`, and every other one the body or `detail`.
    return JSONResponse({"detail": detail, "message": detail}, MISDIRECTED)
