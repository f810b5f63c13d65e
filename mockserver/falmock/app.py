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
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from falmock import __version__, hosts, private
from falmock.addresses import is_loopback
from falmock.clock import Clock, SystemClock
from falmock.emulator import Emulator
from falmock.errors import PlatformError, Refusal
from falmock.fetching import Fetcher
from falmock.files import Files
from falmock.http.catalogue import WEBSITE_ROUTES, Catalogue
from falmock.http.cdn import CdnHost
from falmock.http.control import Control
from falmock.http.doors import FrontDoor, answering, as_asgi, refusing, refusing_plainly
from falmock.http.faults import Faulty
from falmock.http.listing import completed
from falmock.http.platform import PlatformHost
from falmock.http.proxy import ROUTE, BrowserProxy
from falmock.http.queue import QueueHost
from falmock.http.recorder import Recorder
from falmock.http.rest import RestHost
from falmock.http.run import RunHost
from falmock.http.tokens import Tokens
from falmock.keys import Keyring
from falmock.ledger import Ledger
from falmock.media import Studio, find_ffmpeg
from falmock.runner import Runner
from falmock.scenarios import Plan, find
from falmock.signing import SECRET_BYTES, Signer
from falmock.store import Store, StoreInUseError

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from falmock.settings import Settings

log = logging.getLogger("falmock")

EXPOSED = (
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


class StateError(Exception):
    """The state folder cannot be used; the text is one line that says what to do."""


def create_app(emulator: Emulator) -> Starlette:
    """Return an open emulator as an ASGI application; it needs no lifespan."""
    keyring = Keyring(emulator.settings, emulator.token_claims)
    rest = RestHost(emulator, keyring).routes
    rest.routes.extend(Tokens(emulator, keyring).routes)
    platform = PlatformHost(emulator, keyring).routes
    platform.routes.extend(Catalogue(keyring).routes)
    ledger = Ledger(emulator.store, emulator.body)
    answers: dict[str, ASGIApp] = {
        hosts.QUEUE: Faulty(as_asgi(QueueHost(emulator, keyring)), emulator),
        hosts.RUN: Faulty(as_asgi(RunHost(emulator, keyring)), emulator),
        hosts.REST: Faulty(rest, emulator),
        hosts.CDN: Faulty(CdnHost(emulator, keyring).routes, emulator),
        hosts.PLATFORM: platform,
        hosts.WEBSITE: WEBSITE_ROUTES,
    }
    door = FrontDoor(
        {host: answering(app) for host, app in answers.items()},
        emulator.settings.hostnames,
        public_url=emulator.settings.public_url,
        recorder=Recorder(emulator.journal, emulator.clock),
        arrived=ledger.arrive,
        refused=ledger.refuse,
    )
    through_proxy: set[tuple[str, int]] = set()
    app = Starlette(
        routes=[
            Route("/health", health, methods=["GET"]),
            Route("/account", account, methods=["GET"]),
            Route(ROUTE, BrowserProxy(door, emulator.settings, ledger.refuse)),
            Mount("/", Control(emulator, door, through_proxy)),
        ],
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origin_regex=".*",
                allow_methods=["*"],
                allow_headers=["*"],
                allow_credentials=True,
                allow_private_network=True,
                expose_headers=EXPOSED,
            )
        ],
        exception_handlers={
            Refusal: refuse,
            HTTPException: refuse_plainly,
            ClientDisconnect: hung_up,
            Exception: fail,
        },
    )
    app.state.emulator = emulator
    app.state.ledger = ledger
    app.state.through_proxy = through_proxy
    return app


async def health(request: Request) -> Response:
    """Say that the emulator serves, and which one it is."""
    emulator: Emulator = request.app.state.emulator
    return JSONResponse({"status": "ok", "version": __version__, "seed": emulator.seed})


async def account(request: Request) -> Response:
    """Say what has been done so far."""
    ledger: Ledger = request.app.state.ledger
    done = await completed(ledger.accounting())
    return JSONResponse(done.to_json())


