"""Limits on the size and the duration of requests on a connection."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse

from falmock.app import create_app
from falmock.http.context import CONNECTION
from falmock.http.server import Server, listen
from falmock.protocol.limits import Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from emulated import Mock
    from starlette.types import ASGIApp, Receive, Scope, Send

SOON = 0.01  # real seconds; nothing is asserted about how long anything takes
NEVER = 3600.0


def limits(**given: Any) -> Limits:
    return Limits(**{"head_seconds": NEVER, "body_seconds": NEVER, "idle_seconds": NEVER, **given})


@asynccontextmanager
async def connected(
    app: Any, **given: Any
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Serve an application, and open a connection to it."""
    with listen("127.0.0.1", 0) as listener:
        async with Server(app, limits=limits(**given)).running(listener):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            try:
                yield reader, writer
            finally:
                writer.close()


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(f"{len(body)} bytes")(scope, receive, send)


async def status(reader: asyncio.StreamReader) -> int:
    return int((await reader.readline()).split()[1])


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Return the bytes that the server sends before it closes the connection."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


def head(size: int) -> bytes:
    """Return a GET request with a head of `size` bytes."""
    start, end = b"GET / HTTP/1.1\r\nhost: localhost\r\nx-pad: ", b"\r\n\r\n"
    return start + b"a" * (size - len(start) - len(end)) + end


@pytest.mark.parametrize(("size", "expected"), [(1000, 200), (1001, 431)])
@pytest.mark.parametrize("piece", [7, 100_000], ids=["in-pieces", "at-once"])
async def test_headers_are_accepted_up_to_the_limit_in_bytes(size: int, expected: int, piece: int) -> None:
    async with connected(hello, header_bytes=1000) as (reader, writer):
        request = head(size)
        for start in range(0, size, piece):
            writer.write(request[start : start + piece])
            await writer.drain()

        assert await status(reader) == expected


@pytest.mark.parametrize(("count", "expected"), [(5, 200), (6, 431)])
async def test_headers_are_accepted_up_to_the_limit_in_number(count: int, expected: int) -> None:
    async with connected(hello, headers=5) as (reader, writer):
        fields = b"".join(b"x-%d: y\r\n" % number for number in range(count - 1))
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n" + fields + b"\r\n")

        assert await status(reader) == expected


async def test_endless_headers_are_refused_before_they_fill_the_memory() -> None:
    async with connected(hello, header_bytes=1000) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nx-pad: " + b"a" * 1000)

        assert await status(reader) == 431


async def test_endless_request_target_is_refused_before_it_fills_the_memory() -> None:
    async with connected(hello, header_bytes=1000) as (reader, writer):
        writer.write(b"GET /" + b"a" * 1000)

        assert await status(reader) == 431


@pytest.mark.parametrize("endless", [b"0\r\nx-trailer: ", b"2;extension="], ids=["trailer", "chunk"])
async def test_the_framing_of_a_body_without_end_is_refused_before_it_fills_the_memory(
    endless: bytes,
) -> None:
    async with connected(hello, header_bytes=1000) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n" + endless)
        await writer.drain()
        writer.write(b"a" * 1_000_000)

        assert await status(reader) == 431


