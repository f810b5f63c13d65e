"""Clients that break off calls and uploads leave no descriptors, no tasks and no files behind."""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import TYPE_CHECKING

import pytest
from abuse import Watch, abuse
from emulated import KEY

from falmock.app import create_app
from falmock.http.server import Server, listen
from falmock.intercept.certificates import open_ca

if TYPE_CHECKING:
    from pathlib import Path

    from emulated import Mock

CALLS = 50
POST = (
    b"POST /fal-ai/veo2 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Key a:b\r\nContent-Length: 50\r\n\r\n"
)
CHUNKED = b"POST /fal-ai/veo2 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # the beginning of a TLS handshake

ABUSES = {
    "sends nothing": b"",
    "breaks off in the request line": b"GET /hea",
    "breaks off in the head": b"POST / HTTP/1.1\r\nHost:",
    "sends no HTTP": os.urandom(100),
    "breaks off before the body": POST,
    "breaks off in the body": POST + b"half",
    "breaks off in a chunk": CHUNKED + b"ffff\r\nhalf",
    "sends no chunks": CHUNKED + b"nonsense\r\n",
    "leaves without the answer": GET,
    "leaves without the answers to many": GET * 100,
    "breaks off in a TLS handshake": HELLO,
}


@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
@pytest.mark.parametrize("text", ABUSES.values(), ids=ABUSES.keys())
async def test_abuse_of_the_plain_port_leaves_no_descriptors_and_no_tasks(
    mock: Mock, text: bytes, how: str
) -> None:
    with listen("127.0.0.1", 0) as listener:
        async with Server(create_app(mock.emulator)).running(listener):
            port = listener.getsockname()[1]
            await abuse(port, POST, "close")  # opens the descriptors that the event loop keeps
            watch = Watch()
            await asyncio.gather(*(abuse(port, text, how) for _ in range(CALLS)))
            await watch.settled()

    assert mock.emulator.store.requests() == []


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("inside", [False, True], ids=["instead of TLS", "inside TLS"])
@pytest.mark.parametrize("text", ABUSES.values(), ids=ABUSES.keys())
async def test_abuse_of_the_tls_port_leaves_no_descriptors_and_no_tasks(
    mock: Mock, tmp_path: Path, text: bytes, inside: bool, how: str
) -> None:
    ca = open_ca(tmp_path, {})
    trusting = ssl.create_default_context(cafile=str(ca.certificate)) if inside else None
    with listen("127.0.0.1", 0) as listener:
        async with Server(create_app(mock.emulator), ca.context()).running(listener):
            port = listener.getsockname()[1]
            await abuse(port, POST, "close", trusting)
            watch = Watch()
            await asyncio.gather(*(abuse(port, text, how, trusting) for _ in range(CALLS)))
            await watch.settled()

    assert mock.emulator.store.requests() == []


@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
@pytest.mark.parametrize("kind", ["initiate", "initiate-multipart"])
@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: 100000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nffff\r\n"],
    ids=["length", "chunked"],
)
async def test_aborted_uploads_leave_no_descriptors_no_tasks_and_no_files(
    mock: Mock, kind: str, framing: bytes, how: str
) -> None:
    body = {"file_name": "a.png", "content_type": "image/png"}
    path = f"/rest.fal.ai/storage/upload/{kind}"
    url = (await mock.http.post(path, json=body, headers=KEY)).json()["upload_url"]
    target, _, query = url.partition("8787")[2].partition("?")
    part = "/1" if kind == "initiate-multipart" else ""
    text = f"PUT {target}{part}?{query} HTTP/1.1\r\nHost: 127.0.0.1:8787\r\n".encode() + framing
    with listen("127.0.0.1", 0) as listener:
        async with Server(create_app(mock.emulator)).running(listener):
            port = listener.getsockname()[1]
            await abuse(port, text + b"x" * 1000, "close")
            watch = Watch()
            await asyncio.gather(*(abuse(port, text + b"x" * 1000, how) for _ in range(CALLS)))
            await watch.settled()

    folders = [mock.emulator.files.folder / name for name in ("uploads", "files")]
    assert [path for folder in folders for path in folder.rglob("*") if path.is_file()] == []


async def test_an_upload_that_is_not_aborted_leaves_a_file(mock: Mock) -> None:
    body = {"file_name": "a.png", "content_type": "image/png"}
    announced = (await mock.http.post("/rest.fal.ai/storage/upload/initiate", json=body, headers=KEY)).json()
    await mock.http.put(announced["upload_url"], content=b"x" * 1000)

    assert [path.stat().st_size for path in (mock.emulator.files.folder / "files").iterdir()] == [1000]
