"""Opens an emulator: state folder, database, seed, secret, HTTP clients and scheduler."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import random
import sqlite3
import time
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from falmock.engine import served_models
from falmock.engine.clock import Clock
from falmock.engine.emulator import Emulator
from falmock.engine.files import Files
from falmock.engine.integrity import DamagedError, VersionError
from falmock.engine.resources import Once, Resources
from falmock.engine.signing import SECRET_BYTES, Signer
from falmock.engine.store import DATABASE, Store, StoreInUseError
from falmock.faults.rule_set import RuleSet
from falmock.media import find_ffmpeg
from falmock.protocol.addresses import is_loopback
from falmock.protocol.errors import StorageUnavailable
from falmock.system import private, temporary, transient
from falmock.system.dialler import ANYWHERE, NOWHERE, PUBLIC_ONLY, Dialler, OwnAddresses

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    import httpx

    from falmock.catalogue import Catalogue
    from falmock.engine.observer import Observer
    from falmock.engine.runner import Runner
    from falmock.faults.rules import Scenario
    from falmock.media import Renderer
    from falmock.settings import Settings

log = logging.getLogger("falmock")

ELSEWHERE = "choose another folder with --state, or use --ephemeral"
CERTIFICATE = b"CERTIFICATE-----"
STATE = frozenset(  # the names in a state folder
    {
        *(DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", f"{DATABASE}-journal"),
        *("secret", "server.json", ".gitignore"),
        *("ca", "inputs", "files", "uploads", "renders", "snapshots", served_models.FOLDER),
    }
)


class StateError(Exception):
    """The state folder cannot be used; the text is one line that says what to do."""


@asynccontextmanager
async def open_emulator(
    settings: Settings,
    clock: Clock | None = None,
    renderer: Renderer | None = None,
    *,
    is_local: Callable[[str], bool] = is_loopback,
    listeners: Iterable[socket.socket] = (),
    catalogue: Catalogue | None = None,
    observer: Observer,
) -> AsyncIterator[Emulator]:
    """Open an emulator with all its parts, and close them again.

    Args:
        clock: by default the system's, at the speed that the settings give.
        renderer: by default one that keeps its media with the emulator's files.
        is_local: returns whether a host is allowed for webhooks and input files in any case.
        listeners: the sockets at which the emulator will be served. Webhooks and input files at these
            addresses are refused. Add sockets that are opened later to `emulator.dialler.own`.
        catalogue: the models to serve; by default those that come with falmock, and those that the settings
            and the state folder add.

    Raises:
        StateError: the state folder is in use or unusable, or no temporary folder can be made.
        SettingsError: a document of a model is missing or broken.
        ScenarioError: a scenario is unknown or invalid.
        ValueError: there is no usable ffmpeg.
    """
    async with AsyncExitStack() as stack:
        folder = settings.state or _temporary_folder(stack)
        with _using(folder):
            store = stack.enter_context(_open_store(settings, folder))
            clock = clock or Clock(settings.time_scale, start=store.latest_time())
            seed = _seed(settings, store)
            signer = Signer(_secret(settings, folder))
            files = Files(store, folder, max_size=settings.max_upload)
            files.sweep_leftovers(time.time())
        rule_set = RuleSet(seed, _scenarios(settings))
        to_receivers, to_files = _diallers(settings, listeners)
        find_ffmpeg(settings.ffmpeg)
        _check_roots()
        catalogue = served_models.catalogue(settings) if catalogue is None else catalogue
        # Closes the parts that are made at their first use.
        parts = await stack.enter_async_context(AsyncExitStack())

        def webhook_transport() -> httpx.AsyncBaseTransport:
            from falmock.engine import clients  # noqa: PLC0415 - loads httpx

            http = clients.transport(to_receivers)
            parts.push_async_callback(http.aclose)
            return http

        resources = Resources(
            settings=settings,
            clock=clock,
            store=store,
            files=files,
            catalogue=catalogue,
            runner=Once(lambda: new_runner(resources, renderer, to_files, parts)),
            signer=signer,
            rule_set=rule_set,
            http=Once(webhook_transport),
            dialler=to_receivers,
            is_local=is_local,
            seed=seed,
            observer=observer,
        )
        if renderer is not None:  # its modules are loaded
            resources.runner()
        with _using(folder):
            emulator = Emulator(resources)
        stack.push_async_callback(emulator.close)
        stack.push_async_callback(_stop, _start_scheduler(emulator))
        await asyncio.sleep(0)  # start the scheduler
        yield emulator


def new_runner(
    resources: Resources, renderer: Renderer | None, dialler: Dialler, stack: AsyncExitStack
) -> Runner:
    """Return a runner with its tools, which the stack closes, and load pydantic, Pillow and httpx for it.

    Raises:
        OSError: the folder of the renderer cannot be used.
        FfmpegNotFound: there is no usable ffmpeg.
    """
    from falmock.engine.clients import client  # noqa: PLC0415 - see above
    from falmock.engine.runner import Runner  # noqa: PLC0415 - see above
    from falmock.media import Decoder, Fetcher, Measurer, Renderer  # noqa: PLC0415 - see above

    settings, files = resources.settings, resources.files
    ffmpeg = find_ffmpeg(settings.ffmpeg)
    http = client(dialler)
    stack.push_async_callback(http.aclose)
    if renderer is None:
        renderer = Renderer(
            ffmpeg=ffmpeg,
            cache=files.renders,
            at_once=settings.renders,
            timeout=settings.render_timeout,
            limit=settings.render_cache,
        )
        stack.push_async_callback(renderer.close)
    return Runner(
        settings=settings,
        catalogue=resources.catalogue,
        files=files,
        clock=resources.clock,
        seed=resources.seed,
        observer=resources.observer,
        renderer=renderer,
        decoder=Decoder(max_pixels=settings.max_pixels, memory=settings.decode_memory),
        measurer=Measurer(ffmpeg, files.renders),
        fetcher=Fetcher(http, public=settings.fetches_public_files, is_local=resources.is_local),
    )


def _scenarios(settings: Settings) -> list[Scenario]:
    if not settings.scenarios:
        return []
    from falmock.faults.scenarios import find  # noqa: PLC0415 - loads pydantic

    return [find(name) for name in settings.scenarios]


def _temporary_folder(stack: AsyncExitStack) -> Path:
    try:
        return stack.enter_context(temporary.folder())
    except OSError as error:
        raise StateError(
            f"cannot make a temporary folder ({error.strerror}): set TMPDIR to another folder"
        ) from None


def _diallers(settings: Settings, listeners: Iterable[socket.socket]) -> tuple[Dialler, Dialler]:
    """Return the diallers for webhooks and for input files."""
    own = OwnAddresses(settings.hostnames, settings.public_url)
    for listener in listeners:
        own.add(listener)
    return (
        Dialler(own, beyond=ANYWHERE if settings.delivers_anywhere else NOWHERE),
        Dialler(own, beyond=PUBLIC_ONLY if settings.fetches_public_files else NOWHERE),
    )


def _check_roots() -> None:
    """Check the file with further authorities, which `clients.trusted` reads."""
    if more := os.environ.get("SSL_CERT_FILE"):
        try:
            reason = None if CERTIFICATE in Path(more).read_bytes() else "it has no certificate"
        except OSError as error:
            reason = error.strerror
        if reason is not None:
            raise StateError(f"cannot use SSL_CERT_FILE={more} ({reason}): correct or unset it")


def _start_scheduler(emulator: Emulator) -> asyncio.Task[None]:
    """Start the scheduler; log a critical error if it ends by itself."""

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            log.critical("the scheduler has stopped: this is a bug in falmock", exc_info=task.exception())

    task = asyncio.create_task(emulator.timeline.run())
    task.add_done_callback(ended)
    return task


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@contextmanager
def _using(folder: Path) -> Iterator[None]:
    """Turn errors of the disk and the database into a StateError."""
    try:
        yield
    except (OSError, sqlite3.DatabaseError, StorageUnavailable) as error:
        reason = error.reason if isinstance(error, StorageUnavailable) else transient.reason(error)
        if reason is None:
            reason = str((isinstance(error, OSError) and error.strerror) or error)
        raise StateError(f"cannot use {folder} ({reason}): {ELSEWHERE}") from None


def _open_store(settings: Settings, folder: Path) -> Store:
    if settings.state is None:
        return Store(None)
    prepare(folder)
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


def prepare(folder: Path) -> None:
    """Make a state folder, or restrict an existing one to its owner."""
    private.own(folder, STATE)
    if not (ignored := folder / ".gitignore").exists():
        private.write(ignored, b"*\n")


def _seed(settings: Settings, store: Store) -> int:
    """Return the seed of the settings, else the one used before, else a new one."""
    seed = settings.seed
    if seed is None:
        seed = store.fact("seed")
    if seed is None:
        seed = random.SystemRandom().getrandbits(32)
    store.remember("seed", seed)
    return int(seed)


def _secret(settings: Settings, folder: Path) -> bytes:
    """Return the seed of the key pair, from a file that only its owner can read."""
    if settings.state is None and settings.seed is not None:
        return hashlib.sha256(f"falmock {settings.seed}".encode()).digest()
    path = folder / "secret"
    if not path.exists():
        private.write(path, os.urandom(SECRET_BYTES))
    return path.read_bytes()