async def refuse(request: Request, error: Exception) -> Response:
    """Put a refusal on the wire."""
    del request
    assert isinstance(error, Refusal)  # noqa: S101 - what it is registered for
    return refusing(error)


async def refuse_plainly(request: Request, error: Exception) -> Response:
    """Put what Starlette itself refuses on the wire."""
    del request
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    return refusing_plainly(error)


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
    studio: Studio | None = None,
    is_local: Callable[[str], bool] = is_loopback,
) -> AsyncIterator[Emulator]:
    """Open everything that an emulator stands on, in order, and close it again.

    Args:
        settings: see there.
        clock: the hour; without one the system's, as fast as the settings say.
        studio: renders; without one the emulator makes its own, and keeps clips with its files.
        is_local: tells the hosts that webhooks and input images may be on without further ado.

    Raises:
        StateError: the state folder is taken or unusable.
        ScenarioError: there is no scenario of that name, or it cannot be played.
        ValueError: no usable ffmpeg.
    """
    async with AsyncExitStack() as stack:
        folder = settings.state or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="falmock-")))
        store = stack.enter_context(_open_store(settings, folder))
        clock = clock or SystemClock(settings.time_scale, start=store.latest_time())
        seed = _seed(settings, store)
        signer = Signer(_secret(settings, folder))
        plan = Plan(seed, map(find, settings.scenarios))
        files = Files(store, folder, max_size=settings.max_upload)
        files.sweep_leftovers(time.time())
        http = await stack.enter_async_context(
            httpx.AsyncClient(
                verify=trusted(),
                trust_env=False,
                follow_redirects=False,
                headers={"User-Agent": f"falmock/{__version__}"},
            )
        )
        if studio is None:
            studio = Studio(
                ffmpeg=find_ffmpeg(settings.ffmpeg),
                cache=files.renders,
                at_once=settings.renders,
                timeout=settings.render_timeout,
            )
            stack.push_async_callback(studio.close)
        fetcher = Fetcher(http, public=settings.fetch, is_local=is_local)
        runner = Runner(
            files=files,
            studio=studio,
            fetcher=fetcher,
            clock=clock,
            seed=seed,
            style=settings.media,
            limits=settings.limits,
        )
        emulator = Emulator(
            settings,
            clock=clock,
            store=store,
            files=files,
            runner=runner,
            signer=signer,
            plan=plan,
            http=http,
            is_local=is_local,
            seed=seed,
        )
        stack.push_async_callback(emulator.close)
        stack.push_async_callback(_stop, _beat(emulator))
        yield emulator


@cache
def trusted() -> ssl.SSLContext:
    """Return whom every client of this process's own trusts; reading the certificates takes 50 ms."""
    return httpx.create_ssl_context(trust_env=False)


def _beat(emulator: Emulator) -> asyncio.Task[None]:
    """Start the task that does unasked what is due, and cry out if it ever ends by itself."""

    def ended(pulse: asyncio.Task[None]) -> None:
        if not pulse.cancelled():
            log.critical("the pulse has stopped: this is a defect of falmock", exc_info=pulse.exception())

    pulse = asyncio.create_task(emulator.run())
    pulse.add_done_callback(ended)
    return pulse


async def _stop(pulse: asyncio.Task[None]) -> None:
    pulse.cancel()
    await asyncio.gather(pulse, return_exceptions=True)


def _open_store(settings: Settings, folder: Path) -> Store:
    if settings.state is None:
        return Store(None)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n")
        return Store(folder / "falmock.db")
    except StoreInUseError:
        raise StateError(
            f"{folder} is in use by another falmock: stop that one, or use another --state, or --ephemeral"
        ) from None
    except (OSError, sqlite3.DatabaseError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StateError(
            f"cannot use {folder} ({reason}): choose another folder with --state, or use --ephemeral"
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
