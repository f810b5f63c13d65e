from __future__ import annotations

import asyncio
import ssl
from functools import partial
from typing import TYPE_CHECKING

import httpx
import pytest

from falmock.media.fetching import Fetcher, FetchError
from falmock.system.dialler import PUBLIC_ONLY, Dialler, OwnAddresses
from falmock.system.transport import CheckedTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

PUBLIC = "93.184.216.34"


def fetcher(world: Callable[[httpx.Request], httpx.Response], *, public: bool = True) -> Fetcher:
    """A fetcher with a function in place of the network. For real connections, see test_dialler.py."""
    return Fetcher(httpx.AsyncClient(transport=httpx.MockTransport(world)), public=public)


def no_request_is_sent(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"{request.url} was fetched")


class Wire(httpx.AsyncByteStream):
    """Bytes on their way, not read yet."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data


def sent(data: bytes, **headers: str) -> httpx.Response:
    return httpx.Response(
        200, stream=Wire(data), headers={name.replace("_", "-"): headers[name] for name in headers}
    )


def says(data: bytes) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: sent(data)


@pytest.mark.parametrize("url", ["http://localhost:3000/a.png", "http://127.0.0.1/a", "http://[::1]:1/a"])
async def test_a_file_on_this_machine_is_fetched(url: str) -> None:
    assert await fetcher(says(b"data"), public=False).get(url, limit=10) == b"data"


@pytest.mark.parametrize(
    "url", ["https://example.com/a.png", "http://10.0.0.1/a", "https://v3.fal.media/files/x"]
)
async def test_a_public_file_is_not_fetched_by_default(url: str) -> None:
    assert await fetcher(no_request_is_sent, public=False).get(url, limit=10) is None


async def test_a_public_file_is_fetched_when_the_settings_allow_it() -> None:
    assert await fetcher(says(b"data")).get(f"https://{PUBLIC}/a", limit=10) == b"data"


async def answer_with(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(f"HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
    writer.close()


@pytest.mark.parametrize("redirected", [False, True])
@pytest.mark.parametrize("name", ["localhost", "x.localhost", "127.0.0.1", "127.1", "[::ffff:127.0.0.1]"])
async def test_a_file_is_not_fetched_from_the_emulator_itself(name: str, redirected: bool) -> None:
    own, received = OwnAddresses(), []

    async def here(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    emulator = await asyncio.start_server(here, "127.0.0.1", 0)
    itself = f"http://{name}:{emulator.sockets[0].getsockname()[1]}/control/clock"
    own.add(emulator.sockets[0])
    other = await asyncio.start_server(
        partial(answer_with, f"302 Found\r\nLocation: {itself}"), "127.0.0.1", 0
    )
    transport = CheckedTransport(Dialler(own, beyond=PUBLIC_ONLY), verify=ssl.create_default_context())
    url = f"http://127.0.0.1:{other.sockets[0].getsockname()[1]}/" if redirected else itself
    async with emulator, other, httpx.AsyncClient(transport=transport) as http:
        with pytest.raises(FetchError, match="is falmock itself"):
            await Fetcher(http, public=True).get(url, limit=10)

    assert received == []


@pytest.mark.parametrize(
    "location", ["", "Location: http://[\r\n", "Location: //[::1\r\n", "Location: x:y\r\n"]
)
async def test_a_redirect_without_a_usable_location_is_an_error(location: str) -> None:
    name, _, value = location.strip().partition(": ")
    with pytest.raises(FetchError):
        await fetcher(lambda _: httpx.Response(302, headers={name: value} if name else {})).get(
            "http://localhost/a", limit=10
        )


async def test_redirects_are_followed() -> None:
    def world(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/a":
            return httpx.Response(302, headers={"location": "/b"})
        return sent(request.url.path.encode())

    assert await fetcher(world).get("https://example.com/a", limit=10) == b"/b"


async def test_a_redirect_from_a_public_address_to_this_machine_is_refused() -> None:
    with pytest.raises(FetchError, match="redirects to this machine"):
        await fetcher(lambda _: httpx.Response(302, headers={"location": "http://localhost/x"})).get(
            "https://example.com/a", limit=10
        )


async def test_a_redirect_from_this_machine_to_a_public_address_is_not_followed() -> None:
    world = fetcher(
        lambda _: httpx.Response(302, headers={"location": "https://example.com/x"}), public=False
    )

    assert await world.get("http://localhost/a", limit=10) is None


async def test_an_endless_chain_of_redirects_is_an_error() -> None:
    with pytest.raises(FetchError, match="redirects"):
        await fetcher(lambda _: httpx.Response(302, headers={"location": "/a"})).get(
            "https://example.com/a", limit=10
        )


@pytest.mark.parametrize("status", [404, 500, 204 + 200])
async def test_an_error_status_is_an_error(status: int) -> None:
    with pytest.raises(FetchError, match=str(status)):
        await fetcher(lambda _: httpx.Response(status)).get("http://localhost/a", limit=10)


async def test_reading_stops_one_byte_over_the_limit() -> None:
    assert await fetcher(says(b"x" * 100)).get("http://localhost/a", limit=10) == b"x" * 11


async def test_a_compressed_response_is_not_decompressed() -> None:
    def world(request: httpx.Request) -> httpx.Response:
        assert request.headers["accept-encoding"] == "identity"
        return sent(b"not gzip", content_encoding="gzip")

    assert await fetcher(world).get("http://localhost/a", limit=10) == b"not gzip"


def break_down(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "ftp://localhost/x",
        "file:///etc/passwd",
        "http://",
        "http://[",
        "http://" + "a" * 2100,
        "http://\x00",
    ],
)
async def test_an_invalid_url_is_refused(url: str) -> None:
    with pytest.raises(FetchError):
        await fetcher(no_request_is_sent).get(url, limit=10)


async def test_a_refused_connection_is_a_fetch_error() -> None:
    with pytest.raises(FetchError, match="ConnectError"):
        await fetcher(break_down).get("http://localhost/a", limit=10)


async def test_a_name_that_does_not_resolve_is_a_fetch_error() -> None:
    async def unknown(host: str, port: int) -> list[str]:
        raise OSError(f"{host}:{port} is unknown")

    dialler = Dialler(OwnAddresses(), beyond=PUBLIC_ONLY, look_up=unknown)
    transport = CheckedTransport(dialler, verify=ssl.create_default_context())
    async with httpx.AsyncClient(transport=transport) as http:
        with pytest.raises(FetchError, match="no address"):
            await Fetcher(http, public=True).get("https://example.com/a", limit=10)
