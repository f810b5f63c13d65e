"""The protocol of the proxy."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falmock.http.server import listen
from falmock.intercept.proxy import Proxy, RefusedError, Timeouts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PATIENCE = 30  # seconds


@asynccontextmanager
async def parrot(name: bytes = b"", until: bytes = b"\0") -> AsyncIterator[str]:
    """Serve an address that sends its name, then echoes all data, up to the end or to some last bytes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(name)
        while data := await reader.read(1000):
            writer.write(data)
            if data.endswith(until):
                break
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def proxy(
    *, sealed: bool = False, refused: list[str] | None = None, timeouts: Timeouts | None = None
) -> AsyncIterator[int]:
    names = [] if refused is None else refused
    async with parrot(b"plain ", until=b"\r\n\r\nhello") as http, parrot(b"secure ") as https:
        with listen("127.0.0.1", 0) as listener:
            tested = Proxy(http, https, sealed=sealed, refused=names.append, calling=set(), timeouts=timeouts)
            async with tested.serving(listener):
                yield listener.getsockname()[1]


async def say(port: int, text: str, encoding: str = "utf-8") -> str:
    """Send text to the proxy and return the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text.encode(encoding))
    with suppress(OSError):
        writer.write_eof()
    async with asyncio.timeout(PATIENCE):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.decode(encoding)


def connect(authority: str) -> str:
    return f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"


@pytest.mark.parametrize(
    "host", ["queue.fal.run", "FAL.RUN", "rest.fal.ai.", "gateway.fal.ai", "queue.falrun.com"]
)
async def test_a_tunnel_to_any_fal_host_ends_at_the_tls_port(host: str) -> None:
    async with proxy() as port:
        answer = await say(port, connect(f"{host}:443") + "hello")

    assert answer == "HTTP/1.1 200 Connection Established\r\n\r\nsecure hello"


async def test_a_tunnel_needs_no_host_header_in_http_1_0() -> None:
    async with proxy() as port:
        answer = await say(port, "CONNECT queue.fal.run:443 HTTP/1.0\r\n\r\nhello")

    assert answer.startswith("HTTP/1.1 200 Connection Established\r\n")
    assert answer.endswith("\r\n\r\nsecure hello")


@pytest.mark.parametrize("sealed", [True, False])
async def test_a_tunnel_to_this_machine_is_allowed_even_when_sealed(sealed: bool) -> None:
    async with proxy(sealed=sealed) as port, parrot(b"mine ") as address:
        answer = await say(port, connect(address.removeprefix("http://")) + "hello")

    assert answer.endswith("\r\n\r\nmine hello")


@pytest.mark.parametrize(
    ("host", "named"),
    [("gateway.fal.ai", ["gateway.fal.ai"]), ("queue.falrun.com", ["queue.falrun.com"]), ("fal.run", [])],
)
async def test_a_fal_host_that_is_not_emulated_is_reported_as_refused(host: str, named: list[str]) -> None:
    refused: list[str] = []
    async with proxy(refused=refused) as port:
        await say(port, connect(f"{host}:443"))

    assert refused == named


async def test_a_sealed_proxy_names_an_ipv6_address_in_brackets() -> None:
    async with proxy(sealed=True) as port:
        answer = await say(port, connect("[2001:db8::7]:443"))

    assert answer.startswith("HTTP/1.1 403 falmock is sealed and lets nothing out to [2001:db8::7]\r\n")


async def test_a_sealed_proxy_refuses_other_machines_in_the_reason_phrase() -> None:
    async with proxy(sealed=True) as port:
        answer = await say(port, connect("example.com:443"))

    assert answer.startswith("HTTP/1.1 403 falmock is sealed and lets nothing out to example.com\r\n")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_other_machines_cannot_reach_loopback_through_the_proxy(host: str) -> None:
    tested = Proxy("http://127.0.0.1:1", "http://127.0.0.1:2", sealed=True, refused=print, calling=set())

    with pytest.raises(RefusedError, match="fal's hosts only"):
        tested.destination(host, 5432, local=False)


@pytest.mark.parametrize("port", [22, 8443])
def test_fal_hosts_have_ports_80_and_443_only(port: int) -> None:
    tested = Proxy("http://127.0.0.1:1", "http://127.0.0.1:2", sealed=False, refused=print, calling=set())

    with pytest.raises(RefusedError, match="ports 80 and 443 only"):
        tested.destination("queue.fal.run", port)


@pytest.mark.parametrize("host", ["example.com", "notfal.run", "fal.run.example.com", "127.0.0.1"])
def test_a_call_to_another_host_is_not_redirected(host: str) -> None:
    tested = Proxy("http://127.0.0.1:1", "http://127.0.0.1:2", sealed=False, refused=print, calling=set())

    assert tested.destination(host, 443) == (host, 443)


async def test_a_plain_request_is_forwarded_in_origin_form() -> None:
    request = (
        "POST http://queue.fal.run/a?b=c HTTP/1.1\r\nHost: queue.fal.run\r\nProxy-Connection: keep-alive\r\n"
        "Content-Length: 5\r\n\r\nhello"
    )
    async with proxy() as port:
        answer = await say(port, request)

    assert answer == (
        "plain POST /a?b=c HTTP/1.1\r\nHost: queue.fal.run\r\nContent-Length: 5\r\n"
        "Connection: close\r\n\r\nhello"
    )


async def test_a_second_request_on_a_connection_is_not_forwarded() -> None:
    async with proxy() as port, parrot(until=b"\r\n\r\n") as address:
        first = f"GET {address}/first HTTP/1.1\r\nHost: x\r\n\r\n"
        answer = await say(
            port, first + "GET http://queue.fal.run/second HTTP/1.1\r\nHost: queue.fal.run\r\n\r\n"
        )

    assert ("GET /first" in answer, "second" in answer) == (True, False)


async def test_an_upgrade_is_forwarded_with_all_data_that_follows() -> None:
    request = "GET {}/socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    async with proxy() as port, parrot() as address:
        answer = await say(port, request.format(address) + "frames")

    assert answer.endswith("\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nframes")


@pytest.mark.parametrize(
    "text",
    [
        "GET /a HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        "GET https://queue.fal.run/a HTTP/1.1\r\nHost: queue.fal.run\r\n\r\n",
        connect("queue.fal.run"),
        connect("queue.fal.run:many"),
        connect("queue..fal.run:443"),
        connect("[::1]x:443"),
        connect("[::1%lo].example.com:443"),
        connect("127.0.0.1%.example.com:443"),
        connect("queue.fal.run:99999"),
        "GET http://queue..fal.run/a HTTP/1.1\r\nHost: x\r\n\r\n",
        f"GET http://{'a' * 64}.example.com/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://.example.com/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http:///a HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://queue.fal.run/a HTTP/1.0\r\n\r\n",
        "GET http://queue.fal.run/a HTTP/1.1\r\n\r\n",
        "GET http://queue.fal.run/a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        "GET http://queue.fal.run/ HTT",
        "nonsense\r\n\r\n",
    ],
)
async def test_a_request_that_is_not_for_a_proxy_is_400(text: str, caplog: pytest.LogCaptureFixture) -> None:
    async with proxy() as port:
        answer = await say(port, text)

    assert (answer[:13], caplog.text) == ("HTTP/1.1 400 ", "")


@given(st.text(alphabet=st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=80))
def test_the_proxy_answers_or_refuses_any_host_without_a_traceback(host: str) -> None:
    async def ask() -> str:
        async with proxy(sealed=True) as port:
            return await say(port, f"GET http://{host}/ HTTP/1.1\r\nHost: x\r\n\r\n", "latin-1")

    with patch.object(logging.getLogger("falmock"), "error") as error:
        status = asyncio.run(ask()).partition(" ")[2][:3]

    assert not error.called
    answers = {"400", "403", "502", "GET"}  # GET is the echo of the emulator, for a host of fal
    assert status in answers or not host.strip("/")


async def test_a_head_that_is_too_large_is_431() -> None:
    async with proxy() as port:
        answer = await say(port, "GET http://queue.fal.run/ HTTP/1.1\r\nHost: x\r\nX: " + "a" * 200_000)

    assert answer.startswith("HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "text",
    ["", "GET http://queue.fal.run/ HTTP/1.1\r\nHost:", "CONNECT queue.fal.run:443 HTTP/1.1\r\nHost: x\r\n"],
)
async def test_a_head_that_is_not_complete_in_time_is_408(text: str) -> None:
    async with proxy(timeouts=Timeouts(head=0.01)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(text.encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()

    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_body_that_stalls_ends_the_call() -> None:
    request = "POST http://queue.fal.run/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe"
    async with proxy(timeouts=Timeouts(stall=0.01)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request.encode())
        await reader.read()  # returns: the connection is closed
        writer.close()
        await writer.wait_closed()


async def test_a_silent_tunnel_is_closed() -> None:
    async with proxy(timeouts=Timeouts(silence=0.01)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(connect("queue.fal.run:443").encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()

    assert answer.endswith(b"secure ")


async def test_an_early_answer_reaches_a_client_that_is_still_sending() -> None:
    async def too_large(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(too_large, "127.0.0.1", 0)
    async with server, proxy() as port:
        there = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"POST {there} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nhello".encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()

    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_host_that_cannot_be_reached_is_502() -> None:
    with listen("127.0.0.1", 0) as listener:
        closed = listener.getsockname()[1]
    async with proxy() as port:
        assert (await say(port, connect(f"127.0.0.1:{closed}"))).startswith("HTTP/1.1 502 ")


async def test_a_client_that_sends_nothing_is_disconnected() -> None:
    async with proxy() as port:
        assert await say(port, "") == ""


@pytest.mark.parametrize("named", ["localhost", "127.0.0.1:8787", "rest.fal.ai"])
async def test_the_host_header_is_replaced_by_the_host_of_the_url(named: str) -> None:
    async with proxy() as port, parrot(until=b"\r\n\r\n") as address:
        answer = await say(port, f"GET {address}/a HTTP/1.1\r\nHost: {named}\r\n\r\n")

    hosts = [line for line in answer.split("\r\n") if line.lower().startswith("host:")]
    assert hosts == [f"Host: {address.removeprefix('http://')}"]


async def test_forwarding_headers_of_a_client_are_removed() -> None:
    claims = "".join(
        f"{name}: 127.0.0.1\r\n"
        for name in (
            "X-Forwarded-For",
            "x-forwarded-host",
            "X-Forwarded-Proto",
            "X-Forwarded-Port",
            "Forwarded",
            "X-Real-IP",
        )
    )
    request = f"GET http://queue.fal.run/a HTTP/1.1\r\nHost: x\r\n{claims}Content-Length: 5\r\n\r\nhello"
    async with proxy() as port:
        answer = await say(port, request)

    assert answer == (
        "plain GET /a HTTP/1.1\r\nHost: queue.fal.run\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
    )


async def test_a_name_below_localhost_leads_to_this_machine_without_dns() -> None:
    async with proxy(sealed=True) as port, parrot(b"mine ") as address:
        answer = await say(port, connect(address.removeprefix("http://").replace("127.0.0.1", "x.localhost")))

    assert answer.endswith("\r\n\r\nmine ")


async def test_the_server_behind_the_proxy_sees_when_a_client_disconnects() -> None:
    left = asyncio.Event()

    async def waiting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the client closes
        left.set()
        writer.close()

    server = await asyncio.start_server(waiting, "127.0.0.1", 0)
    async with server, proxy() as port:
        there = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {there} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        async with asyncio.timeout(PATIENCE):
            await left.wait()


async def test_the_proxy_closes_while_tunnels_are_open() -> None:
    async with proxy() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(connect("queue.fal.run:443").encode())
        await reader.readuntil(b"secure ")

    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
