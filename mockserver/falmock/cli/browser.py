"""The command `browser`: opens a page in a browser that is led to an emulator."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import ssl
import sys
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from falmock.cli.joining import server_options
from falmock.cli.options import option
from falmock.intercept.certificates import key_digest
from falmock.intercept.launch import NotStartedError, SignalForwarder, launch
from falmock.system import temporary

if TYPE_CHECKING:
    from pathlib import Path

MACOS: Final = "/Applications/{0}.app/Contents/MacOS/{0}"
BROWSERS: Final = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
    *map(MACOS.format, ("Google Chrome", "Chromium", "Microsoft Edge")),
)
OF_RUN: Final = ("FALMOCK_SERVER", "HTTPS_PROXY", "NODE_EXTRA_CA_CERTS")  # variables of `falmock run`
LONGEST_FOLDER: Final = 55  # characters: 104 on macOS, less those of the names that Chromium adds
FLAGS: Final = (
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@click.command(context_settings={"allow_interspersed_args": False})
@server_options
@option("--browser", "Chromium, Chrome or Edge; by default the first that is found.")
@click.argument("url")
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
def browser(state: Path, join: str | None, browser: str | None, url: str, flags: tuple[str, ...]) -> int:
    """Open a page that calls fal's hosts itself: falmock browser http://localhost:3000.

    The browser has a temporary profile, and trusts the emulator by its key: no certificate is installed.
    Words after the URL are flags of the browser. The emulator is that of `falmock run` if this command
    runs below it, else the one that `falmock run` would use.
    """
    program = _find(browser)
    if not all(map(os.environ.get, OF_RUN)):
        falmock = (sys.executable, "-m", "falmock")
        again = (*falmock, "browser", "--browser", program, url, *flags)
        given = click.get_current_context().get_parameter_source("state") is ParameterSource.COMMANDLINE
        where = (*(("--state", str(state)) if given else ()), *(("--join", join) if join else ()))
        os.execv(sys.executable, [*falmock, "run", *where, "--", *again])  # noqa: S606 - itself
    try:
        return asyncio.run(_open_page(program, *flags, url))
    except (OSError, NotStartedError) as error:
        raise click.ClickException(
            f"cannot open a browser for the emulator that FALMOCK_SERVER names: {error}"
        ) from None


def _find(browser: str | None) -> str:
    for name in BROWSERS if browser is None else (browser,):
        if path := shutil.which(name):
            return path
    raise click.ClickException(
        "there is no Chromium, Chrome or Edge on PATH: name one with --browser"
        if browser is None
        else f"{browser} is not a program: name another with --browser"
    )


async def _open_page(program: str, *arguments: str) -> int:
    """Run a browser to its end, with a temporary profile, and return its exit code."""
    server = json.loads(os.environ["FALMOCK_SERVER"])
    certificate = ssl.get_server_certificate(
        (server["host"], server["https"]), ca_certs=os.environ["NODE_EXTRA_CA_CERTS"]
    )
    with SignalForwarder() as forwarder, temporary.folder() as folder:
        command = (
            program,
            *FLAGS,
            f"--user-data-dir={folder / 'profile'}",
            f"--proxy-server={os.environ['HTTPS_PROXY']}",
            f"--ignore-certificate-errors-spki-list={key_digest(certificate)}",
            *arguments,
        )
        # A browser that a signal ends leaves a folder with a socket, and the path of a socket must be short.
        temporaries = {"TMPDIR": str(folder)} if len(str(folder)) <= LONGEST_FOLDER else {}
        return (await launch(command, {**os.environ, **temporaries}, forwarder)).code
