"""Uploads and downloads, with all headers and byte for byte: PROTOCOL.md 8."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from emulated import KEY, png

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx
    from emulated import Mock

    Start = Callable[..., Awaitable[Mock]]

REST = {"Host": "rest.fal.ai"}
CDN = {"Host": "v3b.fal.media"}
INITIATE = "/storage/upload/initiate?storage_type=fal-cdn-v3"
DIGITS = f"{1_790_000_000 // 10:08x}"  # of the time of the fixture
DATA = png()
FALMOCKS_OWN = {"content-security-policy", "x-content-type-options", "etag", "last-modified"}


async def initiate(mock: Mock, name: str = "cat.png") -> httpx.Response:
    body = {"file_name": name, "content_type": "image/png"}
    return await mock.http.post(INITIATE, json=body, headers=KEY | REST)


async def put(mock: Mock, url: str, data: bytes = DATA) -> httpx.Response:
    path = url.removeprefix("http://v3b.fal.media")
    return await mock.http.put(path, content=data, headers=CDN | {"Content-Type": "image/png"})


async def get(mock: Mock, url: str, method: str = "GET", **headers: str) -> httpx.Response:
    path = url.removeprefix("http://v3b.fal.media")
    return await mock.http.request(method, path, headers=CDN | headers)


def headers_of(answer: httpx.Response) -> dict[str, str]:
    """Return all headers but the date, and those that falmock adds to protect its origin."""
    return {name: value for name, value in answer.headers.items() if name not in {"date", *FALMOCKS_OWN}}


async def test_initiate_names_the_file_and_the_signed_url_to_put_it_to(mock: Mock) -> None:
    answer = await initiate(mock, "my cat.png")

    url = rf"http://v3b\.fal\.media/files/b/{DIGITS}/[A-Za-z0-9_-]{{21}}_my_cat\.png"
    form = rf'\{{"file_url":"({url})","upload_url":"({url})\?signature=[A-Za-z0-9_-]{{16}}"\}}'
    match = re.fullmatch(form, answer.text)
    assert match is not None
    assert match[1] == match[2]
    assert headers_of(answer) == {
        "content-length": str(len(answer.content)),
        "content-type": "application/json",
        "strict-transport-security": "max-age=31536000; includeSubDomains",
        "x-robots-tag": "noindex",
    }


async def test_initiate_is_answered_with_the_same_bytes_for_the_same_seed(start: Start) -> None:
    bodies = [(await initiate(await start(seed=7))).content for _ in range(2)]

    assert bodies[0] == bodies[1]


async def test_digits_in_a_url_are_the_tens_of_seconds_of_its_time(mock: Mock) -> None:
    await mock.pass_time(9.9)
    early = (await initiate(mock)).json()["file_url"]
    await mock.pass_time(0.2)
    late = (await initiate(mock)).json()["file_url"]

    found = [int(url.split("/")[5], 16) for url in (early, late)]
    assert found == [179_000_000, 179_000_001]


async def test_digits_in_the_url_of_an_output_are_those_of_its_time(mock: Mock) -> None:
    submitted = await mock.submit()
    await mock.pass_time(60)

    url = (await mock.result(submitted)).json()["video"]["url"]

    digits = int(url.partition("/files/b/")[2].partition("/")[0], 16)
    assert 179_000_000 <= digits <= 179_000_006


async def test_put_is_answered_with_an_empty_body_and_these_headers(mock: Mock) -> None:
    answer = await put(mock, (await initiate(mock)).json()["upload_url"])

    assert (answer.status_code, answer.content) == (200, b"")
    headers = headers_of(answer)
    assert re.fullmatch("[0-9a-f]{32}", headers.pop("x-fal-backend-id"))
    assert headers == {"access-control-allow-origin": "*", "content-length": "0"}
    assert "etag" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_file_is_served_with_these_headers(mock: Mock, method: str) -> None:
    urls = (await initiate(mock)).json()
    await put(mock, urls["upload_url"])

    answer = await get(mock, urls["file_url"], method)

    assert (answer.status_code, answer.content) == (200, DATA if method == "GET" else b"")
    assert headers_of(answer) == {
        "accept-ranges": "bytes",
        "access-control-allow-origin": "*",
        "cache-control": "public, max-age=5184000, immutable",
        "content-length": str(len(DATA)),
        "content-type": "image/png",
        "x-fal-storage-type": "tigris",
    }


async def test_range_of_a_file_is_served(mock: Mock) -> None:
    urls = (await initiate(mock)).json()
    await put(mock, urls["upload_url"])

    answer = await get(mock, urls["file_url"], Range="bytes=1-3")

    assert (answer.status_code, answer.content) == (206, b"PNG")
    assert answer.headers["content-range"] == f"bytes 1-3/{len(DATA)}"


async def test_put_needs_no_key_and_its_file_is_read_without_one(mock: Mock) -> None:
    urls = (await initiate(mock)).json()

    assert (await put(mock, urls["upload_url"])).status_code == 200
    assert (await get(mock, urls["file_url"])).status_code == 200


async def test_another_file_cannot_be_put_with_the_signature_of_the_first(mock: Mock) -> None:
    one, other = [(await initiate(mock)).json() for _ in range(2)]
    signature = one["upload_url"].partition("?")[2]

    assert (await put(mock, f"{other['file_url']}?{signature}")).status_code == 401


async def test_upload_token_needs_a_body(mock: Mock) -> None:
    path = "/storage/auth/token?storage_type=fal-cdn-v3"

    without = await mock.http.post(path, headers=KEY | REST)
    given = await mock.http.post(path, json={}, headers=KEY | REST)

    assert (without.status_code, given.status_code) == (422, 200)
    assert list(given.json()) == ["token", "token_type", "base_url", "created_at", "expires_at"]


async def test_part_is_answered_with_json_and_an_etag(mock: Mock) -> None:
    body = {"file_name": "a.bin"}
    urls = (await mock.http.post("/storage/upload/initiate-multipart", json=body, headers=KEY | REST)).json()
    path, _, query = urls["upload_url"].partition("?")

    answer = await put(mock, f"{path}/1?{query}", b"data")

    md5 = "8d777f385d3dfec8815d20f7496026dc"
    assert (answer.text, answer.headers["etag"]) == (f'{{"partNumber":1,"etag":"{md5}"}}', f'"{md5}"')
