"""A state folder that is full, damaged or read-only."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from processes import Served, running
from torture import FAST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BIG = "x" * 200_000
FULL = 507
PAGE = 4096  # bytes of a page of SQLite's


@pytest.fixture
def on_small_disk(state: Path, in_namespace: str) -> Callable[[], Any]:
    """Serve from a disk of 8 MiB; yields the server and the folder as this process sees it."""

    @contextmanager
    def serve() -> Iterator[tuple[Served, Path]]:
        state.mkdir()
        mount = f"mount -t tmpfs -o size=8m tmpfs '{state}'"
        command = [sys.executable, "-m", "falmock", "serve", *FAST, "--state", str(state)]
        with running(in_namespace, "-m", "sh", "-c", f'{mount}; exec "$@"', "sh", *command) as server:
            yield server, Path(f"/proc/{server.process.pid}/root{state}")

    return serve


def fill(folder: Path) -> Path:
    """Take all the room that is left."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as sink:
        try:
            while sink.write(bytes(65536)):
                pass
        except OSError:
            return filler
    raise AssertionError("the disk never filled")


def submit(server: Served, number: int) -> Any:
    body = {"prompt": f"{number} {BIG}", "image_url": "https://example.com/chef.png"}
    return server.http.post("/fal-ai/veo2/image-to-video", json=body)


def test_a_submit_to_a_full_disk_is_refused_and_accepted_requests_complete_when_there_is_room(
    on_small_disk: Callable[[], Any],
) -> None:
    with on_small_disk() as (server, folder):
        accepted = [submit(server, number).json()["request_id"] for number in range(3)]
        filler = fill(folder)
        refused = [submit(server, number) for number in range(3, 8)]
        health = server.http.get("/health")
        filler.unlink()
        accepted.append(submit(server, 8).json()["request_id"])
        results = [server.result(each) for each in accepted]

    assert {answer.status_code for answer in refused} == {FULL}
    assert health.json()["status"] != "ok"
    assert all("video" in result for result in results)


def test_an_upload_to_a_full_disk_is_refused(on_small_disk: Callable[[], Any]) -> None:
    with on_small_disk() as (server, folder):
        announced = server.http.post(
            "/rest.fal.ai/storage/upload/initiate", json={"file_name": "a", "content_type": "image/png"}
        ).json()
        fill(folder)
        answer = server.http.put(announced["upload_url"], content=bytes(500_000))

    assert answer.status_code == FULL


def start(state: Path, *before: str) -> subprocess.CompletedProcess[str]:
    """Start a server that is expected to stop immediately."""
    command = [*before, sys.executable, "-m", "falmock", "serve", *FAST, "--state", str(state)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def overwrite_with_noise(database: Path) -> None:
    content = bytearray(database.read_bytes())
    content[8192 : len(content) // 2] = os.urandom(len(content) // 2 - 8192)
    database.write_bytes(content)


def cut_off_half(database: Path) -> None:
    os.truncate(database, database.stat().st_size // 2 // PAGE * PAGE)


def zero_a_page(database: Path) -> None:
    content = bytearray(database.read_bytes())
    content[5 * PAGE : 6 * PAGE] = bytes(PAGE)
    database.write_bytes(content)


def replace_with_text(database: Path) -> None:
    database.write_text("This was a database.\n" * 1000)


def put_the_log_of_another_database_beside_it(database: Path) -> None:
    """A write-ahead log with a few pages of a database that has other contents."""
    other = database.with_name("other.db")
    with closing(sqlite3.connect(other, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE songs (title)")
        writer.executemany("INSERT INTO songs VALUES (?)", [("x" * 3000,)] * 50)
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        writer.execute("UPDATE songs SET title = 'y' WHERE rowid % 10 = 1")
        shutil.copyfile(f"{other}-wal", f"{database}-wal")
    for path in database.parent.glob("other.db*"):
        path.unlink()


@pytest.mark.parametrize(
    "damage",
    [
        overwrite_with_noise,
        cut_off_half,
        zero_a_page,
        replace_with_text,
        put_the_log_of_another_database_beside_it,
    ],
)
def test_a_damaged_database_is_named_in_one_line_and_left_as_it_is(
    serve: Callable[..., Any], state: Path, damage: Callable[[Path], None]
) -> None:
    with serve() as server:
        for _ in range(20):
            server.submit(prompt="x" * 5000)
    damage(state / "falmock.db")
    before = {path.name: path.read_bytes() for path in state.glob("falmock.db*")}

    done = start(state)

    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "falmock.db" in done.stderr
    assert {path.name: path.read_bytes() for path in state.glob("falmock.db*")} == before


@contextmanager
def read_only(server: Served, folder: Path) -> Iterator[None]:
    """Put an empty read-only file system over a folder of a server in a namespace of its own.

    The file system of the state folder itself cannot become read-only: the server writes to its database.
    """
    inside = [str(shutil.which("nsenter")), "-t", str(server.process.pid), "-m"]
    subprocess.run([*inside, "mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run([*inside, "umount", str(folder)], check=True)


def test_read_only_folders_refuse_work_and_accepted_requests_complete_when_they_are_writable(
    on_small_disk: Callable[[], Any], state: Path
) -> None:
    with on_small_disk() as (server, _), ExitStack() as stack:
        initiate = {"file_name": "a", "content_type": "image/png"}
        announced = server.http.post("/rest.fal.ai/storage/upload/initiate", json=initiate).json()
        for name in ("inputs", "uploads", "renders"):
            stack.enter_context(read_only(server, state / name))
        refused = [submit(server, 1), server.http.put(announced["upload_url"], content=bytes(5000))]
        accepted = [server.submit(duration=f"{seconds}s")["request_id"] for seconds in (5, 6)]
        states = [server.status(request_id) for request_id in accepted * 20]
        stack.close()
        retried = [submit(server, 1), server.http.put(announced["upload_url"], content=bytes(5000))]
        results = [server.result(each) for each in accepted]

    assert {answer.status_code for answer in refused} == {503}
    assert {answer.status_code for answer in retried} == {200}
    assert "COMPLETED" not in states
    assert all("video" in result for result in results)


def test_a_read_only_state_folder_is_named_in_one_line(state: Path, in_namespace: str) -> None:
    state.mkdir()
    mount = f"mount -t tmpfs -o ro tmpfs '{state}'"

    done = start(state, in_namespace, "-m", "sh", "-c", f'{mount}; exec "$@"', "sh")

    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert str(state) in done.stderr


def test_a_start_on_a_full_disk_is_refused_in_one_line(state: Path, in_namespace: str) -> None:
    state.mkdir()
    mount = f"mount -t tmpfs -o size=64k tmpfs '{state}'; head -c 65536 /dev/zero > '{state}/filler'"

    done = start(state, in_namespace, "-m", "sh", "-c", f'{mount}; exec "$@"', "sh")

    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert str(state) in done.stderr
