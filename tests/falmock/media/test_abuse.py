"""Descriptors, processes, tasks and temporary files are released after abuse."""

from __future__ import annotations

import asyncio
import os
import stat
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from emulated import data_uri
from image_bombs import pixels, png, scans

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from emulated import Mock
    from tests.falmock.media.conftest import Children

    Start = Callable[..., Awaitable[Mock]]

LARGE = data_uri(png(2000, 1100, pixels(2000, 1100)))
SLOW = data_uri(scans(190), "image/jpeg")
SCRIPTS = {
    "hangs": 'echo >"$0.hangs"; exec sleep 600',
    "fails": "exit 1",
    "writes nothing": "exit 0",
    "floods its standard error": "exec cat /dev/zero >&2",
    "is killed": "kill -KILL $$",
}


def leftovers(children: Children, *folders: Path) -> tuple[int, int, int, list[str]]:
    """Return how many descriptors, processes and tasks there are, and the names of temporary files."""
    names = [path.name for folder in folders for path in folder.rglob("*")]
    files = [name for name in names if name.endswith((".partial", ".part"))]
    return psutil.Process().num_fds(), len(children()), len(asyncio.all_tasks()), files


async def settled(mock: Mock) -> None:
    """Wait until the emulator is idle."""
    await mock.emulator.timeline.settle()
    for _ in range(20):
        await asyncio.sleep(0)


async def cancelled(mock: Mock, image_url: str) -> None:
    """Submit requests and cancel them at different moments."""
    for turns in (0, 1, 20, 200):
        submitted = await mock.submit(image_url, prompt=f"{turns}")
        mock.emulator.clock.move_to(mock.clock.now() + 2)
        mock.emulator.timeline.tick()
        for _ in range(turns):
            await asyncio.sleep(0)
        await mock.cancel(submitted)
    await settled(mock)


@pytest.mark.parametrize("image_url", [LARGE, SLOW], ids=["a large image", "a slow image"])
async def test_cancelled_requests_leave_no_processes_or_files(
    start: Start, tmp_path: Path, renders: Path, children: Children, image_url: str
) -> None:
    mock = await start(media="animate", state=tmp_path / "state")
    await cancelled(mock, image_url)
    before = leftovers(children, tmp_path, renders)
    for _ in range(2):
        await cancelled(mock, image_url)
    assert leftovers(children, tmp_path, renders) == before
    assert before[1:] == (0, before[2], [])


async def test_a_burst_of_requests_leaves_no_processes_or_files(
    start: Start, tmp_path: Path, renders: Path, children: Children
) -> None:
    mock = await start(state=tmp_path / "state", runners=50, concurrency=50)
    await mock.finish(LARGE)
    await settled(mock)
    before = leftovers(children, tmp_path, renders)
    submitted = [await mock.submit(LARGE, prompt=f"{number}") for number in range(30)]
    await mock.pass_time(60)
    assert {(await mock.result(each)).status_code for each in submitted} == {200}
    await settled(mock)
    assert leftovers(children, tmp_path, renders) == before


@pytest.mark.parametrize("script", SCRIPTS)
async def test_a_misbehaving_ffmpeg_leaves_no_processes_or_files(
    start: Start, tmp_path: Path, renders: Path, children: Children, script: str
) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(f'#!/bin/sh\n[ "$1" = -version ] && exec echo ffmpeg version 0\n{SCRIPTS[script]}\n')
    program.chmod(stat.S_IRWXU)
    mock = await start(ffmpeg=str(program), state=tmp_path / "state", cancel="honoured")
    hanging = tmp_path / "ffmpeg.hangs"
    os.mkfifo(hanging)
    before: Any = None
    for number in range(3):
        submitted = await mock.submit(prompt=f"{number}")
        if script == "hangs":
            mock.emulator.clock.move_to(mock.clock.now() + 2)
            mock.emulator.timeline.tick()
            await asyncio.to_thread(hanging.read_text)
            await mock.cancel(submitted)
        else:
            await mock.pass_time(60)
            assert (await mock.result(submitted)).status_code == 500
        await settled(mock)
        before = before or leftovers(children, tmp_path, renders)
        assert leftovers(children, tmp_path, renders) == before
