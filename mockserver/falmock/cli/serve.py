"""The commands that open an emulator: `serve`, `run`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import httpx
from click.core import ParameterSource

from falmock.app import ELSEWHERE, FfmpegNotFound, StateError, create_app, open_emulator
from falmock.cli import console
from falmock.cli.joining import control_error, describe, find_server, server_options, with_token
from falmock.cli.options import command_argument, option, settings_of, settings_options, state_option
from falmock.cli.report import write as write_report
from falmock.engine.served_models import FOLDER as MODELS
from falmock.faults.scenarios import ScenarioError
from falmock.http.guard import CONTROL
from falmock.http.server import listen
from falmock.inspection.entries import Exchange
from falmock.inspection.journal import journal_of
from falmock.inspection.ledger import Account
from falmock.inspection.lint import check
from falmock.intercept.certificates import DamagedCAError, open_ca
from falmock.intercept.environment import variables
from falmock.intercept.launch import (
    NOT_EXECUTABLE,
    NOT_FOUND,
    Ended,
    NotStartedError,
    SignalForwarder,
    launch,
)
from falmock.intercept.listeners import Listeners, open_listeners
from falmock.intercept.server_info import ServerInfo, advertise
from falmock.protocol.addresses import is_loopback
from falmock.protocol.authorities import Authority
from falmock.settings import OPTIONS, SettingsError, flag_of

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from starlette.applications import Starlette

    from falmock.engine.emulator import Emulator
    from falmock.inspection.entries import Entry
    from falmock.settings import Settings

    Remarks = dict[str, list[str]]  # by what `falmock run` can fail on, the lines that say so

LOOPBACK: Final = "127.0.0.1"
PORT: Final = 8787
LONG_RUNNING: Final = ("hostnames", "trusted_proxies")  # settings that `falmock run` has no flag for
WRONG_USE: Final = (StateError, ScenarioError, SettingsError, FfmpegNotFound, DamagedCAError)
FOR_JOINED: Final = ("--sealed", "--control-token")  # settings that do not change the emulator that is joined
LEVELS: Final = ("debug", "info", "warning", "error")
FAILED: Final = 3  # exit code of `falmock run --fail-on`
# What `falmock run` can fail on.
REFUSED: Final = "refused"  # a call was refused
UNUSED_FAULTS: Final = "unused-faults"  # a fault had no effect
LINT: Final = "lint"  # the client check found a mistake
REASONS: Final = (REFUSED, UNUSED_FAULTS, LINT)
OF_PAGES: Final = ("x-fal-client-proxy", "sec-fetch-site")  # headers of fal's proxies, and of browsers
NOT_COUNTED: Final = (
    "not counted: calls of a browser to fal's own hosts, unless falmock browser has opened it"
)


def log_options(level: str) -> Callable[[Any], Any]:
    """Return `--log-format` and `--log-level`, with the default of the latter."""
    log_format = option(
        "--log-format", "Form of the log.", type=click.Choice(["text", "json"]), default="text"
    )
    log_level = option(
        "--log-level", "Least severe messages to log.", type=click.Choice(LEVELS), default=level
    )
    return lambda command: log_format(log_level(command))


def _reasons(value: str) -> frozenset[str]:
    """Read the list of `--fail-on`."""
    given = frozenset(filter(None, map(str.strip, value.split(","))))
    if unknown := ", ".join(sorted(given.difference(REASONS))):
        raise click.BadParameter(f"{unknown}: choose from {', '.join(REASONS)}")
    return given


def port_option(flag: str, text: str, default: int = 0) -> Callable[[Any], Any]:
    return option(flag, text, type=click.IntRange(0, 65535), default=default)


@click.command()
@option("--host", "Address to listen on. By default only this machine can call.", default=LOOPBACK)
@port_option("--port", "Port for HTTP; 0 picks a free one.", default=PORT)
@port_option("--tls-port", "Port for HTTPS; 0 picks a free one.")
@port_option("--proxy-port", "Port of the proxy for programs; 0 picks a free one.")
@state_option("Folder that keeps requests, files and keys across restarts.")
@option("--ephemeral", "Keep everything in memory and a temporary folder instead.", is_flag=True)
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
    **given: Any,
) -> None:
    """Serve the emulator until Ctrl-C."""
    console.set_up_logging(log_format, log_level)
    with reporting():
        settings = settings_of(None if ephemeral else state, given)
        with _listening(host, port, tls_port, proxy_port) as listeners, _runner() as runner:
            runner.run(_serve(settings, listeners))


async def _serve(settings: Settings, listeners: Listeners) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with (
        open_emulator(settings, listeners=listeners) as emulator,
        _served(emulator, _app(emulator, listeners), listeners, found=True) as server,
    ):
        ahead = emulator.clock.now() - emulator.clock.wall()
        reachable = console.reachable(listeners)
        console.print_to_stderr(console.banner(server, settings, reachable, len(emulator.catalogue), ahead))
        await stopped.wait()


@click.command(
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
)
@server_options
@settings_options(without=LONG_RUNNING)
@log_options("warning")
@option("--account", "File for the final account, as JSON.", type=click.Path(path_type=Path, dir_okay=False))
@option(
    "--report",
    "Folder for the journal, an HTTP archive, the account and the videos. Always a new emulator.",
    type=click.Path(path_type=Path, file_okay=False, writable=True),
)
@option("--alone", "Use a new emulator, whatever runs.", is_flag=True)
@option(
    "--fail-on",
    "Exit with 3 if a call was refused, a fault had no effect, or the client check found a mistake: "
    f"a list of {', '.join(REASONS)}. Always a new emulator.",
    type=_reasons,
    default="",
    metavar="LIST",
    show_default=False,
)
@option("--strict", f"The same as --fail-on {','.join(REASONS)}.", is_flag=True)
@command_argument(required=True)
def run(  # noqa: PLR0917 - click calls it by name
    command: tuple[str, ...],
    state: Path,
    join: str | None,
    account: Path | None,
    report: Path | None,
    log_format: str,
    log_level: str,
    fail_on: frozenset[str],
    *,
    alone: bool,
    strict: bool,
    sealed: bool,
    **given: Any,
) -> int:
    """Run a program with all fal hosts led to an emulator: falmock run -- python app.py.

    This is the running emulator of --join or --state, else the one that serves the state folder here, else
    the only one that runs. It is a new one, in memory, if there is none, or if --sealed is given and it is
    not sealed. The exit code is that of the program.
    """
    console.set_up_logging(log_format, log_level)
    _check_writable(account)
    fail_on = frozenset(REASONS) if strict else fail_on
    server = None if alone or fail_on or report else find_server(state, join, "--join, --state or --alone")
    if join is not None and not alone and (server is None or server.sealed < sealed):
        raise click.UsageError(
            "--strict, --fail-on and --report use a new emulator: leave out --join"
            if server is None
            else f"the emulator at {join} is not sealed: leave out --sealed or --join"
        )
    remarks: Remarks = {}
    paged = False
    with reporting(), _runner() as runner:
        if server is not None and server.sealed >= sealed:
            _refuse_settings(server)
            console.print_to_stderr(f"falmock: using the emulator at {describe(server)}")
            ended, counted = runner.run(_run_beside(server, command, with_token(given["control_token"])))
        else:
            settings = settings_of(None, given | {"sealed": sealed, "models": _models(state, given)})
            with _listening(LOOPBACK, 0, 0, 0) as listeners:
                ended, counted, remarks, paged = runner.run(_run_with(settings, listeners, command, report))
    if account is not None:
        account.write_text(json.dumps(counted.to_json()))
    for line in (*chain(*remarks.values()), *_warnings(ended, counted, paged=paged), counted):
        console.print_to_stderr(f"falmock: {line}")
    found = {reason for reason, lines in remarks.items() if lines} | ({REFUSED} if counted.refused else set())
    return FAILED if ended.code == 0 and fail_on & found else ended.code


def _models(state: Path, given: dict[str, Any]) -> tuple[str, ...]:
    """Return the files of own models. Those of the state folder are among them, though nothing else of it."""
    folder = state / MODELS
    return (*((str(folder),) if folder.exists() else ()), *given["models"])


def _warnings(ended: Ended, counted: Account, *, paged: bool) -> Iterator[str]:
    """Yield what suggests that calls went past the emulator."""
    for program in ended.past:
        yield f"{program} ran: its calls go past falmock, unless the worker has an outboundService"
    if not counted.requests and ended.code not in {NOT_FOUND, NOT_EXECUTABLE}:
        yield "no request arrived; `falmock doctor -- COMMAND` shows the calls to fal that go past falmock"
    if paged:
        yield NOT_COUNTED


def _check_writable(account: Path | None) -> None:
    """Refuse a file that cannot be written before the program runs, not after."""
    if account is not None and not os.access(account if account.exists() else account.parent, os.W_OK):
        raise click.ClickException(f"cannot write to {account}: choose another --account")


def _refuse_settings(server: ServerInfo) -> None:
    """Refuse flags that would have no effect, because the running emulator has settings of its own."""
    source = click.get_current_context().get_parameter_source
    given = [flag_of(name) for name in OPTIONS if source(name) is ParameterSource.COMMANDLINE]
    if refused := ", ".join(flag for flag in given if flag not in FOR_JOINED):
        raise click.ClickException(
            f"the emulator at {describe(server)}, has its own settings, so {refused} would have no effect: "
            "add --alone for a new emulator"
        )


async def _run_with(
    settings: Settings, listeners: Listeners, command: Sequence[str], report: Path | None
) -> tuple[Ended, Account, Remarks, bool]:
    with SignalForwarder() as forwarder:
        async with open_emulator(settings, listeners=listeners) as emulator:
            app = _app(emulator, listeners)
            async with _served(emulator, app, listeners) as server:
                console.print_to_stderr(f"falmock: using a new emulator at {server.http}, in memory")
                ended = await _launch(command, server, forwarder)
            counted = app.state.ledger.account()
            if report is not None:
                try:
                    write_report(report, emulator, counted)
                except OSError as error:
                    raise click.ClickException(f"cannot write to {report}: {error.strerror}") from None
            entries = journal_of(emulator).entries()
            return ended, counted, _remarks(emulator, entries), any(map(_is_of_page, entries))


def _app(emulator: Emulator, listeners: Listeners) -> Starlette:
    """Return the application; a program's files are at the plain port, if nothing else is said."""
    settings = emulator.settings
    host, port, *_ = listeners.http.getsockname()
    files = settings.public_url or (f"http://{Authority(host, port)}" if is_loopback(host) else "")
    return create_app(emulator, files=files if settings.media_urls == "local" else "")


