"""Calls that are answered without a task: the same answers as in one, over a real connection."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from emulated import ENDPOINT, HOSTED, KEY

from falmock.app import create_app
from falmock.engine.emulator import Emulator
from falmock.http.server import Server, listen
from falmock.protocol.limits import DEFAULT, Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from types import FrameType

    from emulated import Mock

MOST_CALLS = 40
UNKNOWN = "/fal-ai/veo2/requests/019ab7f5-0000-7000-8000-000000000000/status"
NO_FAULT: Mapping[str, Any] = {"x-falmock-fault": ""}  # looked for in a task
SUBMISSION = json.dumps({"prompt": "A lego chef cooking eggs", "image_url": HOSTED}).encode()


class Line:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> None:
        self.writer.write(head(method, path, len(body), **headers) + body)

    async def receive(self, *, bodiless: bool = False) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of the next response."""
        start = (await self.reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = dict(line.split(": ", 1) for line in start[1:-1])
        size = 0 if bodiless else int(headers["content-length"])
        return int(start[0].split()[1]), headers, await self.reader.readexactly(size)


def head(method: str, path: str, size: int = 0, **headers: str) -> bytes:
    given = {"host": "localhost", "authorization": KEY["Authorization"], **headers}
    if size:
        given |= {"content-type": "application/json", "content-length": str(size)}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


@asynccontextmanager
async def connected(mock: Mock, limits: Limits = DEFAULT) -> AsyncIterator[Line]:
    with listen("127.0.0.1", 0) as listener:
        async with Server(create_app(mock.emulator), limits=limits).running(listener):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            try:
                yield Line(reader, writer)
            finally:
                writer.close()


async def submit(line: Line) -> Any:
    line.send("POST", f"/{ENDPOINT}", SUBMISSION)
    status, _, body = await line.receive()
    assert status == 200, body
    return json.loads(body)


def path_of(submitted: Any) -> str:
    return f"/fal-ai/veo2/requests/{submitted['request_id']}/status"


def poll(path: str, **headers: str) -> dict[str, Any]:
    """Return the scope of a poll."""
    given = {"host": "localhost", "authorization": KEY["Authorization"], "accept": "*/*", **headers}
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }


async def test_poll_makes_few_python_calls(mock: Mock) -> None:
    """Every layer in front of the queue host makes each poll slower, so that nobody adds one unseen."""
    path = path_of(await mock.submit())
    await mock.pass_time(3)
    app = create_app(mock.emulator)
    app.answer_at_once(poll(path), None)
    running = poll(path)
    called: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.append(f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}")

    sys.setprofile(note)
    try:
        response = app.answer_at_once(running, None)
    finally:
        sys.setprofile(None)

    assert response is not None
    assert len(called) <= MOST_CALLS, "\n".join(called)


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
async def test_poll_gets_the_same_answer_with_and_without_a_task(mock: Mock, connection: str) -> None:
    submitted = await mock.submit()
    async with connected(mock) as line:
        line.send("GET", path_of(submitted), connection=connection)
        status, headers, body = await line.receive()
    async with connected(mock) as line:
        line.send("GET", path_of(submitted), connection=connection, **NO_FAULT)
        status_in_task, headers_in_task, body_in_task = await line.receive()

    assert (status, body) == (status_in_task, body_in_task)
    assert {**headers, "date": ""} == {**headers_in_task, "date": ""}
    assert list(headers) == list(headers_in_task)


async def test_refused_poll_gets_the_same_answer_with_and_without_a_task(mock: Mock) -> None:
    async with connected(mock) as line:
        line.send("GET", UNKNOWN)
        status, headers, body = await line.receive()
        line.send("GET", UNKNOWN, **NO_FAULT)
        status_in_task, headers_in_task, body_in_task = await line.receive()

    assert (status, body) == (status_in_task, body_in_task) == (404, b'{"status":"NOT_FOUND"}')
    assert list(headers) == list(headers_in_task)


async def test_status_follows_the_state(mock: Mock) -> None:
    async with connected(mock) as line:
        submitted = await submit(line)
        states = []
        for _ in range(3):
            line.send("GET", path_of(submitted))
            states.append(json.loads((await line.receive())[2])["status"])
            await mock.pass_time(3)

    assert states == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]


async def test_position_follows_the_queue(mock: Mock) -> None:
    """The row of a waiting request does not change when the one before it leaves."""
    async with connected(mock) as line:
        first, second = await submit(line), await submit(line)
        positions = []
        for _ in range(2):
            line.send("GET", path_of(second))
            positions.append(json.loads((await line.receive())[2])["queue_position"])
            line.send("PUT", path_of(first).replace("/status", "/cancel"))
            await line.receive()

    assert positions == [1, 0]


async def test_urls_follow_the_name_of_each_call(mock: Mock) -> None:
    async with connected(mock) as line:
        submitted = await submit(line)
        urls = []
        for name in ("localhost:1", "127.0.0.1:2"):
            line.send("GET", path_of(submitted), host=name)
            urls.append(json.loads((await line.receive())[2])["status_url"])

    assert urls == [f"http://{name}{path_of(submitted)}" for name in ("localhost:1", "127.0.0.1:2")]


async def test_page_that_polls_does_not_change_the_headers_of_a_program(mock: Mock) -> None:
    async with connected(mock) as line:
        submitted = await submit(line)
        line.send("GET", path_of(submitted))
        _, before, _ = await line.receive()
        line.send("GET", path_of(submitted), origin="http://localhost:3000")
        _, of_page, _ = await line.receive()
        line.send("GET", path_of(submitted))
        _, after, _ = await line.receive()

    assert of_page["access-control-allow-origin"] == "http://localhost:3000"
    assert {**after, "date": ""} == {**before, "date": ""}


