from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from emulated import Mock


@pytest.mark.parametrize(("body", "left"), [({}, 0), ({"test": "a"}, 2), ({"key": "you"}, 2)])
async def test_a_reset_removes_all_requests_or_those_of_a_test_or_key(
    mock: Mock, ask: Any, body: dict[str, str], left: int
) -> None:
    for headers in ({}, {"x-falmock-test": "a"}, {"Authorization": "Key you:s"}):
        await mock.submit(headers=headers)

    answer = (await ask("POST", "/reset", **body)).json()

    assert (answer, len(mock.emulator.store.requests())) == ({"requests": 3 - left}, left)


async def test_a_reset_needs_no_body(mock: Mock) -> None:
    assert (await mock.http.post("/control/reset")).json() == {"requests": 0}


async def test_a_snapshot_can_be_taken_listed_restored_and_deleted(mock: Mock, ask: Any) -> None:
    submitted = await mock.submit()
    taken = {"name": "one", "taken_at": mock.clock.now(), "requests": 1}

    assert (await ask("POST", "/snapshots", name="one")).json() == taken
    assert (await ask("GET", "/snapshots")).json() == {"snapshots": [taken]}
    await ask("POST", "/reset")
    assert (await ask("POST", "/snapshots/one/restore")).json() == taken
    assert (await mock.status(submitted)).status_code == 202
    assert (await ask("DELETE", "/snapshots/one")).status_code == 204
    assert (await ask("GET", "/snapshots")).json() == {"snapshots": []}


async def test_accounts_can_be_locked_and_unlocked(mock: Mock, ask: Any) -> None:
    submitted = await mock.submit()

    one = await ask("POST", "/lock", key="me")
    await mock.pass_time(60)
    assert (await mock.status(submitted)).json()["status"] == "IN_QUEUE"
    every = await ask("POST", "/lock")
    others = await ask("POST", "/unlock", key="me")
    await mock.pass_time(60)
    assert (await mock.status(submitted)).json()["status"] == "COMPLETED"

    assert one.json() == {"everyone": False, "exceptions": ["me"]}
    assert every.json() == {"everyone": True, "exceptions": []}
    assert others.json() == (await ask("GET", "/locks")).json() == {"everyone": True, "exceptions": ["me"]}
    assert (await ask("POST", "/unlock")).json() == {"everyone": False, "exceptions": []}


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/snapshots/one/restore"), ("DELETE", "/snapshots/one")]
)
async def test_an_unknown_snapshot_is_a_404(ask: Any, method: str, path: str) -> None:
    answer = await ask(method, path)

    assert (answer.status_code, answer.json()) == (404, {"detail": "there is no snapshot 'one'"})


@pytest.mark.parametrize("name", ["", "..", "a/b", "x" * 65])
async def test_a_snapshot_name_that_does_not_fit_a_path_is_a_422(ask: Any, name: str) -> None:
    assert (await ask("POST", "/snapshots", name=name)).status_code == 422
