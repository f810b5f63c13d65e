"""The journal of the last `falmock run` with an emulator of its own, kept in the user's runtime folder."""

from __future__ import annotations

import json
import logging
from typing import Any, Final

import click

from falmock.inspection import har
from falmock.inspection.entries import JournalError, JournalFilter, lines, read
from falmock.intercept.server_info import leave, private_runtime_folder

log = logging.getLogger("falmock")

FILE: Final = "last-run.jsonl"


def keep(journal: str) -> None:
    """Keep a journal of JSON lines, in the place of that of the run before."""
    try:
        leave(FILE, journal.encode())
    except OSError as error:
        log.warning("falmock journal --last does not find this run: %s", error.strerror)


def journal(form: str, *, key: str | None, **query: Any) -> str:
    """Return the entries that match, as "jsonl" or "har". `query` has other fields of `JournalFilter`."""
    folder = private_runtime_folder()
    try:
        text = (folder / FILE).read_text() if folder is not None else ""
    except OSError:
        text = ""
    if not text:
        raise click.ClickException("no falmock run has left a journal here: --last needs one that has ended")
    try:
        entries = JournalFilter(caller=key, **query).of(read(text))
    except JournalError as error:
        raise click.ClickException(f"the journal of the last run cannot be read: {error}") from None
    dropped = json.loads(text.partition("\n")[0])["dropped"]
    if form == "har":
        return json.dumps(har.archive(entries, dropped)) + "\n"
    return "".join(lines(entries, dropped))
