"""Ports, logs, errors and the event loop of the commands that open an emulator."""

from __future__ import annotations

import asyncio
import gc
import os
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click

from falmock.app import ELSEWHERE, FfmpegNotFound, StateError, create_app
from falmock.cli import console
from falmock.cli.options import option
from falmock.faults.vocabulary import ScenarioError
from falmock.http.server import listen
from falmock.inspection.journal import journal_of
from falmock.intercept.authority import DamagedCAError, NoProcessError, make_apart, open_ca
from falmock.intercept.listeners import Listeners, open_listeners
from falmock.intercept.server_info import ServerInfo, advertise
from falmock.protocol.addresses import is_loopback
from falmock.protocol.authorities import Authority
from falmock.settings import SettingsError

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Iterator

    from starlette.applications import Starlette

    from falmock.engine.emulator import Emulator
    from falmock.intercept.authority import CertificateAuthority

LOOPBACK: Final = "127.0.0.1"
PORT: Final = 8787
WRONG_USE: Final = (StateError, ScenarioError, SettingsError, FfmpegNotFound, DamagedCAError)
LEVELS: Final = ("debug", "info", "warning", "error")


def log_options(level: str) -> Callable[[Any], Any]:
    """Return `--log-format` and `--log-level`, with the default of the latter."""
    log_format = option(
        "--log-format", "Form of the log.", type=click.Choice(["text", "json"]), default="text"
    )
    log_level = option(
        "--log-level", "Least severe messages to log.", type=click.Choice(LEVELS), default=level
    )
    return lambda command: log_format(log_level(command))


def application(emulator: Emulator, listeners: Listeners) -> Starlette:
    """Return the application; a program's files are at the plain port, if nothing else is said."""
    settings = emulator.settings
    host, port, *_ = listeners.http.getsockname()
    files = settings.public_url or (f"http://{Authority(host, port)}" if is_loopback(host) else "")
    return create_app(emulator, files=files if settings.media_urls == "local" else "")


@asynccontextmanager
async def served(
    emulator: Emulator, app: Starlette, listeners: Listeners, *, found: bool = False
) -> AsyncIterator[ServerInfo]:
    """Serve an emulator at all listeners for the length of a block; other commands may find it."""
    console.mask(journal_of(emulator).known)
    settings = emulator.settings
    async with AsyncExitStack() as stack:
        with _writing_to(emulator):
            opening = partial(open_ca, emulator.files.folder / "ca", os.environ, _make_certificates)
            server = await stack.enter_async_context(
                open_listeners(app, listeners, opening, sealed=settings.sealed)
            )
            if found:
                stack.enter_context(advertise(server))
        gc.freeze()  # the modules stay, so no later collection visits their objects
        try:
            yield server
        finally:
            emulator.shutdown()  # ends open streams, which the listeners would wait for


def _make_certificates(ca: CertificateAuthority) -> None:
    """Make the files of a CA in another process, which leaves this one small; here if there can be none."""
    try:
        make_apart(ca)
    except NoProcessError:
        from falmock.intercept.certificates import make  # noqa: PLC0415 - loads cryptography

        make(ca)


@contextmanager
def _writing_to(emulator: Emulator) -> Iterator[None]:
    """Report files that cannot be written in the state folder, or in the temporary one that stands for it.

    Raises:
        StateError: there is such a file.
    """
    try:
        yield
    except OSError as error:
        advice = ELSEWHERE if emulator.settings.state else "set TMPDIR to another folder"
        raise StateError(f"cannot write to {emulator.files.folder} ({error.strerror}): {advice}") from None


@contextmanager
def reporting() -> Iterator[None]:
    """Turn errors of the user into one line and exit code 2."""
    try:
        yield
    except WRONG_USE as error:
        raise click.ClickException(str(error)) from None


def event_loop() -> asyncio.Runner:
    """Return a runner with the loop of uvloop, or with asyncio's own where uvloop is not installed."""
    try:
        import uvloop  # noqa: PLC0415 - it may not be there
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


@contextmanager
def listening(host: str, port: int, tls_port: int, proxy_port: int) -> Iterator[Listeners]:
    with ExitStack() as stack:
        flags = (("--port", port), ("--tls-port", tls_port), ("--proxy-port", proxy_port))
        yield Listeners(*[stack.enter_context(_listener(host, number, flag)) for flag, number in flags])


def _listener(host: str, port: int, flag: str) -> socket.socket:
    try:
        return listen(host, port)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise click.ClickException(
            f"cannot listen on {host}:{port} ({reason}): choose another {flag} (0 picks a free one)"
        ) from None
