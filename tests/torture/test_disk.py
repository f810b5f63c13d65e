"""A state folder that is full, damaged or read-only."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from processes import Served, running
from torture import FAST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BIG = "x" * 200_000
FULL = 507


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


def test_a_damaged_database_is_named_in_one_line_and_left_as_it_is(
    serve: Callable[..., Any], state: Path
) -> None:
    with serve() as server:
        for _ in range(20):
            server.submit(prompt="x" * 5000)
    database = state / "falmock.db"
    content = bytearray(database.read_bytes())
    content[8192 : len(content) // 2] = os.urandom(len(content) // 2 - 8192)
    database.write_bytes(content)

    done = start(state)

    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "falmock.db" in done.stderr
    assert database.read_bytes() == content


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
