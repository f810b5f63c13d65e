"""The commands about a running emulator or its state: `env`, `journal`, `ledger`, `lint`, `clock`, ..."""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import time
from collections import Counter
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click
from click.core import ParameterSource

from falmock.cli.joining import ControlAPI, on_control_api, running_server, server_options
from falmock.cli.options import option, state_option
from falmock.engine import export
from falmock.inspection import har
from falmock.inspection.entries import JournalError, JournalFilter, lines
from falmock.inspection.entries import read as read_journal
from falmock.inspection.lint import RULES, Finding
from falmock.inspection.lint import check as check_client
from falmock.intercept.environment import render, variables
from falmock.intercept.server_info import LAST_RUN, private_runtime_folder
from falmock.protocol.authorities import AuthorityError, parse_authority
from falmock.protocol.calls import Operation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from falmock.inspection.entries import JournalEntry

FOLLOW_SECONDS: Final = 0.5


def _host(via: str) -> str:
    """Return a name or an address as it is in a URL."""
    try:
        authority = parse_authority(f"[{via}]" if via.count(":") > 1 else via)
    except AuthorityError:
        authority = None
    if authority is None or authority.port is not None:
        raise click.ClickException(f"--via {via!r} is not a name or an address: write it without a port")
    return authority.text


@click.command()
@server_options
@option("--format", "Form of the output.", type=click.Choice(["sh", "dotenv", "json"]), default="sh")
@option("--via", "Name or address by which the program reaches this machine, as host.docker.internal.")
@option("--ca-folder", "Folder where the program finds the files of the state folder's `ca/certificate`.")
@option(
    "--fal-hosts",
    "Set FAL_RUN_HOST and FAL_QUEUE_RUN_HOST, for fal's Python client, instead of proxy variables.",
    is_flag=True,
)
def env(
    state: Path,
    join: str | None,
    format: str,  # noqa: A002 - the flag's name
    via: str | None,
    ca_folder: str | None,
    *,
    fal_hosts: bool,
) -> None:
    """Print the environment variables that lead programs to the emulator: eval "$(falmock env)"."""
    host = None if via is None else _host(via)
    server = running_server(state, join).seen_from(host, ca_folder)
    click.echo(render(variables(server, os.environ, proxied=not fal_hosts), format), nl=False)


@click.command()
@on_control_api
@click.option(
    "--format",
    "form",
    help="Text, JSON lines, or an HTTP archive; by default text in a terminal, else jsonl.",
    type=click.Choice(["text", "jsonl", "har"]),
)
@click.option("--last", help="The journal of the last falmock run that started an emulator.", is_flag=True)
@click.option("--follow", "-f", help="Print new entries as text until Ctrl-C.", is_flag=True)
@click.option("--request", help="Only entries of this request id.")
@click.option("--endpoint", help="Only entries of this endpoint, or of a pattern such as fal-ai/*.")
@click.option("--test", help="Only entries of this test.")
@click.option("--key", help="Only entries of this key id.")
@click.option("--operation", help="Only calls of this kind.", type=click.Choice([*map(str, Operation)]))
@click.option("--since", help="Only entries from this emulated time on, in unix seconds.", type=float)
@click.option("--until", help="Only entries before this emulated time.", type=float)
def journal(control: ControlAPI, form: str | None, *, last: bool, follow: bool, **query: Any) -> None:
    """Print the journal: calls, steps of requests, attempts at webhooks."""
    source = click.get_current_context().get_parameter_source
    if last and (follow or ParameterSource.COMMANDLINE in {source("state"), source("join")}):
        raise click.UsageError("--last is a run that has ended: leave out --follow, --state and --join")
    if follow:
        if form not in {None, "text"}:
            raise click.UsageError(f"--follow prints text, not {form}")
        _follow(control, query)
    form = form or ("text" if sys.stdout.isatty() else "jsonl")
    wanted = "jsonl" if form == "text" else form
    fetched = (
        _of_last_run(wanted, **query) if last else control.call("/journal", query | {"format": wanted}).text
    )
    if form != "text":
        click.echo(fetched, nl=False)
        return
    for entry in read_journal(fetched):
        click.echo(journal_line(entry))


def _of_last_run(form: str, *, key: str | None, **query: Any) -> str:
    """Return the journal of the last `falmock run` with an emulator of its own, as "jsonl" or "har"."""
    folder = private_runtime_folder()
    try:
        text = (folder / LAST_RUN).read_text() if folder is not None else ""
    except OSError:
        text = ""
    if not text:
        raise click.ClickException("no falmock run has left a journal here: --last needs one that has ended")
    try:
        entries = JournalFilter(caller=key, **query).of(read_journal(text))
    except JournalError as error:
        raise click.ClickException(f"the journal of the last run cannot be read: {error}") from None
    dropped = json.loads(text.partition("\n")[0])["dropped"]
    if form == "har":
        return json.dumps(har.archive(entries, dropped)) + "\n"
    return "".join(lines(entries, dropped))