def _remarks(emulator: Emulator, entries: Sequence[Entry]) -> Remarks:
    unobserved = emulator.plan.unobserved()
    findings = check(entries, catalogue=emulator.catalogue, now=emulator.clock.now())
    return {
        UNUSED_FAULTS: [f"the fault {each.rule.fault!r} had no effect" for each in unobserved],
        LINT: [f"client check: {each.rule}: {each.says}" for each in findings],
    }


def _is_of_page(entry: Entry) -> bool:
    """Check whether a page made a call, itself or through the program."""
    return isinstance(entry, Exchange) and any(name in OF_PAGES for name, _ in entry.headers)


async def _run_beside(
    server: ServerInfo, command: Sequence[str], headers: dict[str, str]
) -> tuple[Ended, Account]:
    with SignalForwarder() as forwarder:
        async with httpx.AsyncClient(base_url=server.http, headers=headers, trust_env=False) as http:
            before = await _account(http)
            ended = await _launch(command, server, forwarder)
            after = await _account(http)
    return ended, after.since(before)


async def _account(http: httpx.AsyncClient) -> Account:
    try:
        answer = (await http.get(f"{CONTROL}/account")).raise_for_status()
    except httpx.HTTPError as error:
        raise control_error(str(http.base_url), error) from None
    return Account.from_json(answer.json())


