from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

import fal_client
import httpx
import pytest
from emulated import ENDPOINT, GOOD, KEY

from falmock.settings import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from falmock.testing.harness import Harness

HOUR = pytest.mark.falmock(run_seconds=Span(3600, 3600))
SUBMIT = f"https://queue.fal.run/{ENDPOINT}"
STUCK = pytest.mark.filterwarnings("ignore::falmock.testing.plugin.FalmockLeftover")


@pytest.fixture
def http(falmock: Harness) -> Iterator[httpx.Client]:
    with httpx.Client(headers=KEY) as http:
        yield http


def submit(http: httpx.Client) -> Any:
    return http.post(SUBMIT, json=GOOD).json()


def poll(http: httpx.Client, submitted: Any) -> str:
    return str(http.get(submitted["status_url"]).json()["status"])


def test_each_poll_returns_the_next_state(http: httpx.Client) -> None:
    submitted = submit(http)

    assert [poll(http, submitted) for _ in range(3)] == ["IN_PROGRESS", "COMPLETED", "COMPLETED"]


def test_a_first_poll_returns_a_queue_position(falmock: Harness, http: httpx.Client) -> None:
    falmock.fail_next("deep_queue position=500 seconds=60")
    submitted = submit(http)

    status = http.get(submitted["status_url"]).json()
    assert (status["status"], status["queue_position"]) == ("IN_QUEUE", 500)
    assert [poll(http, submitted) for _ in range(2)] == ["IN_PROGRESS", "COMPLETED"]


def test_polls_return_a_requeued_request_to_the_queue(falmock: Harness, http: httpx.Client) -> None:
    falmock.fail_next("requeued times=1")
    submitted = submit(http)

    states = [poll(http, submitted) for _ in range(4)]
    assert states == ["IN_PROGRESS", "IN_QUEUE", "IN_PROGRESS", "COMPLETED"]


def test_polls_of_the_result_move_the_clock_too(http: httpx.Client) -> None:
    submitted = submit(http)

    assert [http.get(submitted["response_url"]).status_code for _ in range(2)] == [400, 200]


def test_a_poll_of_a_completed_request_does_not_move_the_clock(falmock: Harness, http: httpx.Client) -> None:
    done, other = submit(http), submit(http)
    falmock.wait(done["request_id"])
    falmock.wait(other["request_id"])
    submit(http)
    now = falmock.now
    poll(http, done)

    assert falmock.now == now
    falmock.advance(200)


@STUCK
@pytest.mark.parametrize("fault", ["stuck_in_queue", "stuck_running"])
def test_a_poll_of_a_stuck_request_returns_at_once(falmock: Harness, http: httpx.Client, fault: str) -> None:
    falmock.fail_next(fault)
    submitted = submit(http)
    state = "IN_QUEUE" if fault == "stuck_in_queue" else "IN_PROGRESS"

    assert [poll(http, submitted) for _ in range(2)] == [state] * 2


@STUCK
def test_polls_of_a_stuck_request_do_not_expire_other_results(falmock: Harness, http: httpx.Client) -> None:
    done = submit(http)
    falmock.wait(done["request_id"])
    falmock.fail_next("stuck_running")
    stuck = submit(http)
    for _ in range(3):
        poll(http, stuck)

    assert http.get(done["response_url"]).status_code == 200


def test_a_poll_for_an_unknown_request_is_a_404(http: httpx.Client) -> None:
    unknown = "https://queue.fal.run/fal-ai/veo2/requests/00000000-0000-0000-0000-000000000000/status"

    assert http.get(unknown).status_code == 404


@STUCK
def test_polls_do_not_move_the_clock_when_it_is_switched_off(falmock: Harness, http: httpx.Client) -> None:
    falmock.polls_pass_time = False
    submitted = submit(http)

    assert [poll(http, submitted) for _ in range(3)] == ["IN_QUEUE"] * 3


@HOUR
def test_a_stream_has_an_event_for_every_state(http: httpx.Client) -> None:
    submitted = submit(http)
    events = http.get(f"{submitted['status_url']}/stream").text.split("\n\n")

    states = [json.loads(event[6:])["status"] for event in events if event.startswith("data: ")]
    assert states == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]


@HOUR
def test_the_run_host_answers_an_hour_long_run_at_once(falmock: Harness, http: httpx.Client) -> None:
    began = falmock.now

    assert "video" in http.post(f"https://fal.run/{ENDPOINT}", json=GOOD).json()
    assert falmock.now - began == pytest.approx(3600)


async def test_a_call_to_the_run_host_behind_a_deep_queue_is_answered_at_once(falmock: Harness) -> None:
    falmock.fail_next("deep_queue position=5 seconds=600")

    result = await asyncio.wait_for(fal_client.run_async(ENDPOINT, GOOD), 60)
    assert "video" in result


def test_the_run_host_still_refuses_an_invalid_key(http: httpx.Client) -> None:
    assert (
        http.post(f"https://fal.run/{ENDPOINT}", json=GOOD, headers={"Authorization": "x"}).status_code == 401
    )


@STUCK
async def test_a_run_is_cancelled_when_its_caller_disconnects(falmock: Harness) -> None:
    falmock.fail_next("stuck_running")

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(fal_client.run_async(ENDPOINT, GOOD), 0.2)
    falmock.advance(1)
    assert [request.status_code for request in falmock.requests] == [499]


def test_callers_in_several_threads_all_get_their_results(falmock: Harness) -> None:
    results: list[Any] = []
    threads = [
        threading.Thread(target=lambda: results.append(fal_client.subscribe(ENDPOINT, GOOD)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(results) == 4


@STUCK
async def test_a_stream_of_a_stuck_request_stays_open(falmock: Harness) -> None:
    falmock.fail_next("stuck_running")

    async with httpx.AsyncClient(headers=KEY) as http:
        submitted = (await http.post(SUBMIT, json=GOOD)).json()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(http.get(f"{submitted['status_url']}/stream"), 0.2)


def test_a_call_to_an_unknown_host_is_still_refused(falmock_server: Harness) -> None:
    answer = httpx.get(f"{falmock_server.address}/x", headers={"Host": "elsewhere.example"})

    assert answer.status_code == 421