def _follow(control: ControlAPI, query: Mapping[str, Any]) -> NoReturn:
    """Print each entry once, a call when its response is complete."""
    printed: set[int] = set()
    while True:
        entries = read_journal(control.call("/journal", query).text)
        for entry in entries:
            if entry.id not in printed and getattr(entry, "over", True):
                click.echo(journal_line(entry))
                printed.add(entry.id)
        printed &= {entry.id for entry in entries}
        time.sleep(FOLLOW_SECONDS)


def journal_line(entry: JournalEntry) -> str:
    """Return an entry as a line of text, with its emulated time in the zone of this machine."""
    at = dt.datetime.fromtimestamp(entry.at).astimezone().strftime("%H:%M:%S.%f")[:-3]
    fault = getattr(entry, "fault", None)
    return f"{at}  {entry}{f' (fault {fault})' if fault else ''}"


@click.command()
@on_control_api
@click.option(
    "--format",
    "form",
    help="By default text in a terminal, else JSON.",
    type=click.Choice(["text", "json"]),
)
@click.option("--test", help="Only requests of this test.")
@click.option("--key", help="Only requests of this key id.")
@click.option("--window", help="Seconds within which an equal submit counts as a double.", type=float)
def ledger(control: ControlAPI, form: str | None, **query: Any) -> None:
    """Print what all requests would have cost at fal's list prices."""
    answer = control.call("/ledger", query)
    if (form or ("text" if sys.stdout.isatty() else "json")) == "json":
        click.echo(answer.text)
        return
    bill = answer.json()
    unknown = 0
    for charge in bill["charges"]:
        outcome = charge["status"] or "not completed"
        is_known = charge["units"] or charge["status"] != HTTPStatus.OK
        unknown += not is_known
        price = f"${charge['usd']:.2f}" if is_known else "no price is known"
        click.echo(f"{charge['request_id']}  {outcome!s:13}  {price}  {charge['endpoint']}")
    for double in bill["doubles"]:
        click.echo(f"{double['second']}  a double of {double['first']}: ${double['usd']:.2f}")
    click.echo(f"${bill['usd']:.2f} in all" + (f", without {unknown} of unknown price" if unknown else ""))


@click.command()
@on_control_api
@click.option("--test", help="Only entries of this test.")
@click.option(
    "--journal",
    help="A file of the journal as JSON lines, instead of a running emulator.",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
)
def lint(control: ControlAPI, test: str | None, journal: Path | None) -> int:
    """Check an application for mistakes in its use of fal.

    Exits with 1 if there is a finding, with 2 if there is no journal to check.
    """
    if journal is None:
        found = control.call("/lint", {"test": test}).json()["findings"]
        findings = [Finding(**each) for each in found]
    else:
        try:
            findings = check_client(JournalFilter(test=test).of(read_journal(journal.read_text())))
        except (JournalError, UnicodeDecodeError) as error:
            raise click.ClickException(f"{journal} is not a journal of falmock: {error}") from None
    for finding in findings:
        click.echo(f"{finding}\n    {RULES[finding.rule].why}")
    return 1 if findings else 0


@click.group()
def clock() -> None:
    """Reset the clock of a running emulator."""


@clock.command("reset")
@on_control_api
def reset_clock(api: ControlAPI) -> None:
    """Set the clock to real time, and move all stored times with it.

    Every request keeps the time that it has left.
    """
    before = api.call("/clock").json()
    api.call("/clock/reset", method="POST")
    moved = before["now"] - before["wall"]
    click.echo(f"the clock is at real time; it was {abs(moved):,.0f} s {'ahead' if moved > 0 else 'behind'}")


@click.group("state")
def state_group() -> None:
    """Work with state folders."""


@state_group.command("export")
@state_option("State folder. No emulator has to run.")
def export_state(state: Path) -> None:
    """Print all readable rows of a database as JSON lines.

    The database may be damaged, and does not change. There is one line for each request, payload, webhook and
    file.
    """
    from falmock.engine.store import DATABASE  # noqa: PLC0415 - the other commands do not need it

    counts = Counter[str]()
    try:
        for row in export.rows(state / DATABASE):
            counts[row["table"]] += 1
            click.echo(export.line(row))
    except (export.NoDatabaseError, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"falmock: {', '.join(f'{counts[table]} {table}' for table in export.TABLES)}", err=True)
