"""An emulator, and the application around it. Two of them in one process know nothing of each other."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import random
import sqlite3
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, Router

from falmock import __version__
from falmock.control.routes import Control
from falmock.engine.clock import Clock, SystemClock
from falmock.engine.database import StoreInUseError
from falmock.engine.emulator import Emulator
from falmock.engine.files import Files
from falmock.engine.integrity import DamagedError, VersionError
from falmock.engine.keys import Keyring
from falmock.engine.resources import Resources
from falmock.engine.runner import Runner
from falmock.engine.signing import SECRET_BYTES, Signer
from falmock.engine.store import Store
from falmock.engine.transitions import unavailable
from falmock.faults.rules import RuleSet
from falmock.faults.scenarios import find
from falmock.http.browser_proxy import BrowserProxy
from falmock.http.catalogue import WEBSITE_ROUTES, Catalogue
from falmock.http.cdn import cdn_routes
from falmock.http.fault_injection import FaultInjector
from falmock.http.guard import HEALTH, Area, Guard, TrustedProxies, by_area
from falmock.http.identity import Identity
from falmock.http.platform import PlatformHost
from falmock.http.queue import QueueHost
from falmock.http.recorder import Recorder
from falmock.http.rest import rest_routes
from falmock.http.router import HostRouter, answering, as_asgi, refusal_response, refusing_plainly
from falmock.http.run import RunHost
from falmock.http.tokens import token_routes
from falmock.inspection.journal import Journal, journal_of
from falmock.inspection.ledger import Ledger
from falmock.media import Decoder, Renderer, find_ffmpeg
from falmock.media.fetching import Fetcher
from falmock.protocol import hosts
from falmock.protocol.addresses import is_loopback
from falmock.protocol.errors import PlatformError, Refusal, StorageUnavailable
from falmock.system import private, transient
from falmock.system.dialler import ANYWHERE, NOWHERE, PUBLIC_ONLY, CheckedTransport, Dialler, OwnAddresses

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from falmock.settings import Settings

log = logging.getLogger("falmock")

ELSEWHERE = "choose another folder with --state, or use --ephemeral"
DATABASE = "falmock.db"
STATE = frozenset(  # what is in a state folder
    {
        *(DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", f"{DATABASE}-journal"),
        *("secret", "doors.json", ".gitignore"),
        *("ca", "inputs", "files", "uploads", "renders", "snapshots"),
    }
)


class StateError(Exception):
    """The state folder cannot be used; the text is one line that says what to do."""


def create_app(emulator: Emulator) -> Starlette:
    """Return an open emulator as an ASGI application; it needs no lifespan."""
    keyring = Keyring(emulator.settings, emulator.token_claims)
    rest = [*rest_routes(emulator, keyring), *token_routes(emulator, keyring)]
    platform = PlatformHost(emulator, keyring).routes
    platform.routes.extend(Catalogue(keyring).routes)
    ledger = Ledger(emulator.store, emulator.payloads.kept_body)
    answers: dict[str, ASGIApp] = {
        hosts.QUEUE: FaultInjector(as_asgi(QueueHost(emulator, keyring)), emulator),
        hosts.RUN: FaultInjector(as_asgi(RunHost(emulator, keyring)), emulator),
        hosts.REST: FaultInjector(Router(rest, redirect_slashes=False), emulator),
        hosts.CDN: FaultInjector(Router(cdn_routes(emulator, keyring), redirect_slashes=False), emulator),
        hosts.PLATFORM: platform,
        hosts.WEBSITE: WEBSITE_ROUTES,
    }
    door = HostRouter(
        {host: answering(app) for host, app in answers.items()},
        emulator.settings.own_names,
        public_url=emulator.settings.public_url,
        recorder=Recorder(journal_of(emulator), emulator.clock),
        arrived=ledger.arrive,
        refused=ledger.refuse,
    )
    through_proxy: set[tuple[str, int]] = set()
    settings = emulator.settings
    areas: dict[Area, ASGIApp] = {
        Area.CONTROL: Control(emulator, ledger),
        Area.HEALTH: Router([Route(HEALTH, health, methods=["GET"])]),
        Area.PROXY: BrowserProxy(door, settings, ledger.refuse),
    }
    guard = Middleware(Guard, settings, through_proxy)
    believing = Middleware(TrustedProxies, settings.trusted_proxies, through_proxy)
    app = Starlette(
        routes=[Mount("/", by_area(areas, door))],
        middleware=[believing, guard] if settings.trusted_proxies else [guard],
        exception_handlers={
            Refusal: refuse,
            sqlite3.OperationalError: refuse_unavailable,
            OSError: refuse_unavailable,
            HTTPException: refuse_plainly,
            ClientDisconnect: hung_up,
            Exception: fail,
        },
    )
    app.state.emulator = emulator
    app.state.identity = Identity()
    app.state.ledger = ledger
    app.state.through_proxy = through_proxy
    return app


async def health(request: Request) -> Response:
    """Return whether the emulator works, why not if not, and to a challenge its proof (see `identity`)."""
    emulator: Emulator = request.app.state.emulator
    identity: Identity = request.app.state.identity
    content: dict[str, Any] = {"status": "ok", "version": __version__}
    trouble = emulator.trouble() if emulator.timeline.scheduling else "the scheduler does not run"
    if trouble is not None:
        content |= {"status": "degraded", "reason": trouble}
    if proof := identity.prove(request.query_params.get("challenge", "")):
        content["proof"] = proof
    return JSONResponse(content)


async def refuse(request: Request, error: Exception) -> Response:
    """Put a refusal on the wire."""
    del request
    assert isinstance(error, Refusal)  # noqa: S101 - what it is registered for
    return refusal_response(error)


async def refuse_plainly(request: Request, error: Exception) -> Response:
    """Put what Starlette itself refuses on the wire."""
    del request
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    return refusing_plainly(error)


async def refuse_unavailable(request: Request, error: Exception) -> Response:
    """Say that something cannot be written at the moment.

    Raises:
        Exception: the error, where it is of another kind.
    """
    del request
    reason = transient.reason(error)
    if reason is None:
        raise error
    return refusal_response(unavailable(reason))


async def hung_up(request: Request, error: Exception) -> Response:
    """Nobody is there to read this: the caller left in the middle of its own sentence."""
    del request, error
    return Response(status_code=PlatformError.STATUS["client_disconnected"])


async def fail(request: Request, error: Exception) -> Response:
    """Answer for a defect of falmock; the server logs it with its traceback."""
    del request, error
    return JSONResponse({"detail": "Internal Server Error", "error_type": "internal_error"}, 500)


@asynccontextmanager
async def open_emulator(
    settings: Settings,
    clock: Clock | None = None,
    studio: Renderer | None = None,
    is_local: Callable[[str], bool] = is_loopback,
    listeners: Iterable[socket.socket] = (),
) -> AsyncIterator[Emulator]:
    """Open everything that an emulator stands on, in order, and close it again.

    Args:
        settings: see there.
        clock: the hour; without one the system's, as fast as the settings say.
        studio: renders; without one the emulator makes its own, and keeps clips with its files.
        is_local: tells the hosts that webhooks and input images may be on without further ado.
        listeners: the open ports at which the emulator will be served. Webhooks and input images do not
            lead there. Those that are opened later are added to `emulator.dialler.own`.

    Raises:
        StateError: the state folder is taken or unusable.
        ScenarioError: there is no scenario of that name, or it cannot be played.
        ValueError: no usable ffmpeg.
    """
    async with AsyncExitStack() as stack:
        folder = settings.state or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="falmock-")))
        with _using(folder):
            store = stack.enter_context(_open_store(settings, folder))
            clock = clock or SystemClock(settings.time_scale, start=store.latest_time())
            seed = _seed(settings, store)
            signer = Signer(_secret(settings, folder))
            files = Files(store, folder, max_size=settings.max_upload)
            files.sweep_leftovers(time.time())
        plan = RuleSet(seed, map(find, settings.scenarios))
        own = OwnAddresses(settings.hostnames, settings.public_url)
        for listener in listeners:
            own.add(listener)
        to_receivers = Dialler(own, beyond=ANYWHERE if settings.delivers_anywhere else NOWHERE)
        to_files = Dialler(own, beyond=PUBLIC_ONLY if settings.fetches_public_files else NOWHERE)
        webhook_http = await stack.enter_async_context(_client(to_receivers))
        fetch_http = await stack.enter_async_context(_client(to_files))
        if studio is None:
            ffmpeg = find_ffmpeg(settings.ffmpeg)
            with _using(folder):
                studio = Renderer(
                    ffmpeg=ffmpeg,
                    cache=files.renders,
                    at_once=settings.renders,
                    timeout=settings.render_timeout,
                )
            stack.push_async_callback(studio.close)
        fetcher = Fetcher(fetch_http, public=settings.fetches_public_files, is_local=is_local)
        runner = Runner(
            files=files,
            studio=studio,
            decoder=Decoder(max_pixels=settings.max_pixels, memory=settings.decode_memory),
            fetcher=fetcher,
            clock=clock,
            seed=seed,
            style=settings.media,
            limits=settings.limits,
        )
        with _using(folder):
            emulator = Emulator(
                Resources(
                    settings=settings,
                    clock=clock,
                    store=store,
                    files=files,
                    runner=runner,
                    signer=signer,
                    plan=plan,
                    http=webhook_http,
                    dialler=to_receivers,
                    is_local=is_local,
                    seed=seed,
                    observer=Journal(settings.journal_size, keys=settings.keys or ()),
                )
            )
        stack.push_async_callback(emulator.close)
        stack.push_async_callback(_stop, _start_scheduler(emulator))
        await asyncio.sleep(0)  # start the scheduler
        yield emulator


def _client(dialler: Dialler) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=CheckedTransport(dialler, verify=trusted()),
        trust_env=False,
        follow_redirects=False,
        headers={"User-Agent": f"falmock/{__version__}"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # one receiver's are not the next one's
    )


@cache
def trusted() -> ssl.SSLContext:
    """Return whom every client of this process's own trusts; reading the certificates takes 50 ms."""
    return httpx.create_ssl_context(trust_env=False)


