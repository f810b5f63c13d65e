"""Uploads and downloads: PROTOCOL.md 8."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from emulated import BASE, KEY, OTHER_KEY, Mock, png
from processes import served

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    import httpx

    Start = Callable[..., Awaitable[Mock]]

MIB = 1024 * 1024
DATA = bytes(range(256)) * 40
TYPED = {"content-type": "image/png"}


async def token(mock: Mock, headers: dict[str, str] | None = None) -> dict[str, str]:
    answer = await mock.http.post("/rest.fal.ai/storage/auth/token", json={}, headers=KEY)
    return {"Authorization": f"Bearer {answer.json()['token']}", **TYPED, **(headers or {})}


async def upload(mock: Mock, data: bytes = DATA, headers: dict[str, str] | None = None) -> str:
    """Upload as fal's Python client does, and return the file's URL."""
    answer = await mock.http.post(
        "/v3.fal.media/files/upload", content=data, headers=await token(mock, headers)
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_url"])


async def initiate(mock: Mock, kind: str = "initiate") -> Any:
    """Ask for an address as fal's JavaScript client does."""
    body = {"file_name": "my cat.png", "content_type": "image/png"}
    return (await mock.http.post(f"/rest.fal.ai/storage/upload/{kind}", json=body, headers=KEY)).json()


async def test_a_direct_upload_can_be_fetched_by_anybody(mock: Mock) -> None:
    answer = await mock.http.get(await upload(mock))

    assert (answer.content, answer.headers["content-type"], answer.headers["content-length"]) == (
        DATA,
        "image/png",
        str(len(DATA)),
    )


async def test_an_uploads_name_is_kept_and_made_harmless(mock: Mock) -> None:
    url = await upload(mock, headers={"X-Fal-File-Name": "../my cat.png"})

    assert url.startswith(f"{BASE}/v3b.fal.media/files/b/")
    assert url.endswith("_.._my_cat.png")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nonsense", "Key me:secret"])
async def test_an_upload_without_a_token_is_401(mock: Mock, header: str) -> None:
    answer = await mock.http.post(
        "/v3.fal.media/files/upload", content=DATA, headers={"Authorization": header}
    )

    assert answer.status_code == 401


async def test_a_token_expires(mock: Mock) -> None:
    headers = await token(mock)
    await mock.pass_time(24 * 3600)

    answer = await mock.http.post("/v3.fal.media/files/upload", content=DATA, headers=headers)

    assert answer.status_code == 401


async def test_a_file_put_to_its_address_can_be_fetched(mock: Mock) -> None:
    where = await initiate(mock)

    put = await mock.http.put(where["upload_url"], content=DATA, headers=TYPED)

    answer = await mock.http.get(where["file_url"])
    assert (put.status_code, answer.content, answer.headers["content-type"]) == (200, DATA, "image/png")


async def test_a_file_is_not_there_before_it_has_arrived(mock: Mock) -> None:
    where = await initiate(mock)

    assert (await mock.http.get(where["file_url"])).status_code == 404


async def test_a_file_put_twice_is_the_second(mock: Mock) -> None:
    where = await initiate(mock)

    for data in (b"first", b"second"):
        await mock.http.put(where["upload_url"], content=data, headers=TYPED)

    assert (await mock.http.get(where["file_url"])).content == b"second"


async def python_parts(mock: Mock) -> tuple[str, Any]:
    """Send two parts, the second first, as fal's Python client does; return the URL and the completion."""
    headers = await token(mock)
    start = (await mock.http.post("/v3.fal.media/files/upload/multipart", headers=headers)).json()
    base = f"{start['access_url']}/multipart/{start['uploadId']}"
    etags = {}
    for number, data in ((2, DATA[5000:]), (1, DATA[:5000])):
        etags[number] = (await mock.http.put(f"{base}/{number}", content=data, headers=headers)).headers[
            "etag"
        ]
    parts = [{"partNumber": number, "etag": etags[number]} for number in (1, 2)]
    return start["access_url"], await mock.http.post(f"{base}/complete", json={"parts": parts}, headers=KEY)


