"""The ASGI application around an emulator. Several emulators in one process share nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, Router

from falmock import __version__
from falmock.engine import opening
from falmock.engine.keys import Keyring
from falmock.engine.observer import Warned
from falmock.engine.opening import ELSEWHERE, StateError
from falmock.engine.resources import Once
from falmock.http import own_names
from falmock.http.application import Application
from falmock.http.browser_proxy import BrowserProxy
from falmock.http.context import HEALTH, Area
from falmock.http.guard import Guard, TrustedProxies, by_area
from falmock.http.identity import Identity
from falmock.http.queue import QueueHost
from falmock.http.replies import with_headers
from falmock.http.router import HostRouter
from falmock.http.run import RunHost
from falmock.inspection.journal import Journal, journal_of
from falmock.inspection.ledger import Ledger
from falmock.media import FfmpegNotFound, find_ffmpeg
from falmock.protocol import hosts
from falmock.protocol.addresses import is_loopback

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable
    from contextlib import AbstractAsyncContextManager

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from falmock.catalogue import Catalogue
    from falmock.engine.clock import Clock
    from falmock.engine.emulator import Emulator
    from falmock.http.own_names import LookUp
    from falmock.media import Renderer
    from falmock.settings import Settings

__all__: Final = [
    "ELSEWHERE",
    "FfmpegNotFound",
    "StateError",
    "create_app",
    "find_ffmpeg",
    "open_emulator",
]


def create_app(emulator: Emulator, *, files: str = "", look_up: LookUp | None = None) -> Application:
    """Return an ASGI application for an open emulator; it needs no lifespan.

    Args:
        emulator: to serve.
        files: base URL of files in answers to calls under fal's own names, as "http://127.0.0.1:8787"; empty
            to keep fal's.
        look_up: returns the addresses of a name of one label. By default this asks the system, or reads the
            hosts file alone if the emulator is sealed.
    """
    settings = emulator.settings
    ledger = Ledger(
        emulator.store, emulator.payloads.kept_body, emulator.catalogue, journal_of(emulator).warned
    )
    through_proxy: set[tuple[str, int]] = set()
    system_look_up = own_names.listed if settings.sealed else own_names.look_up
    keyring = _keyring(emulator)
    others = _hosts_but_the_queue(emulator, keyring)
    fal = HostRouter(emulator, QueueHost(emulator, keyring), others, ledger, files=files)
    areas: dict[Area, ASGIApp] = {
        Area.CONTROL: _at_first_call(lambda: _control(emulator, ledger)),
        Area.HEALTH: Router([Route(HEALTH, health, methods=["GET"])]),
        Area.PROXY: BrowserProxy(fal, settings, ledger.refuse),
        Area.PAGE: _at_first_call(lambda: _page(emulator, ledger)),
    }
    middleware = [Middleware(Guard, fal, settings, through_proxy, look_up or system_look_up)]
    if settings.trusted_proxies:
        middleware.insert(0, Middleware(TrustedProxies, settings.trusted_proxies, through_proxy))
    app = Application(fal, settings, routes=[Mount("/", by_area(areas))], middleware=middleware)
    app.state.emulator = emulator
    app.state.identity = Identity()
    app.state.ledger = ledger
    app.state.through_proxy = through_proxy
    return app


def open_emulator(
    settings: Settings,
    clock: Clock | None = None,
    renderer: Renderer | None = None,
    *,
    is_local: Callable[[str], bool] = is_loopback,
    listeners: Iterable[socket.socket] = (),
    catalogue: Catalogue | None = None,
) -> AbstractAsyncContextManager[Emulator]:
    """Open an emulator with a journal; see `engine.opening.open_emulator`."""
    journal = Journal(settings.journal_size, keys=settings.keys or ())
    return opening.open_emulator(
        settings,
        clock,
        renderer,
        is_local=is_local,
        listeners=listeners,
        catalogue=catalogue,
        observer=journal,
    )


def _keyring(emulator: Emulator) -> Keyring:
    advice = "it is refused with 401. Send the word Key, then id and secret with a colon between them"
    return Keyring(
        emulator.settings,
        emulator.token_claims,
        emulator.locks.is_locked,
        lambda form: emulator.observer.warn(Warned.KEY, form, advice),
    )


def _hosts_but_the_queue(emulator: Emulator, keyring: Keyring) -> dict[str, ASGIApp]:
    """Return an application for each of fal's hosts but the queue."""
    others = Once(lambda: _hosts_with_pydantic(emulator, keyring))
    return {
        hosts.RUN: RunHost(emulator, keyring).app,
        hosts.REST: _at_first_call(lambda: others()[hosts.REST]),
        hosts.CDN: _at_first_call(lambda: others()[hosts.CDN]),
        hosts.PLATFORM: _at_first_call(lambda: others()[hosts.PLATFORM]),
        hosts.WEBSITE: _at_first_call(lambda: others()[hosts.WEBSITE]),
    }


def _hosts_with_pydantic(emulator: Emulator, keyring: Keyring) -> dict[str, ASGIApp]:
    from falmock.http import cdn, platform, rest  # noqa: PLC0415 - load pydantic

    def router(routes: list[Route], **more: Any) -> Router:
        return Router(routes, redirect_slashes=False, **more)

    of_rest = router(rest.rest_routes(emulator, keyring))
    of_platform = router(platform.platform_routes(emulator, keyring), default=platform.platform_not_found)
    return {
        hosts.REST: with_headers(of_rest, hosts.HEADERS[hosts.REST]),
        hosts.CDN: router(cdn.cdn_routes(emulator, keyring)),
        hosts.PLATFORM: with_headers(of_platform, hosts.HEADERS[hosts.PLATFORM]),
        hosts.WEBSITE: router(platform.website_routes(emulator.catalogue)),
    }


def _control(emulator: Emulator, ledger: Ledger) -> ASGIApp:
    from falmock.control.routes import Control  # noqa: PLC0415 - loads pydantic, with some 40 models

    return Control(emulator, ledger)


def _page(emulator: Emulator, ledger: Ledger) -> ASGIApp:
    from falmock.web.routes import page  # noqa: PLC0415 - loads the templates

    return page(emulator, ledger)


def _at_first_call(make: Callable[[], ASGIApp]) -> ASGIApp:
    """Return an application that is made when it is called first, so that the start need not wait for it."""
    made = Once(make)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await made()(scope, receive, send)

    return application


async def health(request: Request) -> Response:
    """Return whether the emulator works, and the proof for a challenge (see `identity`)."""
    emulator: Emulator = request.app.state.emulator
    identity: Identity = request.app.state.identity
    content: dict[str, Any] = {"status": "ok", "version": __version__}
    trouble = emulator.trouble() if emulator.timeline.scheduling else "the scheduler does not run"
    if trouble is not None:
        content |= {"status": "degraded", "reason": trouble}
    if proof := identity.prove(request.query_params.get("challenge", "")):
        content["proof"] = proof
    return JSONResponse(content)
