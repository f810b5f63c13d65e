"""Status polls with many stored requests against few."""

from __future__ import annotations

import itertools
import random
import sqlite3
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from bench.rows.comparison import in_turns
from bench.servers import new_folder
from bench.targets import AT_ONCE, FALMOCK, Api, falmock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bench.figures import Row
    from bench.load import Call, Conversation, Measured
    from bench.setup import Setup

FEW: Final = 1_000
POLLED: Final = 20_000  # different calls, of requests drawn from all that are stored


def polls(setup: Setup, row: Row) -> None:
    """Poll stored requests: one on each connection, then another one with each call."""
    counts = (setup.scale.stored, FEW)
    own = [row.figure(f"polls with {count:,} requests stored, calls a second") for count in counts]
    drawn = [row.figure(f"polls of any of {count:,} stored, calls a second") for count in counts]
    cpu = [row.figure(f"polls of any of {count:,} stored: processor time, us") for count in counts]
    rates = [*own, *drawn]

    def note(position: int, measured: Measured, used: float) -> None:
        rates[position].add(FALMOCK, measured.rate)
        if position >= len(own):
            cpu[position - len(own)].add(FALMOCK, used)

    with ExitStack() as stack:
        served = []
        for count in counts:
            state = stack.enter_context(new_folder()) / "state"
            calls = fill(setup, state, count)
            server = stack.enter_context(setup.serving(falmock(*AT_ONCE, state=str(state))))
            served.append((server, calls))
        alone = [(server, partial(_poll_one, calls)) for server, calls in served]
        any_of = [(server, partial(_poll_any, calls)) for server, calls in served]
        in_turns(row, setup.scale, [*alone, *any_of], note)
        seconds = " and ".join(f"{server.start_seconds:.2f} s" for server, _ in served)
        row.notes.append(f"With {counts[0]:,} and {FEW:,} requests stored, falmock starts in {seconds}.")
    own[0].compare_with(own[1], FALMOCK, f"of {FEW:,}", "least", 0.9)
    drawn[0].compare_with(drawn[1], FALMOCK, f"of {FEW:,}")
    cpu[0].compare_with(cpu[1], FALMOCK, f"of {FEW:,}")


def _poll_one(calls: Sequence[Call]) -> Conversation:
    call = random.choice(calls)  # noqa: S311 - no secret
    while True:
        yield call


def _poll_any(calls: Sequence[Call]) -> Conversation:
    for number in itertools.count(random.randrange(len(calls))):  # noqa: S311 - no secret
        yield calls[number % len(calls)]


def fill(setup: Setup, state: Path, count: int) -> list[Call]:
    """Fill a state folder with copies of one completed request; return polls of them."""
    with setup.serving(falmock(*AT_ONCE, state=str(state))) as server:
        model = server.complete_one()
    rng = random.Random(count)  # noqa: S311 - no secret
    ids = [_new_id(rng) for _ in range(count)]
    with closing(sqlite3.connect(state / "falmock.db", isolation_level=None)) as db:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -500000"):
            db.execute(f"PRAGMA {pragma}")
        db.execute("BEGIN EXCLUSIVE")
        _copy(db, model, ids)
        db.execute("COMMIT")
    return [Api().status(request_id) for request_id in rng.choices(ids, k=POLLED)]


def _copy(db: sqlite3.Connection, model: str, ids: Sequence[str]) -> None:
    """Copy the rows of a request, in all tables, for other request ids."""
    (last,) = db.execute("SELECT max(seq) FROM requests").fetchone()
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    for table in tables:
        columns = [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")]
        for row in db.execute(f"SELECT * FROM {table}").fetchall():  # noqa: S608 - a name from the database
            if model in row:
                marks = ", ".join("?" * len(columns))
                copies = _copies(dict(zip(columns, row, strict=True)), model, ids, last)
                db.executemany(f"INSERT INTO {table} VALUES ({marks})", copies)  # noqa: S608 - the same
    db.execute("UPDATE facts SET value = ? WHERE name = 'seq'", (last + len(ids),))


def _copies(row: dict[str, Any], model: str, ids: Sequence[str], last: int) -> Iterator[tuple[Any, ...]]:
    values = list(row.values())
    places = [place for place, value in enumerate(values) if value == model]
    seq = list(row).index("seq") if "seq" in row else None
    for number, request_id in enumerate(ids, last + 1):
        for place in places:
            values[place] = request_id
        if seq is not None:
            values[seq] = number
        yield tuple(values)


def _new_id(rng: random.Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
