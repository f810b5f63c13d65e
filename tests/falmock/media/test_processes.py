from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import uvloop

from falmock.media import processes
from falmock.media.supervisor import KILLED, NOT_STARTED

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from tests.falmock.media.conftest import Stage

    from falmock.media.processes import Ended

    Play = Callable[[Coroutine[Any, Any, Any]], Any]

SERVER = """
import asyncio, sys
from falmock.media import processes

async def main():
    await processes.run(sys.argv[1:], limit=1000, timeout=600, keep="stderr")

asyncio.run(main())
"""


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def play(request: pytest.FixtureRequest) -> Iterator[Play]:
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner.run


def shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


async def run(command: list[str], keep: str = "stdout", *, limit: int = 4096, timeout: float = 60) -> Ended:
    return await processes.run(command, limit=limit, timeout=timeout, keep=keep)


async def code_of(command: list[str]) -> int:
    return (await run(command)).code


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (shell("exit 0"), 0),
        (shell("exit 3"), 3),
        (shell("kill -TERM $$"), 128 + signal.SIGTERM),
        (["/no/such/program"], NOT_STARTED),
        (["/"], NOT_STARTED),
    ],
)
def test_the_exit_code_is_the_one_a_shell_would_have(play: Play, command: list[str], code: int) -> None:
    assert play(code_of(command)) == code


def test_a_program_that_cannot_be_started_says_why(play: Play) -> None:
    assert b"No such file" in play(run(["/no/such/program"], "stderr")).stderr


@pytest.mark.parametrize("keep", ["stdout", "stderr"])
def test_one_stream_is_kept(play: Play, keep: str) -> None:
    ended = play(run(shell("echo out; echo err >&2"), keep))
    assert (ended.stdout, ended.stderr) == ((b"out\n", b"") if keep == "stdout" else (b"", b"err\n"))


@pytest.mark.parametrize("size", [0, 4095, 4096])
def test_a_program_may_write_as_much_as_the_limit(play: Play, size: int) -> None:
    assert len(play(run(shell(f"head -c {size} /dev/zero"))).stdout) == size


@pytest.mark.parametrize("script", ["head -c 4097 /dev/zero", "exec cat /dev/zero"])
def test_a_program_that_writes_more_than_the_limit_is_ended(play: Play, script: str) -> None:
    with pytest.raises(processes.TooMuch):
        play(run(shell(script)))
    assert psutil.Process().children(recursive=True) == []


def test_a_program_that_takes_too_long_is_ended(play: Play) -> None:
    with pytest.raises(TimeoutError):
        play(run(shell("sleep 600; exit 0"), timeout=0.5))
    assert psutil.Process().children(recursive=True) == []


@pytest.mark.parametrize("size", [0, 1, 1_000_000])
def test_a_program_of_falmocks_own_gets_all_of_its_input(play: Play, size: int) -> None:
    data = b"x" * size
    script = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"
    command = [sys.executable, "-c", script]
    ended = play(processes.exchange(command, data, limit=size, timeout=60))
    assert (ended.code, ended.stdout) == (0, data)


def test_a_program_that_reads_no_input_ends_as_it_does(play: Play) -> None:
    ended = play(processes.exchange(shell("exec 0<&-; exit 3"), b"x" * 1_000_000, limit=10, timeout=60))
    assert ended.code == 3


def test_a_program_has_no_input_and_no_terminal(play: Play) -> None:
    script = "import os, sys; sys.exit(bool(sys.stdin.read()) or os.getsid(0) == int(sys.argv[1]))"
    own = str(psutil.Process().pid)
    assert play(code_of([sys.executable, "-c", script, own])) == 0


def test_what_a_program_leaves_behind_ends_with_it(play: Play, stage: Stage) -> None:
    async def scene() -> None:
        async with stage:
            started = asyncio.create_task(
                code_of(shell(f'"{stage.program}" a.mp4 & read line <"{stage.program}"; sleep 60'))
            )
            puppet = await stage.arrivals.get()
            started.cancel()
            await puppet.death()
            await asyncio.wait([started])

    play(scene())


@pytest.mark.parametrize("wrapped", [False, True], ids=["directly", "by a wrapper script"])
def test_a_program_does_not_outlive_a_server_that_is_killed(stage: Stage, wrapped: bool) -> None:
    async def scene() -> None:
        async with stage:
            program = [str(stage.program), "a.mp4"]
            command = shell(f'"{stage.program}" a.mp4; exit $?') if wrapped else program
            server = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVER, *command)
            puppet = await stage.arrivals.get()
            server.kill()
            await server.wait()
            await puppet.death()

    asyncio.run(scene())


def test_a_supervisor_that_is_told_to_end_kills_its_program(tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", processes.SUPERVISOR, "/bin/sh", "-c", "echo up; exec sleep 600"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdin is not None
        assert supervisor.stdout.readline() == b"up\n"
        (child,) = psutil.Process(supervisor.pid).children()
        supervisor.stdin.close()
        assert supervisor.wait() == KILLED
        assert not child.is_running()


@pytest.mark.parametrize("end", ["ends", "fails", "is killed", "floods", "is cancelled"])
def test_descriptors_and_processes_come_back(play: Play, end: str) -> None:
    scripts = {
        "ends": "exit 0",
        "fails": "exit 1",
        "is killed": "kill -KILL $$",
        "floods": "exec cat /dev/zero",
        "is cancelled": "exec sleep 600",
    }

    async def once(turns: int) -> None:
        running = asyncio.create_task(run(shell(scripts[end])))
        if end == "is cancelled":
            for _ in range(turns):  # while it starts, and later
                await asyncio.sleep(0)
            running.cancel()
        await asyncio.wait([running])

    async def scene() -> tuple[int, int]:
        await once(20)
        before = own.num_fds()
        for turns in range(20 if end == "is cancelled" else 4):
            await once(turns)
        return before, own.num_fds()

    own = psutil.Process()
    before, after = play(scene())
    assert after <= before
    assert own.children(recursive=True) == []
