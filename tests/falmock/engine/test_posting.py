"""Attempts at webhook receivers that misbehave."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest
from processes import Receiver

from falmock.engine.clients import trusted
from falmock.engine.posting import BEGINNING, post
from falmock.intercept.certificates import open_ca
from falmock.system.dialler import ANYWHERE, Dialler, OwnAddresses
from falmock.system.transport import CheckedTransport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from falmock.engine.delivery import Answer

    Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

LIMIT = 15.0  # real seconds
SHORT = 0.3  # real seconds, for receivers that never answer
BODY = b'{"status":"OK"}'
OK = b"HTTP/1.1 200 OK\r\n"


def says(answer: bytes) -> Script:
    """Send some bytes and close the connection."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return script


def repeats(begins: bytes, forever: bytes) -> Script:
    """Send a start, then the same bytes for as long as they are read."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begins)
        while True:
            writer.write(forever)
            await writer.drain()

    return script


def stalls(begins: bytes) -> Script:
    """Send some bytes and keep the connection open."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begins)
        await reader.read()

    return script


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    linger = (1).to_bytes(4, "little") + bytes(4)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


def transport() -> CheckedTransport:
    return CheckedTransport(Dialler(OwnAddresses(), beyond=ANYWHERE), verify=trusted())


BROKEN = "no HTTP answer"
LATE = "timed out"
CUT = {BROKEN, "connection lost", "connection reset"}
RECEIVERS: dict[str, tuple[Script, set[str]]] = {
    "sends a body without end": (repeats(OK + b"\r\n", bytes(65536)), {"200"}),
    "sends chunks without end": (
        repeats(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + bytes(65536) + b"\r\n"),
        {"200"},
    ),
    "says 4 GiB and sends one byte": (stalls(OK + b"Content-Length: 4294967296\r\n\r\nx"), {"200"}),
    "closes in the middle of the body": (says(OK + b"Content-Length: 100\r\n\r\nhalf"), {"200"}),
    "closes in the middle of a chunk": (
        says(OK + b"Transfer-Encoding: chunked\r\n\r\n64\r\nhalf"),
        {"200"},
    ),
    "sends a broken chunk": (says(OK + b"Transfer-Encoding: chunked\r\n\r\nnot hex\r\n"), {"200"}),
    "says gzip and sends none": (says(OK + b"Content-Encoding: gzip\r\n\r\nnot gzip"), {"200"}),
    "sends a body with 204": (says(b"HTTP/1.1 204 No Content\r\n\r\nbody"), {"204"}),
    "refuses, after that without end": (
        repeats(b"HTTP/1.1 503 Service Unavailable\r\n\r\n", bytes(65536)),
        {"503"},
    ),
    "redirects": (says(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /\r\n\r\n"), {"307"}),
    "redirects without a location": (says(b"HTTP/1.1 302 Found\r\n\r\n"), {"302"}),
    "never answers": (stalls(b""), {LATE}),
    "stops in the status line": (stalls(b"HTTP/1.1 2"), {LATE}),
    "stops in the headers": (stalls(OK + b"Content-Type: te"), {LATE}),
    "says 100 Continue without end": (repeats(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), {LATE}),
    "sends headers without end": (repeats(OK, b"X-More: and more\r\n"), {BROKEN}),
    "sends one header without end": (repeats(OK + b"X-More: ", b"a" * 65536), {BROKEN}),
    "sends a status line without end": (repeats(b"HTTP/1.1 200 ", b"O" * 65536), {BROKEN}),
    "closes at once": (says(b""), CUT),
    "closes in the status line": (says(b"HTTP/1.1 20"), CUT),
    "closes in the headers": (says(OK + b"Content-"), CUT),
    "resets the connection": (resets, CUT),
    "speaks no HTTP": (says(b"220 mail.example ESMTP\r\n"), {BROKEN}),
    "speaks HTTP/0.9": (says(b"<html>hello</html>"), {BROKEN}),
    "speaks HTTP/2": (says(b"\0\0\x12\4\0\0\0\0\0" + bytes(18)), {BROKEN}),
    "says status 99": (says(b"HTTP/1.1 99 Low\r\n\r\n"), {BROKEN}),
    "says status 999": (says(b"HTTP/1.1 999 High\r\n\r\n"), {"999"}),
    "says two lengths": (says(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"), {BROKEN}),
    "says a negative length": (says(OK + b"Content-Length: -1\r\n\r\nab"), {BROKEN}),
    "says a length of 5,000 digits": (says(OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n"), {BROKEN}),
    "has control characters in its headers": (says(OK + b"X-\x00: \x00\r\n\r\n"), {BROKEN}),
}


async def posted_to(script: Script, body: bytes = BODY, *, limit: float = LIMIT) -> Answer:
    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await script(reader, writer)
        except ConnectionError:
            pass  # falmock has closed the connection, as expected
        finally:
            writer.transport.abort() if script is resets else writer.close()

    server = await asyncio.start_server(receive, "127.0.0.1")
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    headers = {"Content-Length": str(len(body))}
    async with server, transport() as http:
        return await post(http, url, body=body, headers=headers, limit=limit)


@pytest.mark.parametrize("receiver", RECEIVERS)
def test_an_attempt_ends_with_the_right_verdict_for_any_receiver(receiver: str) -> None:
    script, verdicts = RECEIVERS[receiver]
    answer = asyncio.run(posted_to(script, limit=SHORT if LATE in verdicts else LIMIT))
    assert answer.verdict in verdicts
    assert len(answer.body) <= BEGINNING


def test_an_answer_before_the_body_is_read_counts() -> None:
    answer = asyncio.run(posted_to(says(b"HTTP/1.1 413 Too Large\r\n\r\n"), body=bytes(10_000_000)))
    assert answer.verdict in {"413", "connection lost", "connection reset"}


async def _posted(url: str, http: httpx.AsyncBaseTransport | None = None) -> Answer:
    async with http or transport() as opened:
        return await post(opened, url, body=BODY, headers={"Content-Length": str(len(BODY))}, limit=LIMIT)


def test_a_closed_port_is_reported_as_a_refused_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    assert asyncio.run(_posted(f"http://127.0.0.1:{port}/")).verdict == "connection refused"


def test_a_name_without_an_address_is_reported_as_not_found() -> None:
    assert asyncio.run(_posted("http://receiver.invalid/")).verdict == "name not found"


def test_a_certificate_of_an_unknown_authority_is_reported_with_the_reason(tmp_path: Path) -> None:
    with Receiver(tls=open_ca(tmp_path).context()) as receiver:
        answer = asyncio.run(_posted(receiver.url))

    assert answer.verdict == "certificate not trusted (unable to get local issuer certificate)"


def test_a_receiver_without_tls_is_reported_as_such() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def scene() -> Answer:
        async with await asyncio.start_server(refuse, "127.0.0.1") as server:
            return await _posted(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")

    assert asyncio.run(scene()).verdict == "no TLS connection"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (httpx.ConnectTimeout("x"), "timed out while connecting"),
        (httpx.ReadTimeout("x"), "timed out"),
        (httpx.ConnectError("x"), "cannot connect"),
        (httpx.ReadError("x"), "connection lost"),
        (httpx.InvalidURL("a strange URL"), "a strange URL"),
    ],
    ids=lambda each: str(each) if isinstance(each, str) else type(each).__name__,
)
def test_an_error_of_the_transport_is_reported_in_words(error: Exception, words: str) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error

    assert asyncio.run(_posted("http://x/", httpx.MockTransport(fail))).verdict == words


@pytest.mark.parametrize("receiver", ["sends a body without end", "never answers", "closes in the headers"])
def test_an_attempt_leaks_no_file_descriptor(receiver: str) -> None:
    script, verdicts = RECEIVERS[receiver]
    limit = SHORT if LATE in verdicts else LIMIT
    asyncio.run(posted_to(script, limit=limit))
    before = psutil.Process().num_fds()
    for _ in range(3):
        asyncio.run(posted_to(script, limit=limit))
    assert psutil.Process().num_fds() <= before