async def test_parts_are_joined_in_the_order_of_their_numbers(mock: Mock) -> None:
    url, completed = await python_parts(mock)

    assert (completed.status_code, (await mock.http.get(url)).content) == (200, DATA)


async def javascript_parts(mock: Mock, *, etag: str | None = None) -> tuple[Any, httpx.Response]:
    where = await initiate(mock, "initiate-multipart")
    path, _, query = where["upload_url"].partition("?")
    parts = []
    for number, data in ((1, DATA[:5000]), (2, DATA[5000:])):
        part = await mock.http.put(f"{path}/{number}?{query}", content=data)
        assert part.headers["content-type"] == "application/json"
        parts.append(part.json() if etag is None else {"partNumber": number, "etag": etag})
    return where, await mock.http.post(f"{path}/complete?{query}", json={"parts": parts})


async def test_parts_as_the_javascript_client_sends_them_are_joined(mock: Mock) -> None:
    where, completed = await javascript_parts(mock)

    assert (completed.status_code, (await mock.http.get(where["file_url"])).content) == (200, DATA)


async def test_a_part_is_answered_in_both_places_with_its_md5(mock: Mock) -> None:
    where = await initiate(mock, "initiate-multipart")
    path, _, query = where["upload_url"].partition("?")

    part = await mock.http.put(f"{path}/7?{query}", content=DATA)

    md5 = hashlib.md5(DATA, usedforsecurity=False).hexdigest()
    assert (part.json(), part.headers["etag"]) == ({"partNumber": 7, "etag": md5}, f'"{md5}"')


@pytest.mark.parametrize("etag", ["0" * 32, "../../secret", ""])
async def test_parts_that_never_arrived_are_refused(mock: Mock, etag: str) -> None:
    _, completed = await javascript_parts(mock, etag=etag)

    assert (completed.status_code, completed.json()["error_type"]) == (400, "bad_request")


