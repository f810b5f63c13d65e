from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from emulated import APPLICATION, ENDPOINT, KEY

if TYPE_CHECKING:
    from emulated import Mock

UNKNOWN_ID = "01900000-0000-7000-8000-000000000000"


async def test_a_request_is_shown_with_all_its_fields(mock: Mock, ask: Any) -> None:
    submitted = await mock.submit(query="?fal_webhook=http://localhost:3000/hook?token=hush")

    assert (await ask("GET", f"/requests/{submitted['request_id'].upper()}")).json() == {
        "id": submitted["request_id"],
        "endpoint": ENDPOINT,
        "caller": "me",
        "test": None,
        "state": "IN_QUEUE",
        "held": False,
        "position": 0,
        "submitted_at": mock.clock.now(),
        "started_at": None,
        "completed_at": None,
        "attempts": 0,
        "status": None,
        "error_type": None,
        "webhook": "http://localhost:3000/hook",
        "faults": [],
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["a", "b", "c"]),
        ({"state": "COMPLETED"}, ["a"]),
        ({"caller": "you"}, ["b"]),
        ({"test": "checkout"}, ["c"]),
        ({"endpoint": f"{APPLICATION}/*"}, ["a", "b", "c"]),
        ({"endpoint": "fal-ai/flux/*"}, []),
        ({"limit": 1}, ["c"]),
    ],
)
async def test_requests_are_listed_by_filter(mock: Mock, ask: Any, query: Any, expected: list[str]) -> None:
    names = {}
    for name, headers in (
        ("a", {}),
        ("b", {"Authorization": "Key you:s"}),
        ("c", {"x-falmock-test": "checkout"}),
    ):
        names[(await mock.submit(headers=headers))["request_id"]] = name
    await mock.http.put(f"/{APPLICATION}/requests/{next(iter(names))}/cancel", headers=KEY)

    listed = (await ask("GET", "/requests", **query)).json()["requests"]

    assert [names[request["id"]] for request in listed] == expected


async def test_a_request_can_be_held_and_released(mock: Mock, ask: Any) -> None:
    submitted = await mock.submit()
    path = f"/requests/{submitted['request_id']}"

    held = [(await ask("POST", f"{path}/{act}")).json()["held"] for act in ("hold", "release")]

    assert held == [True, False]


async def test_finish_answers_when_the_request_is_completed(mock: Mock, ask: Any) -> None:
    submitted = await mock.submit()

    request = (await ask("POST", f"/requests/{submitted['request_id']}/finish")).json()

    assert (request["state"], request["status"], request["completed_at"]) == (
        "COMPLETED",
        200,
        mock.clock.now(),
    )


async def test_fail_ends_a_request_with_the_given_fault(mock: Mock, ask: Any) -> None:
    submitted = await mock.submit()

    answer = await ask("POST", f"/requests/{submitted['request_id']}/fail", fault="generation_timeout")

    assert (answer.json()["state"], answer.json()["status"]) == ("COMPLETED", 504)


@pytest.mark.parametrize("fault", ["nonsense", "bad_gateway", "requeued times=many"])
async def test_fail_with_a_fault_that_does_not_end_a_request_is_a_422_of_one_line(
    mock: Mock, ask: Any, fault: str
) -> None:
    submitted = await mock.submit()

    answer = await ask("POST", f"/requests/{submitted['request_id']}/fail", fault=fault)

    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)


async def test_wait_answers_when_the_state_is_reached(mock: Mock, ask: Any) -> None:
    submitted = await mock.submit()
    waiting = asyncio.create_task(ask("GET", f"/requests/{submitted['request_id']}/wait"))
    await asyncio.sleep(0)

    await mock.pass_time(60)

    answer = await waiting
    assert (answer.status_code, answer.json()["state"]) == (200, "COMPLETED")


async def test_wait_is_a_408_when_the_state_is_not_reached_in_time(mock: Mock, ask: Any) -> None:
    submitted = await mock.submit()

    answer = await ask("GET", f"/requests/{submitted['request_id']}/wait", state="IN_PROGRESS", within=0.001)

    detail = f"{submitted['request_id']} is not IN_PROGRESS after 0.001 s"
    assert (answer.status_code, answer.json()) == (408, {"detail": detail})


async def test_wait_is_a_503_when_the_server_stops(mock: Mock, ask: Any) -> None:
    submitted = await mock.submit()
    waiting = asyncio.create_task(ask("GET", f"/requests/{submitted['request_id']}/wait"))
    await asyncio.sleep(0)

    mock.emulator.shutdown()

    assert (await waiting).status_code == 503


ACTS = ["GET ", "GET /wait", "POST /hold", "POST /release", "POST /finish", "POST /fail"]


@pytest.mark.parametrize("act", ACTS)
async def test_operations_on_an_unknown_request_are_a_404(ask: Any, act: str) -> None:
    method, path = act.split(" ")

    answer = await ask(
        method, f"/requests/{UNKNOWN_ID}{path}", **({"fault": "slow"} if path == "/fail" else {})
    )

    assert (answer.status_code, answer.json()) == (404, {"detail": f"there is no request {UNKNOWN_ID}"})


@pytest.mark.parametrize("act", ACTS[2:])
async def test_operations_on_a_completed_request_are_a_409(mock: Mock, ask: Any, act: str) -> None:
    submitted = await mock.submit()
    await mock.cancel(submitted)
    _, path = act.split(" ")

    answer = await ask(
        "POST",
        f"/requests/{submitted['request_id']}{path}",
        **({"fault": "slow"} if path == "/fail" else {}),
    )

    assert (answer.status_code, "is completed" in answer.json()["detail"]) == (409, True)
