"""Full and read-only file systems in a mount namespace, and low descriptor limits."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from few_descriptors import all_taken
from processes import PATIENCE, Served, running

if TYPE_CHECKING:
    import httpx

ROOT = [] if hasattr(os, "geteuid") and os.geteuid() == 0 else ["--user", "--map-root-user"]
UNSHARE = ["unshare", *ROOT, "--mount"]
FALMOCK = f"{sys.executable} -m falmock serve --port 0 --media plain"


def _can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    mount = [*UNSHARE, "sh", "-c", "mount -t tmpfs none /mnt"]
    return subprocess.run(mount, capture_output=True, timeout=PATIENCE, check=False).returncode == 0


def mounting(folder: Path, options: str, then: str) -> list[str]:
    """Return a command that runs with a small tmpfs mounted at a folder."""
    return [*UNSHARE, "sh", "-ec", f"mount -t tmpfs -o {options} none '{folder}'; {then}"]


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    if not _can_mount():
        pytest.skip("no disk of its own can be mounted here: that takes Linux and the right to do so")
    folder = tmp_path / "disk"
    folder.mkdir()
    return folder


def one_line(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    (line,) = done.stderr.splitlines()
    return line


FILL = "dd if=/dev/zero of='{disk}/filler' bs=4k status=none 2>&- || true"


def test_a_start_on_a_full_disk_is_one_line_and_exit_code_2(disk: Path) -> None:
    then = f"{FILL.format(disk=disk)}; exec {FALMOCK} --state '{disk}/state'"

    line = one_line(mounting(disk, "size=1m", then))

    assert line == (
        f"falmock: cannot use {disk}/state (the disk is full): "
        "choose another folder with --state, or use --ephemeral"
    )


@pytest.mark.parametrize("room", [40, 100, 200, 300])  # KiB
def test_a_start_on_a_nearly_full_disk_works_or_is_one_line(disk: Path, room: int) -> None:
    keep = f"head -c {room}k /dev/zero > '{disk}/room'"
    then = f"{keep}; {FILL.format(disk=disk)}; rm '{disk}/room'; exec {FALMOCK} --state '{disk}/state'"

    try:
        with running(*mounting(disk, "size=1m", then)) as server:
            assert server.http.get("/health").status_code == 200
    except AssertionError as error:  # it never listened
        (line,) = str(error).strip().splitlines()[1:]
        assert "choose another folder with --state, or use --ephemeral" in line


@pytest.mark.parametrize("made_before", ["", "mkdir '{disk}/state';"], ids=["no folder", "an empty folder"])
def test_a_read_only_state_folder_is_one_line_and_exit_code_2(disk: Path, made_before: str) -> None:
    then = (
        f"{made_before.format(disk=disk)} mount -o remount,ro '{disk}'; exec {FALMOCK} --state '{disk}/state'"
    )

    line = one_line(mounting(disk, "size=1m", then))

    assert line == (
        f"falmock: cannot use {disk}/state (the file system is read-only): "
        "choose another folder with --state, or use --ephemeral"
    )


def test_a_read_only_state_folder_with_a_database_is_one_line_and_exit_code_2(disk: Path) -> None:
    make = f'{sys.executable} -c "from falmock.engine.store import Store; from pathlib import Path; '
    make += f"Store(Path('{disk}/falmock.db')).close()\""
    then = f"{make}; mount -o remount,ro '{disk}'; exec {FALMOCK} --state '{disk}'"

    line = one_line(mounting(disk, "size=1m", then))

    assert line.startswith(f"falmock: cannot use {disk} (")


def submit(server: Served, size: int = 10_000) -> httpx.Response:
    body = {"prompt": "x" * size, "image_url": "https://example.com/chef.png"}
    return server.http.post("/fal-ai/veo2/image-to-video", json=body)


def test_submits_get_507_on_a_full_disk_and_work_again_when_there_is_room(disk: Path) -> None:
    then = f"exec {FALMOCK} --state '{disk}/state' --run-seconds 0.1 --queue-seconds 0.1"
    with running(*mounting(disk, "size=4m", then)) as server:
        inside = Path(f"/proc/{server.process.pid}/root{disk}")
        accepted = [submit(server).json()["request_id"] for _ in range(3)]
        with (inside / "filler").open("wb", buffering=0) as filler:
            fill(filler)
        answers = [submit(server) for _ in range(20)]
        health = server.http.get("/health").json()
        (inside / "filler").unlink()
        accepted += [each.json()["request_id"] for each in answers if each.status_code == 200]
        accepted += [submit(server).json()["request_id"] for _ in range(3)]
        results = [server.result(request_id) for request_id in accepted]
        after = server.http.get("/health").json()

    refused = [each for each in answers if each.status_code != 200]
    assert {each.status_code for each in refused} == {507}
    assert {each.json()["error_type"] for each in refused} == {"storage_full"}
    assert (health["status"], health["reason"], after["status"]) == ("degraded", "the disk is full", "ok")
    assert ["video" in result for result in results] == [True] * len(accepted)
    assert "Traceback" not in server.log


def fill(sink: Any) -> None:
    try:
        while True:
            sink.write(bytes(4096))
    except OSError:
        pass


def test_accepted_requests_wait_while_there_are_too_few_descriptors(tmp_path: Path) -> None:
    command = f"ulimit -n 64; exec {FALMOCK} --state '{tmp_path}' --run-seconds 0.01 --queue-seconds 0"
    with running("sh", "-c", command) as server:
        assert server.http.get("/health").status_code == 200  # the connection of the submits below
        with all_taken(server, 64):
            accepted = [submit(server).json()["request_id"] for _ in range(3)]  # small: they are kept in rows
            server.wait_for("no file descriptor is left")
            waiting = [server.status(request_id) for request_id in accepted * 50]
        results = [server.result(request_id) for request_id in accepted]

    assert "COMPLETED" not in waiting
    assert ["video" in result for result in results] == [True] * 3