async def test_a_completion_whose_answer_was_lost_may_be_asked_again(mock: Mock) -> None:
    where = await initiate(mock, "initiate-multipart")
    path, _, query = where["upload_url"].partition("?")
    part = (await mock.http.put(f"{path}/1?{query}", content=DATA)).json()

    answers = [await mock.http.post(f"{path}/complete?{query}", json={"parts": [part]}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]


@pytest.mark.parametrize("number", ["0", "10001", "99999999999999999999"])
async def test_a_part_number_out_of_bounds_is_refused(mock: Mock, number: str) -> None:
    where = await initiate(mock, "initiate-multipart")
    path, _, query = where["upload_url"].partition("?")

    assert (await mock.http.put(f"{path}/{number}?{query}", content=DATA)).status_code == 400


async def test_a_put_to_an_address_that_nobody_gave_out_is_401(mock: Mock) -> None:
    assert (await mock.http.put("/v3.fal.media/uploads/put?token=x", content=DATA)).status_code == 401


async def test_a_file_over_the_limit_is_413_and_leaves_nothing(start: Start) -> None:
    mock = await start(max_upload=1000)
    where = await initiate(mock)

    answer = await mock.http.put(where["upload_url"], content=DATA)

    assert answer.status_code == 413
    assert (await mock.http.get(where["file_url"])).status_code == 404


async def test_a_head_has_the_headers_and_no_body(mock: Mock) -> None:
    answer = await mock.http.head(await upload(mock))

    assert (answer.status_code, answer.headers["content-length"], answer.content) == (
        200,
        str(len(DATA)),
        b"",
    )


@pytest.mark.parametrize(
    ("asked", "status", "data"),
    [
        ("bytes=0-9", 206, DATA[:10]),
        ("bytes=10000-", 206, DATA[10000:]),
        ("bytes=-5", 206, DATA[-5:]),
        ("bytes=99999-", 416, b""),
    ],
)
async def test_ranges_are_served_so_that_a_player_can_seek(
    mock: Mock, asked: str, status: int, data: bytes
) -> None:
    answer = await mock.http.get(await upload(mock), headers={"Range": asked})

    assert (answer.status_code, answer.content if status == 206 else b"") == (status, data)


async def test_a_file_is_gone_when_its_time_is_up(mock: Mock) -> None:
    url = await upload(
        mock, headers={"X-Fal-Object-Lifecycle": json.dumps({"expiration_duration_seconds": 60})}
    )
    assert (await mock.http.get(url)).status_code == 200

    await mock.pass_time(60)

    assert (await mock.http.get(url)).status_code == 404
    assert list((mock.emulator.files.renders.parent / "files").iterdir()) == []


async def test_an_expiry_of_zero_means_never(mock: Mock) -> None:
    url = await upload(
        mock, headers={"X-Fal-Object-Lifecycle": json.dumps({"expiration_duration_seconds": 0})}
    )

    await mock.pass_time(31 * 86_400)

    assert (await mock.http.get(url)).status_code == 200


@pytest.mark.parametrize(
    ("acl", "headers", "status"),
    [
        ({"default": "allow"}, {}, 200),
        ({"default": "forbid"}, {}, 403),
        ({"default": "hide"}, {}, 404),
        ({"default": "hide"}, KEY, 200),
        ({"default": "forbid", "rules": [{"user": "you", "decision": "allow"}]}, OTHER_KEY, 200),
        ({"default": "allow", "rules": [{"user": "you", "decision": "hide"}]}, OTHER_KEY, 404),
        ({"rules": []}, {}, 200),
    ],
)
async def test_an_access_list_decides_who_reads(
    mock: Mock, acl: dict[str, Any], headers: dict[str, str], status: int
) -> None:
    url = await upload(mock, headers={"X-Fal-Object-Lifecycle": json.dumps({"initial_acl": acl})})

    assert (await mock.http.get(url, headers=headers)).status_code == status


async def test_an_outputs_lifecycle_is_the_submits_preference(mock: Mock) -> None:
    preference = json.dumps({"expiration_duration_seconds": 30})
    submitted = await mock.submit(headers={"X-Fal-Object-Lifecycle-Preference": preference})
    await mock.pass_time(6)
    url = (await mock.result(submitted)).json()["video"]["url"]
    assert (await mock.http.get(url)).status_code == 200

    await mock.pass_time(30)

    assert (await mock.http.get(url)).status_code == 404


async def test_an_output_says_its_type_and_size(mock: Mock) -> None:
    video = (await mock.finish()).json()["video"]

    answer = await mock.http.head(video["url"])

    assert (answer.headers["content-type"], int(answer.headers["content-length"])) == (
        video["content_type"],
        video["file_size"],
    )


async def test_an_uploaded_file_is_an_input(mock: Mock) -> None:
    url = await upload(mock, png(18, 32))

    assert (await mock.finish(url)).status_code == 200


async def test_an_expired_upload_is_no_input(mock: Mock) -> None:
    url = await upload(
        mock, png(), {"X-Fal-Object-Lifecycle": json.dumps({"expiration_duration_seconds": 60})}
    )
    await mock.pass_time(61)

    result = await mock.finish(url)

    assert (result.status_code, result.json()["detail"][0]["type"]) == (422, "file_download_error")


def test_a_large_upload_does_not_grow_memory(tmp_path: Path) -> None:
    def peak_after(megabytes: int) -> int:
        with served("--state", str(tmp_path / str(megabytes))) as server:
            body = {"file_name": "large.bin", "content_type": "application/octet-stream"}
            where = server.http.post("/rest.fal.ai/storage/upload/initiate", json=body).json()
            answer = server.http.put(where["upload_url"], content=(bytes(MIB) for _ in range(megabytes)))
            assert answer.status_code == 200
            size = server.http.head(where["file_url"]).headers["content-length"]
            assert int(size) == megabytes * MIB
            return server.peak_memory()

    assert peak_after(300) - peak_after(1) < 16 * MIB
