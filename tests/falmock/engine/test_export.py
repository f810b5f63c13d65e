"""`falmock state export` prints the readable rows of a database, even a damaged one."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from emulated import opened

from falmock.engine import export
from falmock.engine.clock import ManualClock

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
async def state(renders: Path, tmp_path: Path) -> Path:
    """A state folder with forty waiting requests and large inputs."""
    async with opened(renders, ManualClock(), state=tmp_path / "state") as mock:
        for number in range(40):
            await mock.submit(prompt=f"{number} {'x' * 3000}")
    return tmp_path / "state"


def contents(state: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in state.glob("falmock.db*")}


def exported(state: Path) -> list[dict[str, Any]]:
    """Return the exported rows, parsed from their lines."""
    return [json.loads(export.line(row)) for row in export.rows(state / "falmock.db")]


def inputs(rows: list[dict[str, Any]]) -> list[int]:
    """Return the numbers at the beginning of the prompts."""
    bodies = [json.loads(row["data"]) for row in rows if row["table"] == "payloads"]
    return sorted(int(body["prompt"].split()[0]) for body in bodies)


async def test_export_has_every_request_with_its_input(state: Path) -> None:
    rows = exported(state)

    assert [row["seq"] for row in rows if row["table"] == "requests"] == list(range(1, 41))
    assert inputs(rows) == list(range(40))


async def test_export_has_the_rows_before_and_after_a_damaged_page(state: Path) -> None:
    database = state / "falmock.db"
    content = bytearray(database.read_bytes())
    at = content.index(b"20 xxx") // 4096 * 4096
    content[at : at + 4096] = b"\xff" * 4096
    database.write_bytes(content)

    numbers = inputs(exported(state))

    assert 20 not in numbers
    assert {0, 1, 2, 37, 38, 39} <= set(numbers)


async def test_export_does_not_change_the_database(state: Path) -> None:
    before = contents(state)

    exported(state)

    assert contents(state) == before


async def test_bytes_that_are_not_utf8_are_exported_as_base64(renders: Path, tmp_path: Path) -> None:
    async with opened(renders, ManualClock(), state=tmp_path) as mock:
        mock.emulator.store.keep("x", "input", b"\xff\x00")

    assert [row["data"] for row in exported(tmp_path) if row["table"] == "payloads"] == [{"base64": "/wA="}]


async def test_infinity_is_exported_as_a_string(renders: Path, tmp_path: Path) -> None:
    async with opened(renders, ManualClock(), state=tmp_path) as mock:
        await mock.submit(headers={"x-falmock-fault": "stuck_in_queue"})

    assert [row["ready_at"] for row in exported(tmp_path) if row["table"] == "requests"] == ["inf"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "falmock", "state", "export", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


async def test_state_export_prints_the_rows_and_their_counts(state: Path) -> None:
    done = run("--state", str(state))

    assert (done.returncode, len(done.stdout.splitlines())) == (0, 80)
    assert done.stderr == "falmock: 40 requests, 40 payloads, 0 deliveries, 0 files\n"


@pytest.mark.parametrize("content", [None, b"not a database, but long enough for one " * 200])
def test_state_export_of_an_unreadable_database_is_one_line_on_stderr(
    tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "falmock.db").write_bytes(content)

    done = run("--state", str(tmp_path))

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert str(tmp_path / "falmock.db") in done.stderr
