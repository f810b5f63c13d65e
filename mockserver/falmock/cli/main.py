"""`falmock` on the command line."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import httpx
import uvloop

from falmock import __version__
from falmock.app import DATABASE, ELSEWHERE, StateError, create_app, open_emulator
from falmock.cli import console
from falmock.engine import export
from falmock.faults.scenarios import ScenarioError, presets
from falmock.faults.scenarios import find as find_scenario
from falmock.faults.vocabulary import EXACT, FAULTS, Fault, limits
from falmock.http.guard import CONTROL
from falmock.http.server import Server, listen
from falmock.inspection.entries import JournalError, JournalFilter
from falmock.inspection.entries import read as read_journal
from falmock.inspection.journal import journal_of
from falmock.inspection.ledger import Account
from falmock.inspection.lint import RULES, Finding
from falmock.inspection.lint import check as check_client
from falmock.intercept.certificates import Authority, open_authority
from falmock.intercept.doctor import CannotTryError, examine
from falmock.intercept.environment import ServerInfo, render, variables
from falmock.intercept.launch import NotStartedError, SignalForwarder, launch
from falmock.intercept.listeners import Listeners, advertise, find, open_listeners
from falmock.protocol.calls import Operation
from falmock.protocol.limits import DEFAULT, Limits
from falmock.settings import Settings, SettingsError, Span

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from falmock.engine.emulator import Emulator

EXIT_USAGE = 2
PATIENCE = 60.0  # seconds for the control API: a long list takes some
LIMIT_FLAGS = {
    "header_bytes": "max_header_bytes",
    "headers": "max_headers",
    "head_seconds": "head_timeout",
    "body_seconds": "body_timeout",
    "idle_seconds": "idle_timeout",
    "faults": "max_faults",
    "depth": "max_depth",
    "members": "max_members",
}


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
@option("--tls-port", "Port for TLS; 0 picks a free one.", type=click.IntRange(0, 65535), default=0)
@option(
    "--proxy-port",
    "Port for the proxy that programs are led here with; 0 picks a free one.",
    type=click.IntRange(0, 65535),
    default=0,
)
@option(
    "--sealed",
    "Connect to nothing but this machine: not for the proxy, a webhook or an input image.",
    is_flag=True,
)
@option(
    "--state",
    "Folder that keeps requests, files and keys across restarts.",
    type=click.Path(path_type=Path),
    default=".falmock",
)
@option("--ephemeral", "Keep everything in memory and a temporary folder instead.", is_flag=True)
@option("--seed", "Decides all that is random; without it one is drawn and kept with the state.", type=int)
@option(
    "--time-scale",
    "Emulated seconds that pass in a real one; with 0 the clock stands until it is moved.",
    type=click.FloatRange(min=0),
    default=1.0,
)
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
@option(
    "--public-url",
    "Scheme, host and port for returned URLs, as http://falmock:8787, in place of those that were called.",
)
@option(
    "--allow-origin",
    "Web origins besides those of this machine whose pages may call, as https://app.example,...",
    type=ListType(),
    default="",
    show_default=False,
)
@option(
    "--trusted-proxy",
    "Addresses of reverse proxies whose X-Forwarded-For and -Proto are believed, as 127.0.0.1,10.0.0.0/8.",
    type=ListType(),
    default="",
    show_default=False,
)
@option(
    "--scenario",
    "What shall go wrong: the name of a preset or a TOML file; may be given several times.",
    multiple=True,
)
@option(
    "--max-header-bytes",
    "Bytes of a request line with its headers; more is 431.",
    type=POSITIVE,
    default=DEFAULT.header_bytes,
)
@option("--max-headers", "Header fields of a call; more is 431.", type=POSITIVE, default=DEFAULT.headers)
@option(
    "--head-timeout",
    "Seconds for the headers of a call; later is 408.",
    type=SECONDS,
    default=DEFAULT.head_seconds,
)
@option(
    "--body-timeout",
    "Seconds without a piece of a body; then 408. Also for a client that stops reading.",
    type=SECONDS,
    default=DEFAULT.body_seconds,
)
@option(
    "--idle-timeout",
    "Seconds that a connection stays open without a call.",
    type=SECONDS,
    default=DEFAULT.idle_seconds,
)
@option(
    "--max-faults", "Faults that one call may ask for; more is 400.", type=POSITIVE, default=DEFAULT.faults
)
@option("--max-depth", "Nesting of a JSON body; deeper is a 400.", type=POSITIVE, default=DEFAULT.depth)
@option("--max-members", "Members of a JSON body; more is a 400.", type=POSITIVE, default=DEFAULT.members)
@option("--log-format", "How to write the log.", type=click.Choice(["text", "json"]), default="text")
@option(
    "--log-level",
    "How much to log.",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
)
def serve(  # noqa: PLR0917 - click calls it by name
    host: str, port: int, tls_port: int, proxy_port: int, log_format: str, log_level: str, **given: Any
) -> None:
    """Serve the emulator until Ctrl-C."""
    console.set_up_logging(log_format, log_level)
    settings = _settings(**given)
    with _listen(host, port, tls_port, proxy_port) as listeners, _runner() as runner:
        runner.run(_serve(settings, listeners))


async def _serve(settings: Settings, listeners: Listeners) -> None:
    async with open_emulator(settings, listeners=listeners) as emulator:
        console.mask(journal_of(emulator).known)
        app = create_app(emulator)
        server = Server(app, limits=settings.limits)

        def stop(number: int) -> None:
            emulator.shutdown()
            server.handle_exit(number, None)

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop, number)
        with _certificates(settings.state) as authority:
            async with open_listeners(app, listeners, authority, sealed=settings.sealed) as doors:
                with _noted(doors, settings.state):
                    _tell(
                        console.banner(doors.http, settings, doors.https, doors.proxy, _reachable(listeners))
                    )
                    await server.serve(sockets=[listeners.http])


def _reachable(listeners: Listeners) -> str:
    """Name the ports that other machines may call."""
    ports = {"http": listeners.http, "tls": listeners.https, "proxy": listeners.proxy}
    return console.reachable({name: listener.getsockname()[:2] for name, listener in ports.items()})


@contextmanager
def _noted(doors: ServerInfo, state: Path | None) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(advertise(doors, state))
        except OSError as error:
            raise StateError(f"cannot write to {state} ({error.strerror}): {ELSEWHERE}") from None
        yield


# `run` takes the flags of `serve`, but for those of a server that stays.
_OF_A_SERVER = {
    "host",
    "port",
    "tls_port",
    "proxy_port",
    "ephemeral",
    "hostname",
    "trusted_proxy",
    "log_level",
}


@falmock.command(
    params=[each for each in serve.params if each.name not in _OF_A_SERVER],
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
)
@option(
    "--log-level",
    "How much of the emulator's doings to log.",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
)
@option("--account", "File for the account, as JSON.", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(
    command: tuple[str, ...],
    state: Path,
    account: Path | None,
    log_format: str,
    log_level: str,
    *,
    sealed: bool,
    **given: Any,
) -> int:
    """Run a program with every fal host led to an emulator: falmock run -- python app.py.

    The emulator is the one that serves the state folder, if one does that is as sealed as was asked;
    else one of the program's own, in memory. The exit code is the program's.
    """
    console.set_up_logging(log_format, log_level)
    doors = find(state)
    with _runner() as runner:
        if doors is not None and doors.sealed >= sealed:
            code, done = runner.run(_run_beside(doors, command))
        else:
            settings = _settings(
                state=state, ephemeral=True, hostname=(), trusted_proxy=(), sealed=sealed, **given
            )
            with _listen("127.0.0.1", 0, 0, 0) as listeners:
                code, done = runner.run(_run_with(settings, listeners, command))
    if account is not None:
        account.write_text(json.dumps(done.to_json()))
    _tell(f"falmock: {done}")
    return code


async def _run_with(settings: Settings, listeners: Listeners, command: Sequence[str]) -> tuple[int, Account]:
    with SignalForwarder() as relay, _certificates(None) as authority:
        async with open_emulator(settings, listeners=listeners) as emulator:
            console.mask(journal_of(emulator).known)
            app = create_app(emulator)
            plain = Server(app, limits=settings.limits)
            async with (
                plain.running(listeners.http),
                open_listeners(app, listeners, authority, sealed=settings.sealed) as doors,
            ):
                code = await _launch(command, doors, relay)
                emulator.shutdown()
                plain.should_exit = True  # while the other doors close, not after
            for remark in _remarks(emulator):
                _tell(f"falmock: {remark}")
            return code, app.state.ledger.account()


def _remarks(emulator: Emulator) -> list[str]:
    """Return what a program's run leaves to say besides the account."""
    unobserved = [f"the fault {each.rule.fault!r} never struck" for each in emulator.plan.unobserved()]
    found = check_client(journal_of(emulator).entries(), now=emulator.clock.now())
    return [*unobserved, *(f"a mistake with fal: {each.rule}: {each.says}" for each in found)]


