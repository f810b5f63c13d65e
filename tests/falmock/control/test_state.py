from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from emulated import Mock


@pytest.mark.parametrize(("asked", "left"), [({}, 0), ({"test": "a"}, 2), ({"key": "you"}, 2)])
async def test_requests_are_forgotten(mock: Mock, ask: Any, asked: dict[str, str], left: int) -> None:
    for headers in ({}, {"x-falmock-test": "a"}, {"Authorization": "Key you:s"}):
        await mock.submit(headers=headers)

    told = (await ask("POST", "/reset", **asked)).json()

    assert (told, len(mock.emulator.store.requests())) == ({"requests": 3 - left}, left)


async def test_a_reset_needs_no_body(mock: Mock) -> None:
    assert (await mock.http.post("/control/reset")).json() == {"requests": 0}


async def test_a_snapshot_is_taken_listed_restored_and_dropped(mock: Mock, ask: Any) -> None:
    submitted = await mock.submit()
    taken = {"name": "one", "taken_at": mock.clock.now(), "requests": 1}

    assert (await ask("POST", "/snapshots", name="one")).json() == taken
    assert (await ask("GET", "/snapshots")).json() == {"snapshots": [taken]}
    await ask("POST", "/reset")
    assert (await ask("POST", "/snapshots/one/restore")).json() == taken
    assert (await mock.status(submitted)).status_code == 202
    assert (await ask("DELETE", "/snapshots/one")).status_code == 204
    assert (await ask("GET", "/snapshots")).json() == {"snapshots": []}


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/snapshots/one/restore"), ("DELETE", "/snapshots/one")]
)
async def test_a_snapshot_that_there_is_not_is_a_404(ask: Any, method: str, path: str) -> None:
    answer = await ask(method, path)

    assert (answer.status_code, answer.json()) == (404, {"detail": "there is no snapshot 'one'"})


@pytest.mark.parametrize("name", ["", "..", "a/b", "x" * 65])
async def test_a_name_that_cannot_stand_in_a_path_is_refused(ask: Any, name: str) -> None:
    assert (await ask("POST", "/snapshots", name=name)).status_code == 422