def _start_scheduler(emulator: Emulator) -> asyncio.Task[None]:
    """Start the task that does unasked what is due, and cry out if it ever ends by itself."""

    def ended(tick: asyncio.Task[None]) -> None:
        if not tick.cancelled():
            log.critical("the pulse has stopped: this is a defect of falmock", exc_info=tick.exception())

    tick = asyncio.create_task(emulator.timeline.run())
    tick.add_done_callback(ended)
    return tick


async def _stop(tick: asyncio.Task[None]) -> None:
    tick.cancel()
    await asyncio.gather(tick, return_exceptions=True)


@contextmanager
def _using(folder: Path) -> Iterator[None]:
    """Say in one line why a state folder cannot be used.

    Raises:
        StateError: it cannot.
    """
    try:
        yield
    except (OSError, sqlite3.DatabaseError, StorageUnavailable) as error:
        told = error.reason if isinstance(error, StorageUnavailable) else transient.reason(error)
        if told is None:
            told = str((isinstance(error, OSError) and error.strerror) or error)
        raise StateError(f"cannot use {folder} ({told}): {ELSEWHERE}") from None


def _open_store(settings: Settings, folder: Path) -> Store:
    if settings.state is None:
        return Store(None)
    private.own(folder, STATE)
    if not (ignored := folder / ".gitignore").exists():
        private.write(ignored, b"*\n")
    database = folder / DATABASE
    private.touch(database)
    try:
        return Store(database)
    except StoreInUseError:
        raise StateError(
            f"{folder} is in use by another falmock: stop that one, or use another --state, or --ephemeral"
        ) from None
    except DamagedError as error:
        raise StateError(
            f"the database {database} is damaged ({error}) and was left as it is: save what can be read "
            f"with falmock state export --state {folder}, then {ELSEWHERE}"
        ) from None
    except VersionError as error:
        raise StateError(
            f"the database {database} was made by another version of falmock ({error}): "
            f"use that version, or {ELSEWHERE}"
        ) from None


def _seed(settings: Settings, store: Store) -> int:
    """Return the seed asked for, else the one that was used before, else a new one."""
    seed = settings.seed
    if seed is None:
        seed = store.fact("seed")
    if seed is None:
        seed = random.SystemRandom().getrandbits(32)
    store.remember("seed", seed)
    return int(seed)


def _secret(settings: Settings, folder: Path) -> bytes:
    """Return the seed of the key pair, kept where only its owner can read it."""
    if settings.state is None and settings.seed is not None:
        return hashlib.sha256(f"falmock {settings.seed}".encode()).digest()
    path = folder / "secret"
    if not path.exists():
        private.write(path, os.urandom(SECRET_BYTES))
    return path.read_bytes()
