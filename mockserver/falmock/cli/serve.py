"""The command `falmock serve`."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

import click

from falmock.app import open_emulator
from falmock.cli import console
from falmock.cli.options import option, settings_of, settings_options, state_option
from falmock.cli.serving import (
    LOOPBACK,
    PORT,
    application,
    event_loop,
    listening,
    log_options,
    reporting,
    served,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from falmock.intercept.listeners import Listeners
    from falmock.settings import Settings


def port_option(flag: str, text: str, default: int = 0) -> Callable[[Any], Any]:
    return option(flag, text, type=click.IntRange(0, 65535), default=default)


@click.command()
@option("--host", "Address to listen on. By default only this machine can call.", default=LOOPBACK)
@port_option("--port", "Port for HTTP; 0 picks a free one.", default=PORT)
@port_option("--tls-port", "Port for HTTPS; 0 picks a free one.")
@port_option("--proxy-port", "Port of the proxy for programs; 0 picks a free one.")
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
        reachable = console.reachable(listeners)
        console.print_to_stderr(console.banner(server, settings, reachable, len(emulator.catalogue), ahead))
        if show:
            await _show(server.http)
        await stopped.wait()


async def _show(address: str) -> None:
    """Open the live page in a browser."""
    import webbrowser  # noqa: PLC0415 - few starts need it

    if not await asyncio.to_thread(webbrowser.open, address):
        console.print_to_stderr(f"falmock: there is no browser: open {address} yourself")
