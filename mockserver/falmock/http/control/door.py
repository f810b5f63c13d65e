"""Who may call the control API, and the document that describes it.

It has no keys, so it answers to this machine only. A page elsewhere could have a browser call it: so a call
must come from a loopback address, by a name that is the emulator's own (a rebound name is not), and not from
a page of another origin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Router

from falmock import __version__, urls
from falmock.addresses import is_loopback
from falmock.hosts import is_fal
from falmock.http.control.happened import Happened
from falmock.http.control.requests import Requests
from falmock.http.control.rules import Rules
from falmock.http.control.state import State
from falmock.http.control.time import Time
from falmock.http.control.webhooks import Webhooks
from falmock.http.described import Operation, document, routes

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Receive, Scope, Send

    from falmock.emulator import Emulator

BASE: Final = "/control"
TARGETS: Final = ("x-fal-target-url", "x-fal-target-host")  # such a call is for a host of fal's


class Control:
    """Answers below `/control`.

    Args:
        emulator: whose.
        others: answers all that is not for the control API.
        strangers: addresses from which the proxy calls, for whoever it may be.
    """

    def __init__(self, emulator: Emulator, others: ASGIApp, strangers: Collection[tuple[str, int]]) -> None:
        self._others = others
        self._strangers = strangers
        self._names = frozenset(name.lower() for name in emulator.settings.hostnames)
        self._parts = [part(emulator) for part in (Time, Requests, Webhooks, Rules, Happened, State)]
        self._router = Router([Mount(BASE, routes=routes(self.operations))], redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call, or pass it on."""
        if not _is_for_control(scope):
            await self._others(scope, receive, send)
        elif (why := self._objection(scope)) is not None:
            await JSONResponse({"detail": why}, 403)(scope, receive, send)
        else:
            await self._router(scope, receive, send)

    @property
    def operations(self) -> list[Operation]:
        """All that can be asked for."""
        itself = Operation("GET", "/openapi.json", "This description", self._describe)
        return [itself, *(operation for part in self._parts for operation in part.operations)]

    def _objection(self, scope: Scope) -> str | None:
        """Return why a call is not answered: one line."""
        headers = Headers(scope=scope)
        peer = scope.get("client")
        if peer is not None and tuple(peer) in self._strangers:
            return "the control API is not answered through a proxy: call its address directly"
        if peer is not None and not is_loopback(peer[0]):
            return f"the control API answers to this machine only, and the call comes from {peer[0]}"
        name = _host(f"//{headers.get('host', '')}")
        if not is_loopback(name) and name not in self._names:
            return (
                f"the control API is not reached as {name!r}: say localhost, or start with --hostname {name}"
            )
        origin = headers.get("origin")
        if origin is not None and not is_loopback(_host(origin)):
            return f"the control API answers to pages of this machine only, and this one is from {origin}"
        return None

    async def _describe(self) -> Response:
        info = {
            "title": "falmock's control API",
            "version": __version__,
            "description": "Time, requests, webhooks, rules, journal and snapshots of an emulator, by hand.",
        }
        always = {403: "the call is not from this machine"}
        return JSONResponse(document(self.operations, base=BASE, info=info, always=always))


def _is_for_control(scope: Scope) -> bool:
    """Tell whether a call is for the control API, and not for a host of fal's that has such a path."""
    path = scope["path"]
    if scope["type"] != "http" or not (path == BASE or path.startswith(f"{BASE}/")):
        return False
    headers = Headers(scope=scope)
    return not any(name in headers for name in TARGETS) and not is_fal(_host(f"//{headers.get('host', '')}"))


def _host(url: str) -> str:
    """Return the name in an address, in lower case; an empty one for what is none."""
    try:
        return (urls.split(url).hostname or "").rstrip(".")
    except ValueError:
        return ""
