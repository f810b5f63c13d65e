"""A damaged database is rejected and not changed; a damaged row is moved away."""

from __future__ import annotations

import math
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from emulated import KEY, opened

from falmock.app import StateError, open_emulator
from falmock.engine.clock import ManualClock
from falmock.engine.store import Store
from falmock.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
async def state(renders: Path, tmp_path: Path) -> Path:
    """A state folder with twenty completed requests."""
    async with opened(renders, ManualClock(), state=tmp_path / "state") as mock:
        for _ in range(20):
            await mock.submit(prompt="x" * 4000)
        await mock.pass_time(600)
    return tmp_path / "state"


def overwrite_the_middle(database: Path) -> None:
    content = bytearray(database.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4096] = b"\xff" * 4096
    database.write_bytes(content)


def cut_off(database: Path) -> None:
    database.write_bytes(database.read_bytes()[:-8192])


def overwrite_the_head(database: Path) -> None:
    database.write_bytes(b"\0" * 100 + database.read_bytes()[100:])


def change(sql: str) -> Callable[[Path], None]:
    def act(database: Path) -> None:
        with closing(sqlite3.connect(database)) as db:
            db.execute(sql)
            db.commit()

    return act


DAMAGES = {
    "a page is overwritten": overwrite_the_middle,
    "the end is missing": cut_off,
    "the head is overwritten": overwrite_the_head,
    "a table is missing": change("DROP TABLE payloads"),
    "a column is missing": change("ALTER TABLE deliveries DROP COLUMN last"),
}


def contents(folder: Path) -> dict[str, bytes]:
    """Return the contents of the database files."""
    return {path.name: path.read_bytes() for path in folder.glob("falmock.db*")}


async def refusal(state: Path) -> str:
    """Return why an emulator does not start on a state folder."""
    with pytest.raises(StateError) as caught:
        async with open_emulator(Settings(state=state)):
            pass
    return str(caught.value)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_start_on_a_damaged_database_fails_with_one_line_of_advice(
    state: Path, damage: Callable[[Path], None]
) -> None:
    damage(state / "falmock.db")

    line = await refusal(state)

    assert line.startswith(f"the database {state / 'falmock.db'} is damaged (")
    assert f"falmock state export --state {state}" in line
    assert "choose another folder with --state, or use --ephemeral" in line
    assert "\n" not in line


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_start_on_a_damaged_database_does_not_change_it(
    state: Path, damage: Callable[[Path], None]
) -> None:
    damage(state / "falmock.db")
    before = contents(state)

    await refusal(state)

    assert contents(state) == before


async def test_start_on_a_damaged_database_of_a_killed_process_does_not_change_it(
    state: Path, tmp_path: Path
) -> None:
    killed = tmp_path / "killed"
    killed.mkdir()
    with Store(state / "falmock.db") as store:
        store.remember("x", "y" * 9000)
        for name in contents(state):  # with the write-ahead log
            shutil.copyfile(state / name, killed / name)
    overwrite_the_middle(killed / "falmock.db")
    before = contents(killed)

    await refusal(killed)

    assert contents(killed) == before
    assert sorted(before) == ["falmock.db", "falmock.db-wal"]


@pytest.mark.parametrize("layout", [1, 2, 999, -1])
async def test_a_database_of_another_version_is_rejected_and_not_changed(state: Path, layout: int) -> None:
    change(f"PRAGMA user_version = {layout}")(state / "falmock.db")
    before = (state / "falmock.db").read_bytes()

    line = await refusal(state)

    assert f"was made by another version of falmock (its layout is {layout}, not 3)" in line
    assert (state / "falmock.db").read_bytes() == before


async def test_a_database_of_another_program_is_rejected_and_not_changed(tmp_path: Path) -> None:
    change("CREATE TABLE songs (title)")(tmp_path / "falmock.db")
    before = (tmp_path / "falmock.db").read_bytes()

    assert "another version" in await refusal(tmp_path)
    assert (tmp_path / "falmock.db").read_bytes() == before


async def test_an_empty_database_file_becomes_a_new_database(renders: Path, tmp_path: Path) -> None:
    (tmp_path / "falmock.db").touch()

    async with opened(renders, ManualClock(), state=tmp_path) as mock:
        assert (await mock.finish()).status_code == 200


ROWS = [
    "UPDATE requests SET run_seconds = NULL",  # SQLite stores NaN as NULL
    "UPDATE requests SET ready_at = 'soon'",
    "UPDATE requests SET submitted_at = 1e300",
    "UPDATE requests SET completed_at = -1.0",
    "UPDATE requests SET state = 'LOST'",
    "UPDATE requests SET state = 'IN_PROGRESS', started_at = NULL",
    "UPDATE requests SET status = NULL",
    "UPDATE requests SET headers = 'none'",
    "UPDATE requests SET caller = x'00ff'",
    "UPDATE requests SET seq = 'first'",
    "UPDATE requests SET id = NULL",
]


async def reopened(renders: Path, state: Path, sql: str) -> tuple[list[dict[str, Any]], int]:
    """Damage one row; return the listed requests and the status of a new result."""
    change(f"{sql} WHERE seq = 3")(state / "falmock.db")
    async with opened(renders, ManualClock(1_790_001_000.0), state=state) as mock:
        listed = (await mock.http.get("/control/requests")).json()["requests"]
        assert (await mock.http.get("/control/ledger")).status_code == 200
        result = await mock.finish()
    return listed, result.status_code


@pytest.mark.parametrize("sql", ROWS)
async def test_a_damaged_row_is_logged_and_moved_and_all_others_are_served(
    renders: Path, state: Path, caplog: pytest.LogCaptureFixture, sql: str
) -> None:
    listed, status = await reopened(renders, state, sql)

    messages = [record.getMessage() for record in caplog.records if record.name == "falmock.engine.store"]
    assert messages == ["row 3 of the table requests is damaged, and was moved to damaged_requests"]
    assert (len(listed), status) == (19, 200)


async def test_a_damaged_row_can_be_read_from_its_new_table(renders: Path, state: Path) -> None:
    await reopened(renders, state, "UPDATE requests SET status = NULL")

    with closing(sqlite3.connect(state / "falmock.db")) as db:
        assert db.execute("SELECT seq FROM damaged_requests").fetchall() == [(3,)]


async def test_a_webhook_without_a_request_is_moved(renders: Path, state: Path) -> None:
    change(
        "INSERT INTO deliveries VALUES ('gone', 'http://x', 'u', x'00', 0, 1.0, 2.0, NULL, 'pending', NULL)"
    )(state / "falmock.db")

    async with opened(renders, ManualClock(), state=state) as mock:
        listed = (await mock.http.get("/control/webhooks")).json()

    assert listed["webhooks"] == []


async def test_a_request_with_an_infinite_start_time_is_not_a_damaged_row(
    renders: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        async with opened(renders, ManualClock(), state=tmp_path) as mock:
            await mock.submit(headers={"x-falmock-fault": "stuck_in_queue"})
            ready = [row.ready_at for row in mock.emulator.store.requests()]

    assert ready == [math.inf] * 2


async def test_all_requests_have_a_status_after_a_restart(renders: Path, state: Path) -> None:
    async with opened(renders, ManualClock(), state=state) as mock:
        urls = [f"/fal-ai/veo2/requests/{row.id}/status" for row in mock.emulator.store.requests()]
        answers = [await mock.http.get(url, headers=KEY) for url in urls]

    assert [answer.status_code for answer in answers] == [200] * 20