async def _launch(command: Sequence[str], server: ServerInfo, forwarder: SignalForwarder) -> Ended:
    try:
        return await launch(command, os.environ | variables(server, os.environ), forwarder)
    except NotStartedError as error:
        console.print_to_stderr(f"falmock: {error}")
        return Ended(error.code)


@asynccontextmanager
async def _served(
    emulator: Emulator, app: Starlette, listeners: Listeners, *, found: bool = False
) -> AsyncIterator[ServerInfo]:
    """Serve an emulator at all listeners for the length of a block; other commands may find it."""
    console.mask(journal_of(emulator).known)
    settings = emulator.settings
    async with AsyncExitStack() as stack:
        with _writing_to(emulator):
            ca = open_ca(emulator.files.folder / "ca", os.environ)
            server = await stack.enter_async_context(
                open_listeners(app, listeners, ca, sealed=settings.sealed)
            )
            if found:
                stack.enter_context(advertise(server))
        try:
            yield server
        finally:
            emulator.shutdown()  # ends open streams, which the listeners would wait for


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


def _runner() -> asyncio.Runner:
    """Return a runner with the loop of uvloop, or with asyncio's own where uvloop is not installed."""
    try:
        import uvloop  # noqa: PLC0415 - it may not be there
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


@contextmanager
def _listening(host: str, port: int, tls_port: int, proxy_port: int) -> Iterator[Listeners]:
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
