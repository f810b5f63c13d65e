"""The command `falmock serve`, and its parts that `falmock run` uses too: ports, errors, the event loop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from falmock.app import ELSEWHERE, FfmpegNotFound, StateError, create_app, open_emulator
from falmock.cli import console
from falmock.cli.options import option, settings_of, settings_options, state_option
from falmock.faults.vocabulary import ScenarioError
from falmock.http.server import Server, address, listen
from falmock.inspection.journal import journal_of
from falmock.intercept.authority import DamagedCAError, NoProcessError, make_apart, open_ca
from falmock.intercept.server_info import ServerInfo, advertise
from falmock.protocol.addresses import is_loopback
from falmock.protocol.authorities import Authority
from falmock.settings import SettingsError
from falmock.system import private

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from starlette.applications import Starlette

    from falmock.engine.emulator import Emulator
    from falmock.intercept.authority import CertificateAuthority
    from falmock.settings import Settings

LOOPBACK: Final = "127.0.0.1"
PORT: Final = 8787
WRONG_USE: Final = (StateError, ScenarioError, SettingsError, FfmpegNotFound, DamagedCAError)
LEVELS: Final = ("debug", "info", "warning", "error")
PRELOAD: Final = "preload.cjs"


def log_options(level: str) -> Callable[[Any], Any]:
    """Return `--log-format` and `--log-level`, with the default of the latter."""
    log_format = option(
        "--log-format", "Form of the log.", type=click.Choice(["text", "json"]), default="text"
    )
    log_level = option(
        "--log-level", "Least severe messages to log.", type=click.Choice(LEVELS), default=level
    )
    return lambda command: log_format(log_level(command))


def _port_option(flag: str, text: str, default: int = 0) -> Callable[[Any], Any]:
    return option(flag, text, type=click.IntRange(0, 65535), default=default)


@click.command()
@option("--host", "Address to listen on. By default only this machine can call.", default=LOOPBACK)
@_port_option("--port", "Port for HTTP; 0 picks a free one.", default=PORT)
@_port_option("--tls-port", "Port for HTTPS; 0 picks a free one.")
@_port_option("--proxy-port", "Port of the proxy for programs; 0 picks a free one.")
@state_option("Folder that keeps requests, files and keys across restarts.")
@option("--ephemeral", "Keep everything in memory and a temporary folder instead.", is_flag=True)
@option("--open", "Open the live page in a browser.", is_flag=True)
@settings_options()
@log_options("info")
def serve(  # noqa: PLR0917 - click calls it by name
    host: str,
    port: int,
    tls_port: int,
    proxy_port: int,
    state: Path,
    log_format: str,
    log_level: str,
    *,
    ephemeral: bool,
    open: bool,  # noqa: A002 - the flag
    **given: Any,
) -> None:
    """Serve the emulator until Ctrl-C."""
    console.set_up_logging(log_format, log_level)
    with reporting():
        settings = settings_of(None if ephemeral else state, given)
        with listening(host, port, tls_port, proxy_port) as listeners, event_loop() as runner:
            runner.run(_serve(settings, listeners, show=open))


async def _serve(settings: Settings, listeners: Listeners, *, show: bool) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with (
        open_emulator(settings, listeners=listeners) as emulator,
        served(emulator, application(emulator, listeners), listeners, found=True) as server,
    ):
        ahead = emulator.clock.now() - emulator.clock.wall()
        reachable = listeners.reachable()
        click.echo(console.banner(server, settings, reachable, len(emulator.catalogue), ahead), err=True)
        if show:
            await _show(server.http)
        await stopped.wait()


async def _show(address: str) -> None:
    import webbrowser  # noqa: PLC0415 - few starts need it

    if not await asyncio.to_thread(webbrowser.open, address):
        click.echo(f"falmock: there is no browser: open {address} yourself", err=True)


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


class Listeners(NamedTuple):
    """Listening sockets."""

    http: socket.socket
    https: socket.socket
    proxy: socket.socket

    def reachable(self) -> str:
        """Return the addresses that other machines can call, as one text; it is empty for loopback."""
        bound = {"http": self.http, "tls": self.https, "proxy": self.proxy}
        addresses = {name: listener.getsockname()[:2] for name, listener in bound.items()}
        return ", ".join(
            f"{name} {Authority(*address)}"
            for name, address in addresses.items()
            if not is_loopback(address[0])
        )


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
    async with AsyncExitStack() as stack:
        with _writing_to(emulator):
            server = await stack.enter_async_context(_open(emulator, app, listeners))
            if found:
                stack.enter_context(advertise(server))
        gc.freeze()  # the modules stay, so no later collection visits their objects
        try:
            yield server
        finally:
            emulator.shutdown()  # ends open streams, which the listeners would wait for


@asynccontextmanager
async def _open(emulator: Emulator, app: Starlette, listeners: Listeners) -> AsyncIterator[ServerInfo]:
    """Serve an application, with and without TLS and through the proxy, for the length of a block.

    Plain calls are answered while the CA is opened, in a thread.
    A proxy that other machines can reach is always sealed: it must not be an open relay.
    """
    settings = emulator.settings
    plain = Server(app, limits=settings.limits)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(plain.running(listeners.http))
        folder = emulator.files.folder / "ca"
        ca = await asyncio.to_thread(open_ca, folder, os.environ, _make_certificates)
        from falmock.intercept.proxy import Proxy  # noqa: PLC0415 - loads h11; plain calls do not wait for it

        preload = ca.certificate.with_name(PRELOAD)
        private.write(preload, (files("falmock.intercept") / PRELOAD).read_bytes())
        private.publish(preload.parent)
        server = ServerInfo(
            http=address(listeners.http),
            https=address(listeners.https).replace("http:", "https:"),
            proxy=address(listeners.proxy),
            certificate=str(ca.certificate.absolute()),
            bundle=str(ca.bundle.absolute()),
            preload=str(preload.absolute()),
            sealed=settings.sealed or not is_loopback(listeners.proxy.getsockname()[0]),
            state=str(settings.state.absolute()) if settings.state is not None else "",
            token=app.state.identity.token,
        )
        proxy = Proxy(
            server.http,
            server.https,
            sealed=server.sealed,
            refused=app.state.ledger.refuse,
            calling=app.state.through_proxy,
        )
        secure = Server(app, ca.context(), limits=settings.limits)
        await stack.enter_async_context(secure.running(listeners.https))
        await stack.enter_async_context(proxy.serving(listeners.proxy))
        try:
            yield server
        finally:
            for each in (plain, secure):  # so that both close at the same time
                each.stop()


def _make_certificates(ca: CertificateAuthority) -> None:
    """Make the files of a CA in another process, which leaves this one small; here if there can be none."""
    try:
        make_apart(ca)
    except NoProcessError:
        from falmock.intercept.certificates import make  # noqa: PLC0415 - loads cryptography

        make(ca)


@contextmanager
def _writing_to(emulator: Emulator) -> Iterator[None]:
    """Raise `StateError` for files that cannot be written in the state folder or the temporary one."""
    try:
        yield
    except OSError as error:
        advice = ELSEWHERE if emulator.settings.state else "set TMPDIR to another folder"
        raise StateError(f"cannot write to {emulator.files.folder} ({error.strerror}): {advice}") from None
