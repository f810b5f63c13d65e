"""The status stream, over a real socket: PROTOCOL.md 4.5."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from emulated import APPLICATION, KEY, Mock, opened, serving

from falmock.engine.clock import Clock
from falmock.faults.rules import Rule
from falmock.faults.vocabulary import parse
from falmock.settings import Span

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
    from pathlib import Path


@pytest.fixture
async def wire(mock: Mock) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(mock.emulator) as address, httpx.AsyncClient(base_url=address, headers=KEY) as http:
        yield http


async def watch(http: httpx.AsyncClient, submitted: Any, query: str = "") -> AsyncGenerator[Any]:
    """Yield each event's data, and None for a comment."""
    url = f"/{APPLICATION}/requests/{submitted['request_id']}/status/stream{query}"
    async with http.stream("GET", url) as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        async for line in answer.aiter_lines():
            if line.startswith(":"):
                yield None
            elif line:
                yield json.loads(line.removeprefix("data: "))


async def tell_changes(mock: Mock, http: httpx.AsyncClient, submitted: Any, query: str = "") -> list[Any]:
    """Return all events of a stream while fourteen seconds pass."""
    stream = watch(http, submitted, query)
    events = [await anext(stream)]
    passing = asyncio.create_task(mock.pass_time(14))
    events += [event async for event in stream]
    await passing
    return events


async def test_stream_has_one_event_for_each_change_and_ends_after_completed(
    mock: Mock, wire: httpx.AsyncClient
) -> None:
    submitted = await mock.submit()

    events = await tell_changes(mock, wire, submitted)

    assert [event["status"] for event in events] == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]


async def test_stream_says_that_a_request_of_higher_priority_has_overtaken(
    mock: Mock, wire: httpx.AsyncClient
) -> None:
    submitted = await mock.submit(headers={"x-fal-queue-priority": "low"})

    stream = watch(wire, submitted)
    before = await anext(stream)
    await mock.submit()
    after = await anext(stream)
    await stream.aclose()

    assert (before["queue_position"], after["queue_position"]) == (0, 1)


async def test_last_event_of_a_stream_equals_the_status_afterwards(
    mock: Mock, wire: httpx.AsyncClient
) -> None:
    submitted = await mock.submit()

    *_, last = await tell_changes(mock, wire, submitted)

    status = (await wire.get(f"/{APPLICATION}/requests/{submitted['request_id']}/status")).json()
    assert last == status


async def test_each_event_has_only_the_log_lines_since_the_previous_one(
    mock: Mock, wire: httpx.AsyncClient
) -> None:
    submitted = await mock.submit()

    events = await tell_changes(mock, wire, submitted, "?logs=1")

    lines = [line["message"] for event in events for line in event["logs"]]
    whole = (await mock.status(submitted, "?logs=1")).json()["logs"]
    assert lines == [line["message"] for line in whole]


async def test_stream_without_logs_has_null_logs(mock: Mock, wire: httpx.AsyncClient) -> None:
    submitted = await mock.submit()

    assert {event["logs"] for event in await tell_changes(mock, wire, submitted)} == {None}


async def test_stream_of_a_completed_request_has_one_event(mock: Mock, wire: httpx.AsyncClient) -> None:
    submitted = await mock.submit()
    await mock.pass_time(10)

    assert [event["status"] async for event in watch(wire, submitted)] == ["COMPLETED"]


async def test_silent_stream_is_kept_alive_with_comments(start: Callable[..., Awaitable[Mock]]) -> None:
    mock = await start(queue_seconds=Span(60, 60))
    submitted = await mock.submit()
    async with serving(mock.emulator) as address, httpx.AsyncClient(base_url=address, headers=KEY) as http:
        stream = watch(http, submitted)
        statuses = [(await anext(stream))["status"]]
        for _ in range(2):
            await mock.pass_time(15)
            statuses.append(await anext(stream))
        await stream.aclose()

    assert statuses == ["IN_QUEUE", None, None]


async def test_silent_stream_is_kept_alive_after_the_clock_is_set_back(tmp_path: Path) -> None:
    clock = Clock(scale=0.0, wall=lambda: 1_790_000_000.0)
    async with (
        opened(tmp_path, clock, queue_seconds=Span(600, 600)) as mock,
        serving(mock.emulator) as address,
        httpx.AsyncClient(base_url=address, headers=KEY) as http,
    ):
        await mock.pass_time(300)
        stream = watch(http, await mock.submit())
        statuses = [(await anext(stream))["status"]]
        await http.post("/control/clock/reset")
        for _ in range(4):  # the stream may look at the clock after the first one
            await mock.pass_time(15)
            await http.get("/health")
        statuses.append(await anext(stream))
        await stream.aclose()

    assert statuses == ["IN_QUEUE", None]


async def test_stream_has_an_event_for_each_position_in_a_deep_queue(
    mock: Mock, wire: httpx.AsyncClient
) -> None:
    mock.emulator.rule_set.add(Rule(fault="deep_queue position=50 seconds=100"))
    submitted = await mock.submit()
    stream = watch(wire, submitted)
    positions = [(await anext(stream))["queue_position"]]

    for _ in range(4):
        await mock.pass_time(2)
        positions.append((await anext(stream))["queue_position"])
    await stream.aclose()

    assert positions == [50, 49, 48, 47, 46]


async def test_stream_has_an_event_for_each_position_while_a_deep_queue_grows(
    mock: Mock, wire: httpx.AsyncClient
) -> None:
    mock.emulator.rule_set.add(Rule(fault="deep_queue position=10 peak=20 seconds=100"))
    stream = watch(wire, await mock.submit())
    positions = [(await anext(stream))["queue_position"]]

    for seconds in (2.5, 5, 5):
        await mock.pass_time(seconds)
        positions.append((await anext(stream))["queue_position"])
    await stream.aclose()

    assert positions == [10, 11, 12, 13]


async def test_stream_has_an_event_for_each_queue_position(mock: Mock, wire: httpx.AsyncClient) -> None:
    for _ in range(5):
        submitted = await mock.submit()

    events = await tell_changes(mock, wire, submitted)

    positions = [event["queue_position"] for event in events if event["status"] == "IN_QUEUE"]
    assert (positions[0], positions == sorted(positions, reverse=True)) == (4, True)


async def test_stream_says_nothing_when_other_requests_change(mock: Mock, wire: httpx.AsyncClient) -> None:
    followed, other = await mock.submit(), await mock.submit()
    await mock.pass_time(2)
    stream = watch(wire, followed)
    events = [await anext(stream)]

    await mock.cancel(other)
    mock.emulator.manual.fail(other["request_id"], parse("internal_error"))
    await mock.pass_time(10)
    events += [event async for event in stream]

    assert [event and event["status"] for event in events] == ["IN_PROGRESS", "COMPLETED"]


async def test_stream_of_a_client_that_leaves_is_closed(mock: Mock, wire: httpx.AsyncClient) -> None:
    submitted = await mock.submit()
    stream = watch(wire, submitted)
    await anext(stream)

    await stream.aclose()
    await mock.pass_time(10)

    assert (await mock.result(submitted)).status_code == 200
