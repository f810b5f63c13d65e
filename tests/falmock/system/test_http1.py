"""Calls over HTTP/1.1, and which connections are used again."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from falmock.system.dialler import ANYWHERE, Dialler, OwnAddresses
from falmock.system.transport import IDLE, CheckedTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TLS = ssl.create_default_context()


class Server:
    """Sends the same bytes for each call, and counts connections."""

    def __init__(self, answer: bytes, *, closes: bool = False) -> None:
        self.connections = 0
        self.url = ""
        self.received: list[bytes] = []
        self._answer = answer
        self._closes = closes
        self._open: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Server]:
        async with await asyncio.start_server(self._serve, "127.0.0.1") as server:
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.append(writer)
        while head := await self._head(reader):
            self.received.append(head)
            writer.write(self._answer)
            if self._closes:
                break
        writer.close()

    async def _head(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""

    async def hang_up(self) -> None:
        """Close all connections."""
        for writer in self._open:
            writer.close()
            await writer.wait_closed()


@asynccontextmanager
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = CheckedTransport(Dialler(OwnAddresses(), beyond=ANYWHERE), verify=TLS)
    async with httpx.AsyncClient(transport=transport) as http:
        yield http


@asynccontextmanager
async def serving(
    answer: bytes = OK, *, closes: bool = False
) -> AsyncIterator[tuple[Server, httpx.AsyncClient]]:
    async with Server(answer, closes=closes).open() as server, client() as http:
        yield server, http


async def test_calls_to_one_origin_share_a_connection() -> None:
    async with serving() as (server, http):
        answers = [(await http.get(server.url)).text for _ in range(3)]

    assert (answers, server.connections) == (["ok"] * 3, 1)


async def test_concurrent_calls_have_a_connection_each() -> None:
    async with serving() as (server, http):
        await asyncio.gather(*(http.get(server.url) for _ in range(3)))

    assert server.connections == 3


async def test_twenty_idle_connections_are_kept_at_most() -> None:
    async with serving() as (server, http):
        await asyncio.gather(*(http.get(server.url) for _ in range(IDLE + 5)))
        await asyncio.gather(*(http.get(server.url) for _ in range(IDLE + 5)))

    assert server.connections == IDLE + 5 + 5


async def test_connection_that_the_server_has_closed_is_not_used_again() -> None:
    async with serving() as (server, http):
        await http.get(server.url)
        await server.hang_up()
        again = await http.get(server.url)

    assert (again.status_code, server.connections) == (200, 2)


ONCE = {
    "says close": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    "speaks HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "sends a second answer": OK + OK,
    "sends more than it says": OK + b"more",
    "switches protocols": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
}


@pytest.mark.parametrize("answer", ONCE.values(), ids=ONCE.keys())
async def test_connection_is_used_once_if_the_server(answer: bytes) -> None:
    async with serving(answer) as (server, http):
        await http.get(server.url)
        await http.get(server.url)

    assert server.connections == 2


async def test_connection_is_used_once_if_the_body_is_not_read() -> None:
    async with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf") as (server, http):
        for _ in range(2):
            async with http.stream("GET", server.url) as answer:
                assert answer.status_code == 200

    assert server.connections == 2


BODIES = {
    "length": (OK, False, "ok"),
    "chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\nX: trailer\r\n\r\n",
        False,
        "ok",
    ),
    "the end of the connection": (b"HTTP/1.1 200 OK\r\n\r\nok", True, "ok"),
    "its status": (b"HTTP/1.1 204 No Content\r\n\r\n", False, ""),
}


@pytest.mark.parametrize(("answer", "closes", "body"), BODIES.values(), ids=BODIES.keys())
async def test_a_body_ends_where_its_framing_says(answer: bytes, closes: bool, body: str) -> None:
    async with serving(answer, closes=closes) as (server, http):
        assert (await http.get(server.url)).text == body


async def test_trailers_are_no_headers() -> None:
    async with serving(BODIES["chunks"][0]) as (server, http):
        assert "x" not in (await http.get(server.url)).headers


async def test_informational_answers_are_skipped() -> None:
    hints = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    async with serving(hints + OK) as (server, http):
        answer = await http.get(server.url)

    assert (answer.status_code, answer.text, "link" in answer.headers) == (200, "ok", False)


async def test_lines_may_end_without_a_carriage_return() -> None:
    async with serving(OK.replace(b"\r", b"")) as (server, http):
        answer = await http.get(server.url)

    assert (answer.status_code, answer.text) == (200, "ok")


async def test_headers_keep_their_order_and_case() -> None:
    async with serving(OK.replace(b"\r\n\r\n", b"\r\nX-B: 1\r\nx-a: 2\r\nX-B: 3\r\n\r\n")) as (server, http):
        answer = await http.get(server.url)

    assert answer.headers.raw == [(b"Content-Length", b"2"), (b"X-B", b"1"), (b"x-a", b"2"), (b"X-B", b"3")]


async def test_request_line_and_headers_are_sent_as_given() -> None:
    async with serving() as (server, http):
        await http.post(f"{server.url}?a=b%2F", content=b"", headers={"X-Given": "1"})

    lines = server.received[0].split(b"\r\n")
    assert lines[0] == b"POST /hook?a=b%2F HTTP/1.1"
    assert b"X-Given: 1" in lines


@pytest.mark.parametrize("value", [b"1\r\nX-More: 2", b"1\nX-More: 2", b"1\rX-More: 2"])
async def test_header_with_a_line_break_is_not_sent(value: bytes) -> None:
    async with serving() as (server, http):
        with pytest.raises(httpx.LocalProtocolError, match="line break"):
            await http.get(server.url, headers=[(b"X-Given", value)])

    assert server.received == []


async def test_body_of_unknown_length_is_not_sent() -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"part"

    async with serving() as (server, http):
        with pytest.raises(httpx.LocalProtocolError, match="Content-Length"):
            await http.post(server.url, content=parts())


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "before an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-", "before an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "within the body"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf", "within the body"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, "too long"),
    ],
)
async def test_incomplete_answer_is_an_error_in_words(answer: bytes, why: str) -> None:
    async with serving(answer, closes=True) as (server, http):
        with pytest.raises(httpx.RemoteProtocolError, match=why):
            await http.get(server.url)


async def test_other_schemes_are_refused() -> None:
    async with client() as http:
        with pytest.raises(httpx.UnsupportedProtocol):
            await http.get("ftp://127.0.0.1/")
