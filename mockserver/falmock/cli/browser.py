"""The command `browser`."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from falmock.cli.joining import server_options
from falmock.cli.options import option
from falmock.intercept.browser import is_led, open_page
from falmock.intercept.launch import NotStartedError

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
    if not is_led(os.environ):
        falmock = (sys.executable, "-m", "falmock")
        again = (*falmock, "browser", "--browser", program, url, *flags)
        given = click.get_current_context().get_parameter_source("state") is ParameterSource.COMMANDLINE
        where = (*(("--state", str(state)) if given else ()), *(("--join", join) if join else ()))
        os.execv(sys.executable, [*falmock, "run", *where, "--", *again])  # noqa: S606 - itself
    try:
        return asyncio.run(open_page(program, [*flags, url], os.environ))
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
