"""The files that `falmock run --report` leaves, for people and for artifacts of CI."""

from __future__ import annotations

import json
import shutil
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from falmock.inspection import har
from falmock.inspection.entries import lines
from falmock.inspection.journal import journal_of

if TYPE_CHECKING:
    from pathlib import Path

    from falmock.engine.emulator import Emulator
    from falmock.inspection.ledger import Account


def write(folder: Path, emulator: Emulator, account: Account) -> None:
    """Write journal, HTTP archive, account and the videos of all requests, named by their ids.

    Raises:
        OSError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    journal = journal_of(emulator)
    entries = journal.entries()
    (folder / "journal.jsonl").write_text("".join(lines(entries, journal.dropped)))
    archive = {"log": har.head(journal.dropped) | {"entries": har.archived(entries)}}
    (folder / "calls.har").write_text(json.dumps(archive))
    (folder / "account.json").write_text(json.dumps(account.to_json()))
    for file in emulator.store.files():
        if file.request_id is not None:
            name = f"{file.request_id}{PurePosixPath(file.path).suffix}"
            shutil.copyfile(emulator.files.on_disk(file), folder / name)
