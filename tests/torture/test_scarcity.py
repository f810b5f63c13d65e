"""Few descriptors, a failing or hanging ffmpeg, receivers that never answer, and jumps of the clock."""

from __future__ import annotations

import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from processes import PATIENCE, Receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torture import Scale

YEAR = 365 * 86_400


def program(path: Path, body: str) -> str:
    """Write a shell script that replaces ffmpeg."""
    path.write_text(f'#!/bin/sh\nif [ "$1" = -version ]; then echo ffmpeg version 7; exit 0; fi\n{body}\n')
    path.chmod(0o755)
    return str(path)


def test_accepted_requests_complete_with_few_descriptors(serve: Callable[..., Any], scale: Scale) -> None:
    with serve(before="ulimit -n 64") as server:
        with ThreadPoolExecutor(20) as pool:
            accepted = list(pool.map(lambda n: server.submit(prompt=f"clip {n}"), range(scale.requests)))
        results = [server.result(each["request_id"]) for each in accepted]

    assert [result for result in results if "video" not in result] == []


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("exit 1", id="fails"),
        pytest.param("exit 0", id="writes-nothing"),
        pytest.param(
            'for word; do case $word in -*) ;; *) out=$word ;; esac; done; echo noise > "$out"',
            id="writes-noise",
        ),
        pytest.param("kill -9 $$", id="is-killed"),
    ],
)
def test_a_request_ends_with_an_error_of_the_model_when_ffmpeg_is_broken(
    serve: Callable[..., Any], tmp_path: Path, body: str
) -> None:
    with serve("--ffmpeg", program(tmp_path / "ffmpeg", body)) as server:
        results = [server.result(server.submit()["request_id"]) for _ in range(3)]

    assert [result["detail"][0]["type"] for result in results] == ["internal_server_error"] * 3


def test_a_hanging_ffmpeg_is_gone_after_the_server_is_killed(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    started = tmp_path / "started"
    hang = program(tmp_path / "ffmpeg", f"mkfifo {started}.fifo; echo $$ > {started}; cat {started}.fifo")
    with serve("--ffmpeg", hang, "--renders", "1") as server:
        server.submit()
        process = psutil.Process(server.process.pid)
        while not (children := process.children(recursive=True)) or not started.exists():
            assert server.http.get("/health").status_code == 200
        server.stop(signal.SIGKILL)
    _, alive = psutil.wait_procs(children, timeout=PATIENCE)

    assert alive == []


@contextmanager
def silent_receivers(count: int) -> Iterator[list[str]]:
    """Listen on ports and never answer."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        yield [f"http://127.0.0.1:{each.getsockname()[1]}/hook" for each in listeners]


def test_receivers_that_never_answer_do_not_hold_up_a_healthy_one(
    serve: Callable[..., Any], scale: Scale
) -> None:
    with Receiver() as healthy, silent_receivers(3) as silent, serve() as server:
        for number in range(scale.requests):
            server.submit(f"?fal_webhook={silent[number % len(silent)]}")
        wanted = {server.submit(f"?fal_webhook={healthy.url}")["request_id"] for _ in range(10)}

        assert {healthy.next()["request_id"] for _ in wanted} == wanted


def test_requests_complete_when_the_clock_jumps(serve: Callable[..., Any], scale: Scale) -> None:
    with serve("--run-seconds", "30-60") as server:
        accepted = []
        for _ in range(scale.requests // 10):
            accepted.append(server.submit()["request_id"])
            for seconds in (0.001, 3600, YEAR):
                answer = server.http.post("/control/clock", json={"advance": seconds})
                assert answer.status_code == 200, answer.text
        assert server.http.post("/control/clock", json={"advance": 600}).status_code == 200
        newest = server.submit()["request_id"]
        server.http.post("/control/clock", json={"advance": 60})

        assert server.wait_until_completed(newest)["status"] == "COMPLETED"
        assert server.http.get("/health").json()["status"] == "ok"
