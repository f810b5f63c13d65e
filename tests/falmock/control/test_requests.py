from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from emulated import APPLICATION, ENDPOINT, KEY

if TYPE_CHECKING:
    from emulated import Mock

NOBODY = "01900000-0000-7000-8000-000000000000"


async def test_a_request_is_told(mock: Mock, ask: Any) -> None:
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
    ("asked", "expected"),
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
async def test_requests_are_listed(mock: Mock, ask: Any, asked: Any, expected: list[str]) -> None:
    names = {}
    for name, headers in (
        ("a", {}),
        ("b", {"Authorization": "Key you:s"}),
        ("c", {"x-falmock-test": "checkout"}),
    ):
        names[(await mock.submit(headers=headers))["request_id"]] = name
    await mock.http.put(f"/{APPLICATION}/requests/{next(iter(names))}/cancel", headers=KEY)

    told = (await ask("GET", "/requests", **asked)).json()["requests"]

    assert [names[each["id"]] for each in told] == expected


async def test_a_request_is_held_and_released(mock: Mock, ask: Any) -> None:
    submitted = await mock.submit()
    path = f"/requests/{submitted['request_id']}"

    held = [(await ask("POST", f"{path}/{act}")).json()["held"] for act in ("hold", "release")]

    assert held == [True, False]


async def test_who_has_a_request_finished_is_answered_when_it_is(mock: Mock, ask: Any) -> None:
    submitted = await mock.submit()

    told = (await ask("POST", f"/requests/{submitted['request_id']}/finish")).json()

    assert (told["state"], told["status"], told["completed_at"]) == ("COMPLETED", 200, mock.clock.now())


async def test_a_request_is_failed_with_a_fault(mock: Mock, ask: Any) -> None:
    submitted = await mock.submit()

    told = await ask("POST", f"/requests/{submitted['request_id']}/fail", fault="generation_timeout")

    assert (told.json()["state"], told.json()["status"]) == ("COMPLETED", 504)


@pytest.mark.parametrize("fault", ["nonsense", "bad_gateway", "requeued times=many"])
async def test_what_a_request_cannot_end_with_is_refused_in_one_line(
    mock: Mock, ask: Any, fault: str
) -> None:
    submitted = await mock.submit()

    answer = await ask("POST", f"/requests/{submitted['request_id']}/fail", fault=fault)

    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)


async def test_who_waits_is_answered_when_the_state_is_reached(mock: Mock, ask: Any) -> None:
    submitted = await mock.submit()
    waiting = asyncio.create_task(ask("GET", f"/requests/{submitted['request_id']}/wait"))
    await asyncio.sleep(0)

    await mock.pass_time(60)

    answer = await waiting
    assert (answer.status_code, answer.json()["state"]) == (200, "COMPLETED")


async def test_who_waits_in_vain_is_told_so(mock: Mock, ask: Any) -> None:
    submitted = await mock.submit()

    answer = await ask("GET", f"/requests/{submitted['request_id']}/wait", state="IN_PROGRESS", within=0.001)

    detail = f"{submitted['request_id']} is not IN_PROGRESS after 0.001 s"
    assert (answer.status_code, answer.json()) == (408, {"detail": detail})


async def test_who_waits_when_the_server_stops_is_sent_home(mock: Mock, ask: Any) -> None:
    submitted = await mock.submit()
    waiting = asyncio.create_task(ask("GET", f"/requests/{submitted['request_id']}/wait"))
    await asyncio.sleep(0)

    mock.emulator.shutdown()

    assert (await waiting).status_code == 503


ACTS = ["GET ", "GET /wait", "POST /hold", "POST /release", "POST /finish", "POST /fail"]


@pytest.mark.parametrize("act", ACTS)
async def test_a_request_that_there_is_not_is_a_404(ask: Any, act: str) -> None:
    method, path = act.split(" ")

    answer = await ask(method, f"/requests/{NOBODY}{path}", **({"fault": "slow"} if path == "/fail" else {}))

    assert (answer.status_code, answer.json()) == (404, {"detail": f"there is no request {NOBODY}"})


@pytest.mark.parametrize("act", ACTS[2:])
async def test_what_comes_too_late_is_a_409(mock: Mock, ask: Any, act: str) -> None:
    submitted = await mock.submit()
    await mock.cancel(submitted)
    _, path = act.split(" ")

    answer = await ask(
        "POST",
        f"/requests/{submitted['request_id']}{path}",
        **({"fault": "slow"} if path == "/fail" else {}),
    )

    assert (answer.status_code, "is completed" in answer.json()["detail"]) == (409, True)