async def _run_beside(doors: ServerInfo, command: Sequence[str]) -> tuple[int, Account]:
    with SignalForwarder() as relay:
        async with httpx.AsyncClient(base_url=doors.http, trust_env=False) as http:
            before = await _account(http)
            code = await _launch(command, doors, relay)
            after = await _account(http)
    return code, after.since(before)


async def _account(http: httpx.AsyncClient) -> Account:
    try:
        answer = (await http.get(f"{CONTROL}/account")).raise_for_status()
    except httpx.HTTPError as error:
        raise _not_told(str(http.base_url), error) from None
    return Account.from_json(answer.json())


async def _launch(command: Sequence[str], doors: ServerInfo, relay: SignalForwarder) -> int:
    try:
        return await launch(command, os.environ | variables(doors, os.environ), relay)
    except NotStartedError as error:
        _tell(f"falmock: {error}")
        return error.code


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - for people


@falmock.command(context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def doctor(command: tuple[str, ...]) -> int:
    """Try a program where nothing can leak, and tell what of it would reach the emulator.

    It runs in a network of its own, with falmock and nothing else in it; that takes Linux with the
    programs unshare and ip. Exits with 1 if something would not reach the emulator.
    """
    try:
        found = examine(command)
    except CannotTryError as error:
        raise click.ClickException(
            f"doctor tries programs in a network of their own, so that nothing can leak, and {error}"
        ) from None
    print(found)  # noqa: T201 - what was asked for
    return 0 if found.good else 1


@falmock.group()
def scenario() -> None:
    """What can go wrong, and files that say what shall."""


@scenario.command("list")
def list_scenarios() -> None:
    """List the presets, and what an application learns from each."""
    width = max(map(len, presets()))
    for name, preset in presets().items():
        click.echo(f"{name:{width}}  {preset.teaches}")


@scenario.command()
@click.argument("name")
def show(name: str) -> None:
    """Print the rules of a preset or a file."""
    for rule in find_scenario(name).rules:
        click.echo(json.dumps(rule.model_dump(exclude_defaults=True)))


@scenario.command()
@click.argument("names", nargs=-1, required=True)
def check(names: tuple[str, ...]) -> None:
    """Check files: falmock scenario check night.toml."""
    for name in names:
        rules = find_scenario(name).rules
        click.echo(f"{name}: {len(rules)} rule{'' if len(rules) == 1 else 's'}, all good")


@scenario.command()
def faults() -> None:
    """List every fault with its options."""
    for name, kind in FAULTS.items():
        options = " ".join(
            f"{option}={value}" for option, value in Fault(name, kind.options).option_texts().items()
        )
        ranges = [
            f" {option}: {low} to {high}."
            for option, default in kind.options.items()
            for low, high in [limits(name, option)]
            if isinstance(default, int | float) and high != EXACT
        ]
        click.echo(f"{name}{options and ' '}{options}\n    {kind.says}{''.join(ranges)}")


@falmock.command()
@option(
    "--state",
    "State folder of the emulator that serves.",
    type=click.Path(path_type=Path),
    default=".falmock",
)
@option("--format", "How to write it.", type=click.Choice(["sh", "dotenv", "json"]), default="sh")
@option("--via", "Name or address under which the program reaches this machine, as host.docker.internal.")
@option(
    "--ca-folder", "Folder in which the program finds what is in the state folder's `ca`, in a container say."
)
@option(
    "--fal-hosts",
    "Set FAL_RUN_HOST and FAL_QUEUE_RUN_HOST, which fal's Python client reads, instead of proxy variables.",
    is_flag=True,
)
def env(state: Path, format: str, via: str | None, ca_folder: str | None, *, fal_hosts: bool) -> None:  # noqa: A002 - the flag's name
    """Print the environment that leads programs to the emulator that serves: eval "$(falmock env)"."""
    doors = _serving(state)
    values = variables(doors.seen_from(via, ca_folder), os.environ, proxied=not fal_hosts)
    print(render(values, format), end="")  # noqa: T201 - for programs


def _of_state(command: Any) -> Any:
    """Let a command ask the emulator that serves a state folder."""
    return option(
        "--state",
        "State folder of the emulator that serves.",
        type=click.Path(path_type=Path),
        default=".falmock",
    )(command)


@falmock.command()
@_of_state
@click.option(
    "--format", help="JSON lines, or an HTTP archive.", type=click.Choice(["jsonl", "har"]), default="jsonl"
)
@click.option("--request", help="Only what concerns a request.")
@click.option("--endpoint", help="Only what concerns an endpoint; a pattern as fal-ai/* will do.")
@click.option("--test", help="Only what belongs to a test.")
@click.option("--key", help="Only what belongs to a key id.")
@click.option("--operation", help="Only one kind of call.", type=click.Choice([*map(str, Operation)]))
@click.option(
    "--since", help="Only what came then or later: unix seconds of the emulator's clock.", type=float
)
@click.option("--until", help="Only what came before.", type=float)
def journal(state: Path, **wanted: Any) -> None:
    """Print what the emulator that serves has seen: calls, steps of requests, attempts at webhooks."""
    print(_asked(state, "/journal", wanted).text, end="")  # noqa: T201 - for programs


@falmock.command()
@_of_state
@click.option("--test", help="Only the requests of a test.")
@click.option("--key", help="Only the requests of a key id.")
@click.option("--window", help="Seconds within which an equal submit is a double one.", type=float)
def ledger(state: Path, **wanted: Any) -> None:
    """Print, as JSON, what it all would have cost at fal's list prices, and what was submitted twice."""
    print(_asked(state, "/ledger", wanted).text)  # noqa: T201 - for programs


@falmock.command()
@_of_state
@click.option("--test", help="Only what belongs to a test.")
@click.option(
    "--journal",
    help="A journal on disk, as JSON lines, instead of the emulator that serves.",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
)
def lint(state: Path, test: str | None, journal: Path | None) -> int:
    """Tell what an app does wrong: polls too fast, takes COMPLETED for success, pays twice ...

    Exits with 1 if there is a finding, and with 2 if there was nothing to look at.
    """
    if journal is None:
        told = _asked(state, "/lint", {"test": test}).json()
        findings = [Finding(**each) for each in told["findings"]]
    else:
        try:
            findings = check_client(JournalFilter(test=test).of(read_journal(journal.read_text())))
        except (JournalError, UnicodeDecodeError) as error:
            raise click.ClickException(f"{journal} is no journal of falmock's: {error}") from None
    for finding in findings:
        print(f"{finding}\n    {RULES[finding.rule].why}")  # noqa: T201 - what was asked for
    return 1 if findings else 0


@falmock.group("state")
def state_group() -> None:
    """State folders."""


@state_group.command("export")
@click.option(
    "--state",
    help="State folder; no emulator needs to serve it.",
    type=click.Path(path_type=Path),
    default=".falmock",
    show_default=True,
)
def export_state(state: Path) -> None:
    """Print what can be read of a state folder's database, as JSON lines, also of a damaged one.

    There is a line for each request, payload, webhook and file; the database is left as it is.
    """
    counted = Counter[str]()
    try:
        for row in export.rows(state / DATABASE):
            counted[row["table"]] += 1
            click.echo(export.line(row))
    except (export.NoDatabaseError, OSError) as error:
        raise click.ClickException(str(error)) from None
    _tell(f"falmock: {', '.join(f'{counted[table]} {table}' for table in export.TABLES)}")


def _serving(state: Path) -> ServerInfo:
    doors = find(state)
    if doors is None:
        raise click.ClickException(
            f"no emulator serves {state}: start one with falmock serve, or name its --state"
        )
    return doors


def _asked(state: Path, path: str, query: Mapping[str, Any]) -> httpx.Response:
    """Ask the control API of the emulator that serves a state folder."""
    doors = _serving(state)
    given = {name: value for name, value in query.items() if value is not None}
    try:
        answer = httpx.get(f"{doors.http}{CONTROL}{path}", params=given, trust_env=False, timeout=PATIENCE)
        return answer.raise_for_status()
    except httpx.HTTPError as error:
        raise _not_told(doors.http, error) from None


def _not_told(address: str, error: httpx.HTTPError) -> click.ClickException:
    why = str(error)
    if isinstance(error, httpx.HTTPStatusError) and error.response.status_code == httpx.codes.FORBIDDEN:
        why = error.response.json()["detail"]
    return click.ClickException(f"the emulator at {address} did not tell: {why}")


@contextmanager
def _certificates(state: Path | None) -> Iterator[Authority]:
    """Open the authority of a state folder, or one that is gone in the end."""
    if state is not None:
        try:
            authority = open_authority(state / "ca", os.environ)
        except OSError as error:
            raise StateError(f"cannot write to {state / 'ca'} ({error.strerror}): {ELSEWHERE}") from None
        yield authority
        return
    with tempfile.TemporaryDirectory(prefix="falmock-") as folder:
        yield open_authority(Path(folder), os.environ)


def _runner() -> asyncio.Runner:
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def _settings(
    *,
    state: Path,
    ephemeral: bool,
    no_auth: bool,
    hostname: tuple[str, ...],
    allow_origin: tuple[str, ...],
    trusted_proxy: tuple[str, ...],
    scenario: tuple[str, ...],
    **given: Any,
) -> Settings:
    limits = Limits(**{name: given.pop(flag) for name, flag in LIMIT_FLAGS.items()})
    return Settings(
        limits=limits,
        state=None if ephemeral else state,
        auth=not no_auth,
        hostnames=hostname,
        allow_origins=allow_origin,
        trusted_proxies=trusted_proxy,
        scenarios=scenario,
        **given,
    )


@contextmanager
def _listen(host: str, port: int, tls_port: int, proxy_port: int) -> Iterator[Listeners]:
    """Listen at three ports for the length of a block."""
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


def main() -> None:
    """Run the command; a mistake of the caller's is one line on standard error and exit code 2."""
    try:
        code = falmock.main(standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except (click.ClickException, StateError, ScenarioError, SettingsError, ValueError) as error:
        text = error.format_message() if isinstance(error, click.ClickException) else str(error)
        print(f"falmock: {text}", file=sys.stderr)  # noqa: T201 - for people
        code = EXIT_USAGE
    logging.shutdown()
    sys.exit(code)