async def test_thousands_of_polls_may_be_pipelined(mock: Mock) -> None:
    async with connected(mock) as line:
        submitted = await submit(line)
        line.writer.write(head("GET", path_of(submitted)) * 3000)
        statuses = [(await line.receive())[0] for _ in range(3000)]

    assert set(statuses) == {202}


async def test_submit_is_answered_after_an_earlier_call_that_takes_longer(mock: Mock) -> None:
    async with connected(mock) as line:
        line.send("GET", "/health")
        line.send("POST", f"/{ENDPOINT}", SUBMISSION)
        health = await line.receive()
        submitted = await line.receive()

    assert (health[0], submitted[0]) == (200, 200)
    assert json.loads(submitted[2])["status"] == "IN_QUEUE"


async def test_stream_after_a_poll_in_the_same_bytes_stays_open(mock: Mock) -> None:
    """The poll's answer must not start the time after which an idle connection is closed."""
    submitted = await mock.submit()
    async with connected(mock, Limits(idle_seconds=0.1)) as line:
        line.writer.write(head("GET", path_of(submitted)) + head("GET", f"{path_of(submitted)}/stream"))
        await line.receive()
        first = await line.reader.readuntil(b"\n\n\r\n")
        idle, writer = await asyncio.open_connection(*line.writer.get_extra_info("peername"))
        await idle.read()  # an idle connection is closed meanwhile
        writer.close()
        await mock.pass_time(60)
        rest = await line.reader.readuntil(b"0\r\n\r\n")

    assert b"IN_QUEUE" in first
    assert b"COMPLETED" in rest


async def test_calls_of_a_client_that_has_left_are_dropped(
    mock: Mock, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection breaks at an answer to one of the calls that arrived together."""
    submitted = await mock.submit()
    async with connected(mock) as line:
        line.writer.write(head("GET", path_of(submitted)) * 100)
        line.writer.close()
        reader, writer = await asyncio.open_connection(*line.writer.get_extra_info("peername"))
        after = Line(reader, writer)
        after.send("GET", path_of(submitted))
        status, _, _ = await after.receive()
        writer.close()

    assert status == 202
    assert "socket.send() raised exception" not in caplog.text


async def test_submit_may_arrive_in_pieces(mock: Mock) -> None:
    async with connected(mock) as line:
        sent = head("POST", f"/{ENDPOINT}", len(SUBMISSION)) + SUBMISSION
        for place in range(0, len(sent), 40):
            line.writer.write(sent[place : place + 40])
            await line.writer.drain()
            await asyncio.sleep(0)
        status, _, body = await line.receive()

    assert (status, json.loads(body)["status"]) == (200, "IN_QUEUE")


async def test_submit_may_ask_before_it_sends_its_body(mock: Mock) -> None:
    async with connected(mock) as line:
        line.writer.write(head("POST", f"/{ENDPOINT}", len(SUBMISSION), expect="100-continue"))
        asked = await line.reader.readuntil(b"\r\n\r\n")
        line.writer.write(SUBMISSION)
        status, _, _ = await line.receive()

    assert asked.startswith(b"HTTP/1.1 100 ")
    assert status == 200


async def test_submit_beyond_the_limit_is_refused(start: Callable[..., Awaitable[Mock]]) -> None:
    mock = await start(max_body=len(SUBMISSION) - 1)
    async with connected(mock) as line:
        line.send("POST", f"/{ENDPOINT}", SUBMISSION)
        status, _, _ = await line.receive()

    assert status == 413


async def test_head_of_a_poll_has_no_body(mock: Mock) -> None:
    async with connected(mock) as line:
        submitted = await submit(line)
        line.send("HEAD", path_of(submitted))
        status, headers, _ = await line.receive(bodiless=True)
        line.send("GET", path_of(submitted))
        _, _, body = await line.receive()

    assert (status, int(headers["content-length"])) == (202, len(body))


async def test_connection_is_closed_if_the_call_asks_for_that(mock: Mock) -> None:
    async with connected(mock) as line:
        line.send("GET", UNKNOWN, connection="close")
        _, headers, _ = await line.receive()
        left = await line.reader.read()

    assert (headers["connection"], left) == ("close", b"")


async def test_calls_are_in_the_journal_with_their_bodies(mock: Mock) -> None:
    async with connected(mock) as line:
        submitted = await submit(line)
        line.send("GET", path_of(submitted))
        await line.receive()

    entries: list[Any] = [entry for entry in mock.journal.entries() if entry.kind == "exchange"]
    assert [entry.operation for entry in entries] == ["submit", "status"]
    assert entries[0].input["prompt"] == "A lego chef cooking eggs"
    assert entries[0].request_id == submitted["request_id"]
    assert (entries[1].status, entries[1].answer["status"]) == (202, "IN_QUEUE")


async def test_defect_is_answered_and_logged(
    mock: Mock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(emulator: Emulator, request_id: str) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(Emulator, "request", fail)
    async with connected(mock) as line:
        line.send("GET", UNKNOWN)
        status, _, body = await line.receive()
        line.send("GET", "/health")
        after, _, _ = await line.receive()

    assert (status, json.loads(body)["error_type"], after) == (500, "internal_error", 200)
    assert "a defect" in caplog.text
