"""Few descriptors, a failing or hanging ffmpeg, receivers that never answer, and jumps of the clock."""

from __future__ import annotations

import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from few_descriptors import all_taken
from processes import PATIENCE, Receiver

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from processes import Served
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
            submitted = pool.map(lambda n: server.submit(duration=f"{5 + n % 3}s"), range(scale.requests))
            accepted = [each["request_id"] for each in submitted]
        with all_taken(server, 64):
            late = [server.submit(duration="8s")["request_id"] for _ in range(5)]  # no clip is cached yet
            server.wait_for("no file descriptor is left")
            waiting = [server.status(request_id) for request_id in late * 50]
        results = [server.result(request_id) for request_id in accepted + late]

    assert "COMPLETED" not in waiting
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


def test_receivers_that_never_answer_do_not_hold_up_a_healthy_one(serve: Callable[..., Any]) -> None:
    with (
        Receiver() as healthy,
        socket.create_server(("127.0.0.1", 0), backlog=1000) as silent,
        serve(
            "--time-scale", "0", "--runners", "50", "--concurrency", "50", before="ulimit -n 128"
        ) as server,
    ):
        silent_url = f"http://127.0.0.1:{silent.getsockname()[1]}/hook"
        waiting = {server.submit(f"?fal_webhook={silent_url}")["request_id"] for _ in range(200)}
        wanted = {server.submit(f"?fal_webhook={healthy.url}")["request_id"] for _ in range(10)}
        assert server.http.post("/control/clock", json={"scale": 100}).status_code == 200
        arrived = {healthy.next()["request_id"] for _ in wanted}
        webhooks = server.http.get("/control/webhooks", params={"limit": 1000}).json()["webhooks"]

    assert arrived == wanted
    assert {each["attempts"] for each in webhooks if each["request_id"] in waiting} == {0}
    assert waiting < {each["request_id"] for each in webhooks}


def test_requests_complete_and_are_forgotten_when_the_clock_jumps(
    serve: Callable[..., Any], scale: Scale
) -> None:
    results, after_a_year = [], set()
    with serve("--run-seconds", "30-60", "--retention", "7200") as server:
        for _ in range(scale.requests // 10):
            request_id = server.submit()["request_id"]
            advance(server, 0.001)
            assert server.status(request_id) == "IN_PROGRESS"
            advance(server, 3600)
            results.append(server.result(request_id))
            advance(server, YEAR)
            after_a_year.add(server.http.get(f"/fal-ai/veo2/requests/{request_id}/status").status_code)

        assert server.http.get("/health").json()["status"] == "ok"

    assert [result for result in results if "video" not in result] == []
    assert after_a_year == {404}


def advance(server: Served, seconds: float) -> None:
    answer = server.http.post("/control/clock", json={"advance": seconds})
    assert answer.status_code == 200, answer.text