async def test_a_trailer_is_not_taken_for_a_header() -> None:
    async def headers(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        await PlainTextResponse(repr(scope["headers"]))(scope, receive, send)

    async with connected(headers) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n")
        writer.write(b"connection: close\r\n\r\n2\r\n{}\r\n0\r\nauthorization: Key a:b\r\n\r\n")

        assert b"authorization" not in await rest(reader)


async def test_requests_are_not_read_while_many_on_the_connection_wait_for_their_turn() -> None:
    waiting: list[int] = []

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        waiting.append(len(scope[CONNECTION]._protocol.pipeline))
        await hello(scope, receive, send)

    async with connected(counting) as (reader, writer):
        answers = asyncio.create_task(rest(reader))
        for _ in range(2000):
            writer.write(head(2000))
            await writer.drain()
        writer.write_eof()
        await answers

    assert max(waiting) < 1000


@pytest.mark.parametrize(("requests", "answers"), [(11, 11), (12, 0)])
async def test_connection_with_too_many_waiting_requests_is_aborted(
    monkeypatch: pytest.MonkeyPatch, requests: int, answers: int
) -> None:
    monkeypatch.setattr("falmock.http.connection.MOST_PIPELINED", 10)
    async with connected(hello) as (reader, writer):
        writer.write((head(100) * requests)[:-2] + b"connection: close\r\n\r\n")

        assert (await rest(reader)).count(b"0 bytes") == answers


async def test_large_body_in_one_piece_with_its_head_does_not_count_as_headers() -> None:
    async with connected(hello, header_bytes=1000) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5000\r\n\r\n" + b"b" * 5000)

        assert await status(reader) == 200


async def test_a_body_in_many_pieces_is_passed_on_complete_and_in_order() -> None:
    sent = [bytes([number % 251]) * (number % 7 + 1) for number in range(20_000)]
    received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def keep(scope: Scope, receive: Receive, send: Send) -> None:
        received.set_result(await Request(scope, receive).body())
        await PlainTextResponse("kept")(scope, receive, send)

    async with connected(keep) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.writelines(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in sent)
        writer.write(b"0\r\n\r\n")

        assert await status(reader) == 200
        assert received.result() == b"".join(sent)


async def test_second_request_on_a_connection_has_the_full_header_limit() -> None:
    async with connected(hello, header_bytes=1000) as (reader, writer):
        seen = []
        for _ in range(3):
            writer.write(head(900))
            seen.append(await status(reader))
            await reader.readuntil(b"0 bytes")

        assert seen == [200, 200, 200]


async def test_head_that_does_not_arrive_in_time_is_answered_408() -> None:
    async with connected(hello, head_seconds=SOON) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nhost: loc")

        assert await status(reader) == 408
        assert b"the headers did not arrive in time" in await rest(reader)


async def test_body_that_does_not_arrive_in_time_is_answered_408() -> None:
    async with connected(hello, body_seconds=SOON) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nhal")

        assert await status(reader) == 408
        assert b"the body did not arrive in time" in await rest(reader)


def until_disconnect(received: asyncio.Future[str]) -> ASGIApp:
    """Return an application that reads until it gets a disconnect."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, send
        while (message := await receive())["type"] != "http.disconnect":
            pass
        received.set_result(message["type"])

    return application


async def test_application_that_reads_a_late_body_gets_a_disconnect() -> None:
    received: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async with connected(until_disconnect(received), body_seconds=SOON) as (_, writer):
        writer.write(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n")

        assert await received == "http.disconnect"


async def test_application_gets_a_disconnect_although_another_request_waits_for_its_turn() -> None:
    received: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async with connected(until_disconnect(received)) as (_, writer):
        writer.write(head(100) * 2)
        writer.close()

        assert await received == "http.disconnect"


@pytest.mark.parametrize("late", [b"GET / HT", b"no request\r\n\r\n"], ids=["incomplete", "malformed"])
async def test_response_is_not_mixed_with_the_refusal_of_a_later_request(late: bytes) -> None:
    async def once() -> AsyncIterator[bytes]:
        yield b"the only piece"
        await asyncio.Event().wait()

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await StreamingResponse(once())(scope, receive, send)

    async with connected(stream, head_seconds=SOON) as (reader, writer):
        writer.write(head(100))
        await reader.readuntil(b"the only piece\r\n")
        writer.write(head(100) + late)

        assert await rest(reader) == b""


async def test_application_may_delay_reading_a_body() -> None:
    held = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/slow":
            await held.wait()
        await hello(scope, receive, send)

    size = 1024 * 1024  # more than the server buffers, so that it stops reading
    with listen("127.0.0.1", 0) as listener:
        async with Server(slow, limits=limits(body_seconds=SOON)).running(listener):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(b"POST /slow HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % size)
            writer.write(b"b" * size)
            answer = asyncio.create_task(reader.read(1))
            for _ in range(3):  # other requests time out in between
                other, late = await asyncio.open_connection(*listener.getsockname())
                late.write(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n")
                assert await status(other) == 408
                late.close()

            assert not answer.done()
            held.set()
            writer.close()
            answer.cancel()


@pytest.mark.parametrize("sent", [b"", b"\r\n"], ids=["silent", "empty-line"])
async def test_connection_without_a_request_is_closed_in_time(sent: bytes) -> None:
    async with connected(hello, idle_seconds=SOON) as (reader, writer):
        writer.write(sent)

        assert await rest(reader) == b""


async def test_idle_connection_is_closed_in_time_after_its_last_request() -> None:
    async with connected(hello, idle_seconds=SOON) as (reader, writer):
        writer.write(head(100))

        assert (await rest(reader)).endswith(b"0 bytes")


async def test_connection_of_a_client_that_stops_reading_is_closed() -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 65536
                await asyncio.sleep(0)
        finally:
            ended.set()

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        await StreamingResponse(endless())(scope, receive, send)

    async with connected(stream, body_seconds=SOON) as (_, writer):
        writer.write(head(100))

        await ended.wait()


async def test_many_half_open_requests_are_all_closed() -> None:
    with listen("127.0.0.1", 0) as listener:
        server = Server(hello, limits=limits(head_seconds=SOON))
        async with server.running(listener):
            lines = [await asyncio.open_connection(*listener.getsockname()) for _ in range(250)]
            for _, writer in lines:
                writer.write(b"GET / HTTP/1.1\r\n")

            answered = [await status(reader) for reader, _ in lines]
            for reader, writer in lines:
                await rest(reader)
                writer.close()

            assert answered == [408] * 250
            assert server.server_state.connections == set()


# Any bytes at all

lines = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *(b"GET / HTTP/1.1", b"POST /x HTTP/1.0", b"GET /%ff HTTP/1.1", b"BREW / HTTP/1.1", b"GET"),
                *(b"host: localhost", b"host: [", b"host:", b": x", b"a b: c", b"content-length: -1"),
                *(b"content-length: 5", b"content-length: " + b"9" * 5000, b"transfer-encoding: chunked"),
                *(b"expect: 100-continue", b"connection: close", b"upgrade: websocket", b"5", b"0", b""),
            ]
        ),
        st.binary(max_size=30),
    ),
    max_size=10,
).map(b"\r\n".join)


@pytest.fixture
async def server(mock: Mock) -> AsyncIterator[tuple[str, int]]:
    """An emulator with little patience."""
    with listen("127.0.0.1", 0) as listener:
        app = create_app(mock.emulator)
        few = limits(head_seconds=SOON, body_seconds=SOON, idle_seconds=SOON, header_bytes=2000, headers=5)
        async with Server(app, limits=few).running(listener):
            yield listener.getsockname()


@given(lines)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_bytes_are_answered_or_refused_and_the_connection_is_closed(
    server: tuple[str, int], mock: Mock, sent: bytes
) -> None:
    reader, writer = await asyncio.open_connection(*server)
    writer.write(sent + b"\r\n\r\n")
    async with asyncio.timeout(60):
        answer = await rest(reader)
    writer.close()

    statuses = [int(status) for status in re.findall(rb"HTTP/1.1 (\d+) ", answer)]
    assert all(status < 500 for status in statuses)
    assert mock.journal._open == {}
    await mock.assert_alive()
