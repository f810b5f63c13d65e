from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest
from emulated import opened

from falmock.engine.clock import ManualClock
from falmock.media import find_ffmpeg, processes
from falmock.media.supervisor import KILLED, NOT_STARTED

if TYPE_CHECKING:
    from pathlib import Path

    from tests.falmock.media.conftest import Children, FakeFfmpeg, RunAsync

    from falmock.media.processes import Completed


SERVER = """
import asyncio, sys
from falmock.media import processes

async def main():
    await processes.run(sys.argv[1:], limit=1000, timeout=600, capture="stderr")

asyncio.run(main())
"""
WRAPPER = """#!{python}
import json, os, sys
with open({log!r}, "a") as sink:
    sink.write(json.dumps([name for name in os.environ if name.upper().startswith("FAL")]) + "\\n")
os.execv({ffmpeg!r}, [{ffmpeg!r}, *sys.argv[1:]])
"""


def shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


async def run(
    command: list[str], capture: str = "stdout", *, limit: int = 4096, timeout: float = 60
) -> Completed:
    return await processes.run(command, limit=limit, timeout=timeout, capture=capture)


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
def test_a_finished_program_has_the_exit_code_that_a_shell_reports(
    run_async: RunAsync, command: list[str], code: int
) -> None:
    assert run_async(code_of(command)) == code


def test_the_error_output_explains_why_a_program_could_not_be_started(run_async: RunAsync) -> None:
    assert b"No such file" in run_async(run(["/no/such/program"], "stderr")).output


@pytest.mark.parametrize("capture", ["stdout", "stderr"])
def test_only_one_stream_is_captured(run_async: RunAsync, capture: str) -> None:
    ended = run_async(run(shell("echo out; echo err >&2"), capture))
    assert ended.output == (b"out\n" if capture == "stdout" else b"err\n")


@pytest.mark.parametrize("size", [0, 4095, 4096])
def test_a_program_may_write_up_to_the_limit(run_async: RunAsync, size: int) -> None:
    assert len(run_async(run(shell(f"head -c {size} /dev/zero"))).output) == size


@pytest.mark.parametrize("script", ["head -c 4097 /dev/zero", "exec cat /dev/zero"])
def test_a_program_that_writes_more_than_the_limit_is_killed(
    run_async: RunAsync, children: Children, script: str
) -> None:
    with pytest.raises(processes.TooMuchOutput):
        run_async(run(shell(script)))
    assert children() == []


def test_a_program_that_takes_too_long_is_killed(run_async: RunAsync, children: Children) -> None:
    with pytest.raises(TimeoutError):
        run_async(run(shell("sleep 600; exit 0"), timeout=0.5))
    assert children() == []


@pytest.mark.parametrize("size", [0, 1, 1_000_000])
def test_a_program_gets_all_of_its_input(run_async: RunAsync, size: int) -> None:
    data = b"x" * size
    script = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"
    command = [sys.executable, "-c", script]
    ended = run_async(processes.communicate(command, data, limit=size, timeout=60))
    assert (ended.code, ended.output) == (0, data)


def test_a_program_may_end_without_reading_its_input(run_async: RunAsync) -> None:
    ended = run_async(
        processes.communicate(shell("exec 0<&-; exit 3"), b"x" * 1_000_000, limit=10, timeout=60)
    )
    assert ended.code == 3


def test_a_program_has_no_input_and_no_terminal(run_async: RunAsync) -> None:
    script = "import os, sys; sys.exit(bool(sys.stdin.read()) or os.getsid(0) == int(sys.argv[1]))"
    own = str(psutil.Process().pid)
    assert run_async(code_of([sys.executable, "-c", script, own])) == 0


def test_the_children_of_a_cancelled_program_are_killed(run_async: RunAsync, fake_ffmpeg: FakeFfmpeg) -> None:
    async def main() -> None:
        async with fake_ffmpeg:
            started = asyncio.create_task(
                code_of(
                    shell(f'"{fake_ffmpeg.program}" a.mp4 & read line <"{fake_ffmpeg.program}"; sleep 60')
                )
            )
            process = await fake_ffmpeg.processes.get()
            started.cancel()
            await process.wait()
            await asyncio.wait([started])

    run_async(main())


@pytest.mark.parametrize("wrapped", [False, True], ids=["directly", "by a wrapper script"])
def test_a_program_is_killed_when_the_server_is_killed(fake_ffmpeg: FakeFfmpeg, wrapped: bool) -> None:
    async def main() -> None:
        async with fake_ffmpeg:
            program = [str(fake_ffmpeg.program), "a.mp4"]
            command = shell(f'"{fake_ffmpeg.program}" a.mp4; exit $?') if wrapped else program
            server = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVER, *command)
            process = await fake_ffmpeg.processes.get()
            server.kill()
            await server.wait()
            await process.wait()

    asyncio.run(main())


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no such limit")
def test_the_memory_of_a_program_can_be_limited() -> None:
    limited = processes.run(shell("ulimit -v"), limit=100, timeout=60, capture="stdout", memory=2**30)
    assert asyncio.run(limited).output == b"1048576\n"


def test_a_supervisor_kills_its_program_when_its_input_is_closed(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-I",
        "-S",
        processes.SUPERVISOR,
        "0",
        "/bin/sh",
        "-c",
        "echo up; exec sleep 600",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdin is not None
        assert supervisor.stdout.readline() == b"up\n"
        (child,) = psutil.Process(supervisor.pid).children()
        supervisor.stdin.close()
        assert supervisor.wait() == KILLED
        assert not child.is_running()


@pytest.mark.parametrize("end", ["ends", "fails", "is killed", "floods", "is cancelled"])
def test_no_descriptors_or_processes_are_left_after_a_program(
    run_async: RunAsync, children: Children, end: str
) -> None:
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

    async def main() -> tuple[int, int]:
        await once(20)
        before = own.num_fds()
        for turns in range(20 if end == "is cancelled" else 4):
            await once(turns)
        return before, own.num_fds()

    own = psutil.Process()
    before, after = run_async(main())
    assert after <= before
    assert children() == []


def test_the_environment_of_a_program_has_no_settings_and_keys() -> None:
    variables = {"PATH": "/bin", "LANG": "C", "FALMOCK_KEYS": "a:b", "FAL_KEY": "a:b", "fal_key_secret": "b"}

    assert processes.environment(variables) == {"PATH": "/bin", "LANG": "C"}


async def test_ffmpeg_is_started_without_settings_and_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAL_KEY", "me:secret")
    monkeypatch.setenv("FALMOCK_KEYS", "me:secret")
    log, wrapper = tmp_path / "log", tmp_path / "wrapper"
    wrapper.write_text(WRAPPER.format(python=sys.executable, log=str(log), ffmpeg=find_ffmpeg()))
    wrapper.chmod(0o700)

    async with opened(tmp_path / "renders", ManualClock(), ffmpeg=str(wrapper)) as mock:
        assert (await mock.finish()).status_code == 200

    assert [json.loads(line) for line in log.read_text().splitlines()] == [[], []]
