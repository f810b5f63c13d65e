"""The streams that keep open pages up to date."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import pytest
from emulated import serving

from falmock.faults.rules import Rule
from falmock.web.live import event, pause

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from emulated import Mock

    Next = Callable[[], Awaitable[str]]


@asynccontextmanager
async def stream(mock: Mock, path: str) -> AsyncIterator[Next]:
    """Open a stream; yields a function that returns the next event."""
    async with (
        serving(mock.emulator) as address,
        httpx.AsyncClient(base_url=address) as http,
        http.stream("GET", path) as answer,
    ):
        lines = answer.aiter_lines()

        async def read() -> str:
            text = ""
            async for line in lines:
                if line.startswith("data: "):
                    text += line.removeprefix("data: ") + "\n"
                elif text.strip():
                    return text
            return "the end"

        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        yield read
        mock.emulator.shutdown()
        assert await read() == "the end"


async def test_a_new_request_is_sent_to_an_open_list(mock: Mock) -> None:
    async with stream(mock, "/ui/live/") as read:
        await read()
        submitted = await mock.submit()
        sent = await read()

    assert f'<tr id="r-{submitted["request_id"]}">' in sent


async def test_a_change_sends_the_row_alone(mock: Mock) -> None:
    requests = [await mock.submit() for _ in range(3)]
    async with stream(mock, "/ui/live/") as read:
        await read()
        mock.emulator.manual.hold(requests[2]["request_id"])
        sent = await read()

    assert [request["request_id"] in sent for request in requests] == [False, False, True]


async def test_a_request_that_the_filters_leave_out_is_not_sent(mock: Mock) -> None:
    async with stream(mock, "/ui/live/?text=wanted") as read:
        await read()
        await mock.submit(prompt="another")
        submitted = await mock.submit(prompt="wanted")
        sent = await read()
        while submitted["request_id"] not in sent:
            sent += await read()

    assert sent.count("<tr ") == 1


async def test_the_state_of_an_open_request_moves(mock: Mock) -> None:
    submitted = await mock.submit()
    async with stream(mock, f"/ui/live/ui/requests/{submitted['request_id']}") as read:
        first = await read()
        await mock.pass_time(2)
        sent = await read()

    assert ("In queue" in first, 'class="run"' in sent) == (True, True)


async def test_a_rule_is_counted_while_it_takes_effect(mock: Mock) -> None:
    mock.emulator.rule_set.add(Rule(fault="starts_at_once", times=2))
    async with stream(mock, "/ui/live/ui/steer") as read:
        first = await read()
        await mock.submit()
        sent = await read()

    assert ("took effect <b>0</b> of 2" in first, "took effect <b>1</b> of 2" in sent) == (True, True)


async def test_the_stream_of_an_unknown_request_is_refused(mock: Mock) -> None:
    answer = await mock.http.get("/ui/live/ui/requests/01900000-0000-7000-8000-000000000000")

    assert answer.status_code == 404


async def test_a_reset_ends_the_page_of_a_request(mock: Mock) -> None:
    submitted = await mock.submit()
    async with stream(mock, f"/ui/live/ui/requests/{submitted['request_id']}") as read:
        await read()
        await mock.emulator.manual.reset()
        sent = await read()

    assert "is gone" in sent


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\rb", "a\u2028b", "a\n\nid: 7\n\nb"])
def test_a_text_with_line_breaks_is_one_event(text: str) -> None:
    *lines, blank, end = event(text).split("\n")

    assert (blank, end) == ("", "")
    assert all(line.startswith("data: ") and "\r" not in line for line in lines)


def test_all_open_pages_together_take_a_share_of_a_core() -> None:
    assert [1 / pause(1, pages) * pages for pages in (1, 7, 40)] == pytest.approx([0.05] * 3)
