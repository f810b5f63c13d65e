from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from falmock.fetching import Fetcher, FetchError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

PUBLIC = "93.184.216.34"


def fetcher(
    world: Callable[[httpx.Request], httpx.Response],
    *,
    public: bool = True,
    addresses: list[str] | None = None,
) -> Fetcher:
    """A fetcher in a world that is a function; names lead to `addresses`."""

    async def resolve(host: str, port: int) -> list[str]:
        del host, port
        return [PUBLIC] if addresses is None else addresses

    return Fetcher(httpx.AsyncClient(transport=httpx.MockTransport(world)), public=public, resolve=resolve)


def nothing_is_asked(request: httpx.Request) -> httpx.Response:
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
async def test_any_other_is_taken_on_trust(url: str) -> None:
    assert await fetcher(nothing_is_asked, public=False).get(url, limit=10) is None


async def test_a_public_file_is_fetched_from_the_address_that_was_checked() -> None:
    def world(request: httpx.Request) -> httpx.Response:
        seen = (request.url.host, request.headers["host"], request.extensions["sni_hostname"])
        assert seen == (PUBLIC, "example.com:8443", "example.com")
        return sent(b"data")

    assert await fetcher(world).get("https://example.com:8443/a", limit=10) == b"data"


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["169.254.169.254"], [PUBLIC, "127.0.0.1"], ["::1"], []])
async def test_a_name_that_leads_to_a_private_address_is_refused(addresses: list[str]) -> None:
    with pytest.raises(FetchError, match="not a public address"):
        await fetcher(nothing_is_asked, addresses=addresses).get("https://example.com/a", limit=10)


async def test_redirects_are_followed() -> None:
    def world(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/a":
            return httpx.Response(302, headers={"location": "/b"})
        return sent(request.url.path.encode())

    assert await fetcher(world).get("https://example.com/a", limit=10) == b"/b"


async def test_a_redirect_from_the_world_to_this_machine_is_refused() -> None:
    with pytest.raises(FetchError, match="redirects to this machine"):
        await fetcher(lambda _: httpx.Response(302, headers={"location": "http://localhost/x"})).get(
            "https://example.com/a", limit=10
        )


async def test_a_redirect_from_this_machine_to_the_world_is_taken_on_trust() -> None:
    world = fetcher(
        lambda _: httpx.Response(302, headers={"location": "https://example.com/x"}), public=False
    )

    assert await world.get("http://localhost/a", limit=10) is None


async def test_redirects_without_end_are_given_up() -> None:
    with pytest.raises(FetchError, match="redirects"):
        await fetcher(lambda _: httpx.Response(302, headers={"location": "/a"})).get(
            "https://example.com/a", limit=10
        )


@pytest.mark.parametrize("status", [404, 500, 204 + 200])
async def test_an_error_is_no_file(status: int) -> None:
    with pytest.raises(FetchError, match=str(status)):
        await fetcher(lambda _: httpx.Response(status)).get("http://localhost/a", limit=10)


async def test_no_more_is_read_than_one_byte_over_the_limit() -> None:
    assert await fetcher(says(b"x" * 100)).get("http://localhost/a", limit=10) == b"x" * 11


async def test_a_compressed_answer_is_not_unpacked() -> None:
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
async def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(FetchError):
        await fetcher(nothing_is_asked, addresses=[]).get(url, limit=10)


async def test_a_host_that_is_down_is_an_error_of_its_own() -> None:
    with pytest.raises(FetchError, match="ConnectError"):
        await fetcher(break_down).get("http://localhost/a", limit=10)


async def test_a_name_that_does_not_resolve_is_an_error() -> None:
    async def unknown(host: str, port: int) -> list[str]:
        raise OSError(f"no address for {host}:{port}")

    lost = Fetcher(
        httpx.AsyncClient(transport=httpx.MockTransport(nothing_is_asked)), public=True, resolve=unknown
    )

    with pytest.raises(FetchError, match="no address"):
        await lost.get("https://example.com/a", limit=10)
