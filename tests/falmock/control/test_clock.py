from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from emulated import opened

from falmock.engine.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

    from emulated import Mock


async def test_the_clock_tells_its_time_and_what_comes_next(mock: Mock, ask: Any) -> None:
    await mock.submit()
    now = mock.clock.now()

    assert (await ask("GET", "/clock")).json() == {
        "now": now,
        "iso": "2026-09-21T14:13:20.000+00:00",
        "wall": now,
        "scale": 0.0,
        "next": now + 1,
    }


async def test_nothing_comes_next_where_nothing_is(ask: Any) -> None:
    assert (await ask("GET", "/clock")).json()["next"] is None


async def test_time_passes_with_all_that_happens_in_it(mock: Mock, ask: Any) -> None:
    submitted = await mock.submit()
    before = mock.clock.now()

    told = (await ask("POST", "/clock", advance=60)).json()

    assert told["now"] == before + 60
    assert (await mock.result(submitted)).status_code == 200


async def test_time_passes_to_an_hour(mock: Mock, ask: Any) -> None:
    then = mock.clock.now() + 60

    assert (await ask("POST", "/clock", to=then)).json()["now"] == then


async def test_an_hour_that_has_passed_is_refused(mock: Mock, ask: Any) -> None:
    answer = await ask("POST", "/clock", to=mock.clock.now() - 1)

    assert (answer.status_code, "backwards" in answer.json()["detail"]) == (409, True)


async def test_time_ends_some_day(ask: Any) -> None:
    answer = await ask("POST", "/clock", advance=32_000_000_000)

    assert answer.status_code == 409


@pytest.mark.parametrize(
    "asked",
    [{}, {"scale": 1, "advance": 1}, {"scale": -1}, {"advance": -1}, {"advance": 1, "within": 61}],
)
async def test_what_makes_no_sense_is_refused(ask: Any, asked: dict[str, float]) -> None:
    assert (await ask("POST", "/clock", **asked)).status_code == 422


async def test_the_scale_is_changed(renders: Path) -> None:
    clock = SystemClock()
    async with opened(renders, clock) as mock:
        answer = await mock.http.post("/control/clock", json={"scale": 0})

    assert (answer.json()["scale"], clock.scale) == (0, 0)


async def test_what_takes_too_long_is_told(mock: Mock, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await mock.submit()

    answer = await ask("POST", "/clock", advance=60, within=1e-6)

    assert (answer.status_code, answer.json()["detail"]) == (408, "the clock has not got there after 1e-06 s")
