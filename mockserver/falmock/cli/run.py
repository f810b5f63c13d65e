"""The command `falmock run`."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections import Counter
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from falmock.app import open_emulator
from falmock.cli import console
from falmock.cli.joining import control_error, describe, find_server, server_options, with_token
from falmock.cli.options import command_argument, option, settings_of, settings_options
from falmock.cli.serve import LOOPBACK, application, event_loop, listening, log_options, reporting, served
from falmock.engine.served_models import FOLDER as MODELS
from falmock.http.context import CONTROL
from falmock.inspection import har
from falmock.inspection.entries import Exchange
from falmock.inspection.entries import lines as journal_lines
from falmock.inspection.journal import journal_of
from falmock.inspection.ledger import Account
from falmock.inspection.lint import check
from falmock.intercept.environment import variables
from falmock.intercept.launch import (
    NOT_EXECUTABLE,
    NOT_FOUND,
    Ended,
    NotStartedError,
    SignalForwarder,
    launch,
)
from falmock.intercept.server_info import LAST_RUN, leave
from falmock.settings import OPTIONS, flag_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import httpx

    from falmock.cli.serve import Listeners
    from falmock.engine.emulator import Emulator
    from falmock.inspection.entries import JournalEntry
    from falmock.intercept.server_info import ServerInfo
    from falmock.settings import Settings

    Remarks = dict[str, list[str]]  # by what `falmock run` can fail on, the lines that say so

log = logging.getLogger("falmock")

LONG_RUNNING: Final = ("hostnames", "trusted_proxies")  # settings that `falmock run` has no flag for
FOR_JOINED: Final = ("--sealed", "--control-token")  # settings that do not change the emulator that is joined
FAILED: Final = 3  # exit code of `falmock run --fail-on`
# What `falmock run` can fail on.
REFUSED: Final = "refused"  # a call was refused
UNUSED_FAULTS: Final = "unused-faults"  # a fault had no effect
LINT: Final = "lint"  # the client check found a mistake
REASONS: Final = (REFUSED, UNUSED_FAULTS, LINT)
INCOMPLETE: Final = "incomplete"  # there is no account, or no report: always a failure
OF_PAGES: Final = ("x-fal-client-proxy", "sec-fetch-site")  # headers of fal's proxies, and of browsers
NOT_COUNTED: Final = (
    "not counted: calls of a browser to fal's own hosts, unless falmock browser has opened it"
)


def _reasons(value: str) -> frozenset[str]:
    given = frozenset(filter(None, map(str.strip, value.split(","))))
    if unknown := ", ".join(sorted(given.difference(REASONS))):
        raise click.BadParameter(f"{unknown}: choose from {', '.join(REASONS)}")
    return given


@click.command(
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
)
@server_options
@settings_options(without=LONG_RUNNING)
@log_options("warning")
@option(
    "--account",
    "File for the summary of the calls, as JSON.",
    type=click.Path(path_type=Path, dir_okay=False),
)
@option(
    "--report",
    "Folder for the journal, an HTTP archive, the summary and the videos. Starts a new emulator.",
    type=click.Path(path_type=Path, file_okay=False, writable=True),
)
@option("--alone", "Start a new emulator, even if one runs.", is_flag=True)
@option(
    "--fail-on",
    "Exit with 3 if a call was refused, a fault had no effect, or the client check found a mistake: "
    f"a list of {', '.join(REASONS)}. Starts a new emulator.",
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
    """Run a program with all fal hosts led to an emulator.

    For example: falmock run -- python app.py. The emulator is the running one of --join or --state, else the
    one that serves .falmock in this folder, else the only one that runs. If there is none, or if it is not
    sealed and --sealed is given, a new one starts, in memory. The exit code is that of the program.
    """
    console.set_up_logging(log_format, log_level)
    _check_writable(account, report)
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
    with reporting(), event_loop() as runner:
        if server is not None and server.sealed >= sealed:
            _refuse_settings(server)
            click.echo(f"falmock: using the emulator at {describe(server)}", err=True)
            token = with_token(given["control_token"])
            ended, counted, remarks = runner.run(_run_beside(server, command, token))
        else:
            settings = settings_of(None, given | {"sealed": sealed, "models": _models(state, given)})
            with listening(LOOPBACK, 0, 0, 0) as listeners:
                ended, counted, remarks, paged = runner.run(_run_with(settings, listeners, command, report))
    if account is not None and counted is not None:
        try:
            account.write_text(json.dumps(counted.to_json()))
        except OSError as error:
            remarks[INCOMPLETE] = [f"cannot write to {account}: {error.strerror}"]
    found = {reason for reason, said in remarks.items() if said}
    lines: list[object] = [*chain(*remarks.values())]
    if counted is not None:
        lines += [*_warnings(ended, counted, paged=paged), counted]
        found |= {REFUSED} if counted.refused else set()
    for line in lines:
        click.echo(f"falmock: {line}", err=True)
    return FAILED if ended.code == 0 and {INCOMPLETE, *fail_on} & found else ended.code


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


def _check_writable(account: Path | None, report: Path | None) -> None:
    """Refuse a file or folder that cannot be written before the program runs, not after."""
    if account is not None and not os.access(account if account.exists() else account.parent, os.W_OK):
        raise click.ClickException(f"cannot write to {account}: choose another --account")
    if report is not None:
        try:
            report.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise click.ClickException(
                f"cannot write to {report} ({error.strerror}): choose another --report"
            ) from None


def _refuse_settings(server: ServerInfo) -> None:
    """Refuse flags that would have no effect, because the running emulator has its own settings."""
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
            app = application(emulator, listeners)
            async with served(emulator, app, listeners) as server:
                click.echo(
                    f"falmock: using a new emulator at {server.http}, in memory; "
                    "open that address to see its requests",
                    err=True,
                )
                ended = await _launch(command, server, forwarder)
            counted, entries = app.state.ledger.account(), journal_of(emulator).entries()
            journal = "".join(journal_lines(entries, journal_of(emulator).dropped))
            _keep(journal)
            remarks = _remarks(emulator, entries)
            if report is not None:
                try:
                    _write_report(report, emulator, journal, entries, counted)
                except OSError as error:
                    remarks[INCOMPLETE] = [f"cannot write to {report}: {error.strerror}"]
            return ended, counted, remarks, any(map(_is_of_page, entries))


def _keep(journal: str) -> None:
    """Keep a journal in the place of that of the run before."""
    try:
        leave(LAST_RUN, journal.encode())
    except OSError as error:
        log.warning("falmock journal --last does not find this run: %s", error.strerror)


def _write_report(
    folder: Path, emulator: Emulator, journal: str, entries: Sequence[JournalEntry], account: Account
) -> None:
    """Write journal, HTTP archive, account and the files of all requests, named by their ids."""
    (folder / "journal.jsonl").write_text(journal)
    (folder / "calls.har").write_text(json.dumps(har.archive(entries, journal_of(emulator).dropped)))
    (folder / "account.json").write_text(json.dumps(account.to_json()))
    copied = Counter[str]()
    for file in emulator.store.files():
        if file.request_id is not None:
            copied[file.request_id] += 1
            number = f"-{copied[file.request_id]}" if copied[file.request_id] > 1 else ""
            name = f"{file.request_id}{number}{PurePosixPath(file.path).suffix}"
            shutil.copyfile(emulator.files.on_disk(file), folder / name)


def _remarks(emulator: Emulator, entries: Sequence[JournalEntry]) -> Remarks:
    unobserved = emulator.rule_set.unobserved()
    findings = check(entries, catalogue=emulator.catalogue, now=emulator.clock.now())
    return {
        UNUSED_FAULTS: [f"the fault {each.rule.fault!r} had no effect" for each in unobserved],
        LINT: [f"client check: {each.rule}: {each.says}" for each in findings],
    }


def _is_of_page(entry: JournalEntry) -> bool:
    """Check whether a page made a call, itself or through the program."""
    return isinstance(entry, Exchange) and any(name in OF_PAGES for name, _ in entry.headers)


async def _run_beside(
    server: ServerInfo, command: Sequence[str], headers: dict[str, str]
) -> tuple[Ended, Account | None, Remarks]:
    import httpx  # noqa: PLC0415 - loads slowly, and a new emulator does not need it

    with SignalForwarder() as forwarder:
        async with httpx.AsyncClient(base_url=server.http, headers=headers, trust_env=False) as http:
            before = await _account(http)
            ended = await _launch(command, server, forwarder)
            try:
                return ended, (await _account(http)).since(before), {}
            except click.ClickException as error:
                return ended, None, {INCOMPLETE: [f"no summary: {error.message}"]}


async def _account(http: httpx.AsyncClient) -> Account:
    import httpx  # noqa: PLC0415 - as above

    try:
        answer = (await http.get(f"{CONTROL}/account")).raise_for_status()
    except httpx.HTTPError as error:
        raise control_error(str(http.base_url), error) from None
    return Account.from_json(answer.json())


async def _launch(command: Sequence[str], server: ServerInfo, forwarder: SignalForwarder) -> Ended:
    try:
        return await launch(command, os.environ | variables(server, os.environ), forwarder)
    except NotStartedError as error:
        click.echo(f"falmock: {error}", err=True)
        return Ended(error.code)
