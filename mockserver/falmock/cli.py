"""`falmock` on the command line."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import uvloop

from falmock import __version__, console
from falmock.app import StateError, create_app, open_emulator
from falmock.server import Server, listen
from falmock.settings import Settings, SettingsError, Span

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

EXIT_USAGE = 2


class SpanType(click.ParamType[Span]):
    """Seconds, or a range of them."""

    name = "SECONDS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Span:
        """Read "4" or "3.5-4.5"."""
        try:
            return value if isinstance(value, Span) else Span.parse(value)
        except SettingsError as error:
            self.fail(str(error), param, ctx)


class ListType(click.ParamType[tuple[str, ...]]):
    """Comma-separated texts."""

    name = "LIST"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Read "a,b"."""
        del param, ctx
        return value if isinstance(value, tuple) else tuple(filter(None, map(str.strip, value.split(","))))


def option(name: str, text: str, **more: Any) -> Callable[[Any], Any]:
    """Return a click option that a FALMOCK_* variable can set too."""
    variable = "FALMOCK_" + name.removeprefix("--").partition("/")[0].upper().replace("-", "_")
    more.setdefault("show_default", more.get("default") is not None)
    return click.option(name, help=text, envvar=variable, show_envvar=True, **more)


POSITIVE = click.IntRange(min=1)
SECONDS = click.FloatRange(min=0, min_open=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="falmock")
def falmock() -> None:
    """The fal.ai that runs on your machine: an offline emulator of fal's queue for video models.

    Start it with `falmock serve`, then send to http://127.0.0.1:8787 what you would send to
    https://queue.fal.run, with any key of the form id:secret. Nothing leaves your machine.
    """


@falmock.command()
@option("--host", "Address to listen on. Anything but loopback lets others in.", default="127.0.0.1")
@option(
    "--port",
    "Port to listen on; 0 picks a free one and prints it.",
    type=click.IntRange(0, 65535),
    default=8787,
)
@option(
    "--state",
    "Folder that keeps requests, files and keys across restarts.",
    type=click.Path(path_type=Path),
    default=".falmock",
)
@option("--ephemeral", "Keep everything in memory and a temporary folder instead.", is_flag=True)
@option("--seed", "Decides all that is random; without it one is drawn and kept with the state.", type=int)
@option("--time-scale", "Emulated seconds that pass in a real one.", type=SECONDS, default=1.0)
@option("--runners", "Requests of one application that run at once.", type=POSITIVE, default=2)
@option(
    "--concurrency", "Requests of one key that run at once; the surplus waits.", type=POSITIVE, default=10
)
@option(
    "--queue-seconds",
    "How long a request waits in the queue, with runners free: 1, or a range as 0.8-1.2.",
    type=SpanType(),
    default="0.8-1.2",
)
@option(
    "--run-seconds", "How long a run takes: 4, or a range as 3.5-4.5.", type=SpanType(), default="3.5-4.5"
)
@option("--run-timeout", "End a run with 504 after so many seconds.", type=SECONDS)
@option(
    "--keys", "The only keys to know, as id:secret,id:secret. Better in the environment.", type=ListType()
)
@option("--no-auth", "Ask for no credentials at all.", is_flag=True)
@option(
    "--locked", "Key ids whose account is locked, as id,id.", type=ListType(), default="", show_default=False
)
@option(
    "--media",
    "Videos: animate moves the input image, plain is a solid colour and fast.",
    type=click.Choice(["animate", "plain"]),
    default="animate",
)
@option("--ffmpeg", "The ffmpeg program, instead of the one that came along.")
@option("--renders", "ffmpeg processes at once.", type=POSITIVE, default=2)
@option(
    "--fetch", "Fetch input images from public addresses too, instead of taking them on trust.", is_flag=True
)
@option(
    "--webhooks",
    "Deliver webhooks to this machine only, or to any address.",
    type=click.Choice(["local", "any"]),
    default="local",
)
@option(
    "--hostname",
    "Further names under which clients reach this server, as name,name.",
    type=ListType(),
    default="",
    show_default=False,
)
@option("--log-format", "How to write the log.", type=click.Choice(["text", "json"]), default="text")
@option(
    "--log-level",
    "How much to log.",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
)
def serve(host: str, port: int, log_format: str, log_level: str, **given: Any) -> None:
    """Serve the emulator until Ctrl-C."""
    console.set_up_logging(log_format, log_level)
    settings = _settings(**given)
    with _listen(host, port) as listener, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, listener))


async def _serve(settings: Settings, listener: socket.socket) -> None:
    async with open_emulator(settings) as emulator:
        server = Server(create_app(emulator))

        def stop(number: int) -> None:
            emulator.hang_up()
            server.handle_exit(number, None)

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop, number)
        print(console.banner(console.address(listener), settings), file=sys.stderr, flush=True)  # noqa: T201 - for people
        await server.serve(sockets=[listener])


def _settings(
    *, state: Path, ephemeral: bool, no_auth: bool, hostname: tuple[str, ...], **given: Any
) -> Settings:
    return Settings(state=None if ephemeral else state, auth=not no_auth, hostnames=hostname, **given)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return listen(host, port)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise click.ClickException(
            f"cannot listen on {host}:{port} ({reason}): choose another --port (0 picks a free one)"
        ) from None


def main() -> None:
    """Run the command; a mistake of the caller's is one line on standard error and exit code 2."""
    try:
        code = falmock.main(standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except (click.ClickException, StateError, SettingsError, ValueError) as error:
        text = error.format_message() if isinstance(error, click.ClickException) else str(error)
        print(f"falmock: {text}", file=sys.stderr)  # noqa: T201 - for people
        code = EXIT_USAGE
    logging.shutdown()
    sys.exit(code)
