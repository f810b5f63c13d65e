from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from emulated import KEY, opened
from processes import served
from programs import falmock, one_line
from storage import failing

from falmock.engine.clock import LAST, Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from emulated import Mock


async def test_the_clock_returns_its_time_and_the_next_event(mock: Mock, ask: Any) -> None:
    await mock.submit()
    now = mock.clock.now()

    assert (await ask("GET", "/clock")).json() == {
        "now": now,
        "iso": "2026-09-21T14:13:20.000+00:00",
        "wall": now,
        "scale": 0.0,
        "next": now + 1,
    }


async def test_the_next_event_is_null_when_nothing_is_due(ask: Any) -> None:
    assert (await ask("GET", "/clock")).json()["next"] is None


async def test_advancing_the_clock_applies_all_events_in_between(mock: Mock, ask: Any) -> None:
    submitted = await mock.submit()
    before = mock.clock.now()

    clock = (await ask("POST", "/clock", advance=60)).json()

    assert clock["now"] == before + 60
    assert (await mock.result(submitted)).status_code == 200


async def test_the_clock_advances_to_a_given_time(mock: Mock, ask: Any) -> None:
    then = mock.clock.now() + 60

    assert (await ask("POST", "/clock", to=then)).json()["now"] == then


async def test_advancing_to_a_time_in_the_past_is_a_409(mock: Mock, ask: Any) -> None:
    answer = await ask("POST", "/clock", to=mock.clock.now() - 1)

    assert (answer.status_code, "backwards" in answer.json()["detail"]) == (409, True)


async def test_advancing_past_the_year_2999_is_a_409(ask: Any) -> None:
    answer = await ask("POST", "/clock", advance=32_000_000_000)

    assert answer.status_code == 409


async def test_a_submit_in_the_last_day_of_emulated_time_is_refused(mock: Mock, ask: Any) -> None:
    await ask("POST", "/clock", to=LAST - 24 * 3600)
    await mock.submit()
    await ask("POST", "/clock", advance=1)

    answer = await mock.http.post("/fal-ai/veo2/image-to-video", json={"prompt": "x"}, headers=KEY)

    assert (answer.status_code, answer.json()["error_type"]) == (503, "time_ended")
    assert "with another --state, or --ephemeral" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [{}, {"scale": 1, "advance": 1}, {"scale": -1}, {"advance": -1}, {"advance": 1, "within": 61}],
)
async def test_an_invalid_clock_change_is_a_422(ask: Any, body: dict[str, float]) -> None:
    assert (await ask("POST", "/clock", **body)).status_code == 422


async def test_the_scale_of_the_clock_can_be_changed(renders: Path) -> None:
    clock = Clock()
    async with opened(renders, clock) as mock:
        answer = await mock.http.post("/control/clock", json={"scale": 0})

    assert (answer.json()["scale"], clock.scale) == (0, 0)


async def test_advancing_the_clock_is_a_408_when_it_takes_too_long(
    mock: Mock, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await mock.submit()

    answer = await ask("POST", "/clock", advance=60, within=1e-6)

    assert answer.status_code == 408
    assert answer.json() == {"detail": "the clock has not reached that time after 1e-06 s"}


START = 1_790_000_000.0


@pytest.fixture
async def moved(renders: Path) -> AsyncIterator[Mock]:
    """An emulator with a stopped clock, which can be ahead of real time."""
    async with opened(renders, Clock(0.0, wall=lambda: START)) as mock:
        yield mock


async def test_a_reset_clock_shows_real_time_and_keeps_its_scale(moved: Mock) -> None:
    await moved.pass_time(86_400)

    answer = (await moved.http.post("/control/clock/reset")).json()

    assert (answer["now"], answer["wall"], answer["scale"]) == (START, START, 0.0)


async def test_a_running_request_keeps_its_time_when_the_clock_is_reset(moved: Mock) -> None:
    await moved.pass_time(86_400)
    submitted = await moved.submit()
    await moved.pass_time(2)

    await moved.http.post("/control/clock/reset")

    await moved.pass_time(2.5)
    assert (await moved.status(submitted)).json()["status"] == "IN_PROGRESS"
    await moved.pass_time(0.5)
    assert (await moved.result(submitted)).status_code == 200


async def test_a_result_expires_no_later_when_the_clock_is_reset(renders: Path) -> None:
    async with opened(renders, Clock(0.0, wall=lambda: START), retention=100, retention_large=100) as mock:
        submitted = await mock.submit()
        await mock.pass_time(5 + 90)

        await mock.http.post("/control/clock/reset")

        assert (await mock.result(submitted)).status_code == 200
        await mock.pass_time(11)
        assert (await mock.result(submitted)).status_code == 404


async def test_a_snapshot_from_before_a_reset_of_the_clock_can_be_restored(moved: Mock) -> None:
    await moved.pass_time(86_400)
    submitted = await moved.submit()
    await moved.pass_time(2)
    await moved.http.post("/control/snapshots", json={"name": "running"})
    await moved.http.post("/control/clock/reset")

    await moved.http.post("/control/snapshots/running/restore")

    await moved.pass_time(2.5)
    assert (await moved.status(submitted)).json()["status"] == "IN_PROGRESS"
    await moved.pass_time(0.5)
    assert (await moved.result(submitted)).status_code == 200


async def test_a_clock_is_not_reset_while_the_store_cannot_write(moved: Mock) -> None:
    await moved.pass_time(86_400)

    with failing(moved.emulator.store, after=5):  # of the commit
        answer = await moved.http.post("/control/clock/reset")

    assert answer.status_code == 507
    assert moved.clock.now() == START + 86_400


def test_the_clock_that_a_state_folder_keeps_is_reset_by_a_command(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "state"))
    with served(*state, "--time-scale", "0") as server:
        server.http.post("/control/clock", json={"advance": 86_400})
    with served(*state, "--time-scale", "0") as server:
        server.wait_for(r"clock +86,\d{3} s ahead of this machine.*falmock clock reset")
        ran = falmock("clock", "reset", *state)
    with served(*state) as server:
        server.wait_for("keys")

    assert re.fullmatch(r"the clock is at real time; it was 86,\d{3} s ahead\n", ran.out)
    assert "ahead" not in server.log


def test_resetting_the_clock_without_a_server_is_one_line(tmp_path: Path) -> None:
    assert "no emulator serves" in one_line(falmock("clock", "reset", "--state", str(tmp_path / "none")))
