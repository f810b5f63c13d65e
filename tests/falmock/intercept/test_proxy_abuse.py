"""Abuse of the proxy leaves no descriptors and no tasks behind."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import uvloop
from abuse import RESET, Watch, abuse

from falmock.app import create_app
from falmock.http.server import Server, address, listen
from falmock.intercept.certificates import open_ca
from falmock.intercept.proxy import Proxy, Timeouts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from emulated import Mock

CALLS = 100
POST = b"POST http://queue.fal.run/fal-ai/veo2 HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n"
CHUNKED = b"POST http://queue.fal.run/fal-ai/veo2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
CONNECT = b"CONNECT queue.fal.run:443 HTTP/1.1\r\nHost: queue.fal.run:443\r\n\r\n"
PLAIN = b"CONNECT queue.fal.run:80 HTTP/1.1\r\nHost: queue.fal.run:80\r\n\r\n"
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # the beginning of a TLS handshake

ABUSES = {
    "sends nothing": b"",
    "breaks off in the request line": b"GET http://queue.f",
    "breaks off in the head": b"POST http://queue.fal.run/ HTTP/1.1\r\nHost:",
    "sends no HTTP": os.urandom(100),
    "breaks off before the body": POST,
    "breaks off in the body": POST + b"half",
    "breaks off in a chunk": CHUNKED + b"ffff\r\nhalf",
    "sends no chunks": CHUNKED + b"nonsense\r\n",
    "leaves without the answer": b"GET http://queue.fal.run/health HTTP/1.1\r\nHost: x\r\n\r\n",
    "leaves a tunnel": CONNECT,
    "breaks off in the handshake": CONNECT + HELLO,
    "sends no TLS": CONNECT + b"nonsense\r\n\r\n",
    "breaks off in a plain tunnel": PLAIN + b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nhalf",
    "calls a closed port": b"CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n\r\n",
}


@asynccontextmanager
async def proxy(mock: Mock, folder: Path, timeouts: Timeouts | None = None) -> AsyncIterator[int]:
    """Serve an emulator with TLS and through a proxy; gives the port of the proxy."""
    app = create_app(mock.emulator)
    async with AsyncExitStack() as stack:
        plain, tls, proxied = (stack.enter_context(listen("127.0.0.1", 0)) for _ in range(3))
        tested = Proxy(
            address(plain),
            address(tls),
            sealed=False,
            refused=lambda _: None,
            calling=app.state.through_proxy,
            timeouts=timeouts,
        )
        port = proxied.getsockname()[1]
        await stack.enter_async_context(Server(app).running(plain))
        await stack.enter_async_context(Server(app, open_ca(folder, {}).context()).running(tls))
        await stack.enter_async_context(tested.serving(proxied))
        await abuse(port, POST, "close")  # opens the descriptors that the event loop keeps
        yield port


@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
@pytest.mark.parametrize("text", ABUSES.values(), ids=ABUSES.keys())
async def test_abuse_of_the_proxy_leaves_no_descriptors_and_no_tasks(
    mock: Mock, tmp_path: Path, text: bytes, how: str
) -> None:
    async with proxy(mock, tmp_path) as port:
        watch = Watch()
        await asyncio.gather(*(abuse(port, text, how) for _ in range(CALLS)))
        await watch.settled()

        assert mock.emulator.store.requests() == []


HELD = {
    "a head": b"GET http://queue.fal.run/ HTTP/1.1\r\nHost:",
    "a body": POST + b"half",
    "a tunnel": CONNECT,
    "a handshake": CONNECT + HELLO,
}


@pytest.mark.parametrize("text", HELD.values(), ids=HELD.keys())
async def test_a_client_that_stalls_does_not_hold_a_descriptor(
    mock: Mock, tmp_path: Path, text: bytes
) -> None:
    quick = Timeouts(head=0.05, stall=0.05, silence=0.05)
    async with proxy(mock, tmp_path, quick) as port:
        watch = Watch()
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
        for _, writer in held:
            writer.write(text)
        for reader, writer in held:
            with suppress(OSError):
                await reader.read()  # until the proxy closes the connection
            writer.close()
        await watch.settled()


def test_a_client_that_resets_its_tunnel_before_the_answer_causes_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def reset_tunnels() -> None:
        with listen("127.0.0.1", 0) as tls, listen("127.0.0.1", 0) as proxied:
            own = address(tls)
            proxy = Proxy(own, own, sealed=True, refused=lambda _: None, calling=set())
            async with proxy.serving(proxied):
                for turns in range(30):
                    _, writer = await asyncio.open_connection(*proxied.getsockname())
                    writer.write(CONNECT)
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    client = writer.get_extra_info("socket")
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    writer.transport.abort()
                await Watch().settled()

    # The server's event loop; it raises a RuntimeError for a write to a closed connection.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(reset_tunnels())

    assert "bug in falmock" not in caplog.text
