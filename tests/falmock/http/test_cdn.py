"""Uploads and downloads: PROTOCOL.md 8."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import resource
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from emulated import BASE, ENDPOINT, KEY, OTHER_KEY, Mock, opened, png
from example_count import examples
from few_descriptors import none_left
from hypothesis import given
from hypothesis import strategies as st
from processes import running, served

from falmock.engine.clock import ManualClock
from falmock.http.cdn import MOST_PARTS, OpenFileResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
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
    """Initiate an upload as fal's JavaScript client does."""
    body = {"file_name": "my cat.png", "content_type": "image/png"}
    return (await mock.http.post(f"/rest.fal.ai/storage/upload/{kind}", json=body, headers=KEY)).json()


async def test_a_direct_upload_can_be_downloaded_without_a_key(mock: Mock) -> None:
    answer = await mock.http.get(await upload(mock))

    assert (answer.content, answer.headers["content-type"], answer.headers["content-length"]) == (
        DATA,
        "image/png",
        str(len(DATA)),
    )


async def test_the_name_of_an_upload_is_in_its_url_without_special_characters(mock: Mock) -> None:
    url = await upload(mock, headers={"X-Fal-File-Name": "../my cat.png"})

    assert url.startswith(f"{BASE}/v3b.fal.media/files/b/")
    assert url.endswith("_.._my_cat.png")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nonsense", "Key me:secret"])
async def test_an_upload_without_a_valid_token_is_401(mock: Mock, header: str) -> None:
    answer = await mock.http.post(
        "/v3.fal.media/files/upload", content=DATA, headers={"Authorization": header}
    )

    assert answer.status_code == 401


async def test_an_upload_token_expires_after_a_day(mock: Mock) -> None:
    headers = await token(mock)
    await mock.pass_time(24 * 3600)

    answer = await mock.http.post("/v3.fal.media/files/upload", content=DATA, headers=headers)

    assert answer.status_code == 401


async def test_a_file_put_to_its_upload_url_can_be_downloaded(mock: Mock) -> None:
    where = await initiate(mock)

    put = await mock.http.put(where["upload_url"], content=DATA, headers=TYPED)

    answer = await mock.http.get(where["file_url"])
    assert (put.status_code, answer.content, answer.headers["content-type"]) == (200, DATA, "image/png")


async def test_an_announced_file_is_404_before_its_upload(mock: Mock) -> None:
    where = await initiate(mock)

    assert (await mock.http.get(where["file_url"])).status_code == 404


async def test_a_second_put_replaces_the_file(mock: Mock) -> None:
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


async def test_parts_from_the_javascript_client_are_joined(mock: Mock) -> None:
    where, completed = await javascript_parts(mock)

    assert (completed.status_code, (await mock.http.get(where["file_url"])).content) == (200, DATA)


async def test_the_answer_to_a_part_has_its_md5_in_header_and_body(mock: Mock) -> None:
    where = await initiate(mock, "initiate-multipart")
    path, _, query = where["upload_url"].partition("?")

    part = await mock.http.put(f"{path}/7?{query}", content=DATA)

    md5 = hashlib.md5(DATA, usedforsecurity=False).hexdigest()
    assert (part.json(), part.headers["etag"]) == ({"partNumber": 7, "etag": md5}, f'"{md5}"')


@pytest.mark.parametrize("etag", ["0" * 32, "../../secret", ""])
async def test_a_completion_with_unknown_parts_is_refused(mock: Mock, etag: str) -> None:
    _, completed = await javascript_parts(mock, etag=etag)

    assert (completed.status_code, completed.json()["error_type"]) == (400, "bad_request")


async def test_a_completion_can_be_repeated(mock: Mock) -> None:
    where = await initiate(mock, "initiate-multipart")
    path, _, query = where["upload_url"].partition("?")
    part = (await mock.http.put(f"{path}/1?{query}", content=DATA)).json()

    answers = [await mock.http.post(f"{path}/complete?{query}", json={"parts": [part]}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]


@pytest.mark.parametrize("number", ["0", "10001", "99999999999999999999"])
async def test_a_part_number_out_of_range_is_refused(mock: Mock, number: str) -> None:
    where = await initiate(mock, "initiate-multipart")
    path, _, query = where["upload_url"].partition("?")

    assert (await mock.http.put(f"{path}/{number}?{query}", content=DATA)).status_code == 400


@pytest.mark.parametrize("signature", ["", "?signature=", "?signature=AAAAAAAAAAAAAAAA", "?signature=%C3%A9"])
async def test_a_put_without_the_signature_of_its_path_is_401(mock: Mock, signature: str) -> None:
    where = await initiate(mock)

    answer = await mock.http.put(f"{where['file_url']}{signature}", content=DATA)

    assert answer.status_code == 401
    assert (await mock.http.get(where["file_url"])).status_code == 404


async def test_the_signature_of_one_file_does_not_admit_another(mock: Mock) -> None:
    one, other = await initiate(mock), await initiate(mock)
    signature = one["upload_url"].partition("?")[2]

    assert (await mock.http.put(f"{other['file_url']}?{signature}", content=DATA)).status_code == 401


async def test_an_upload_url_is_valid_for_a_day(mock: Mock) -> None:
    url = (await initiate(mock))["upload_url"]
    await mock.pass_time(24 * 3600 - 1)
    early = await mock.http.put(url, content=DATA)
    await mock.pass_time(1)

    assert (early.status_code, (await mock.http.put(url, content=DATA)).status_code) == (200, 401)


async def test_a_file_over_the_limit_is_413_and_not_published(start: Start) -> None:
    mock = await start(max_upload=1000)
    where = await initiate(mock)

    answer = await mock.http.put(where["upload_url"], content=DATA)

    assert answer.status_code == 413
    assert (await mock.http.get(where["file_url"])).status_code == 404


async def test_head_returns_the_headers_without_a_body(mock: Mock) -> None:
    answer = await mock.http.head(await upload(mock))

    assert (answer.status_code, answer.headers["content-length"], answer.content) == (
        200,
        str(len(DATA)),
        b"",
    )


@pytest.mark.parametrize(
    ("range_", "status", "data"),
    [
        ("bytes=0-9", 206, DATA[:10]),
        ("bytes=10000-", 206, DATA[10000:]),
        ("bytes=-5", 206, DATA[-5:]),
        ("bytes=99999-", 416, b""),
    ],
)
async def test_ranges_of_a_file_are_served(mock: Mock, range_: str, status: int, data: bytes) -> None:
    answer = await mock.http.get(await upload(mock), headers={"Range": range_})

    assert (answer.status_code, answer.content if status == 206 else b"") == (status, data)


async def test_an_expired_file_is_404_and_deleted(mock: Mock) -> None:
    url = await upload(
        mock, headers={"X-Fal-Object-Lifecycle": json.dumps({"expiration_duration_seconds": 60})}
    )
    assert (await mock.http.get(url)).status_code == 200

    await mock.pass_time(60)

    assert (await mock.http.get(url)).status_code == 404
    assert list((mock.emulator.files.renders.parent / "files").iterdir()) == []


async def test_a_file_with_an_expiration_of_zero_does_not_expire(mock: Mock) -> None:
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
async def test_an_access_list_decides_which_callers_can_download(
    mock: Mock, acl: dict[str, Any], headers: dict[str, str], status: int
) -> None:
    url = await upload(mock, headers={"X-Fal-Object-Lifecycle": json.dumps({"initial_acl": acl})})

    assert (await mock.http.get(url, headers=headers)).status_code == status


async def test_an_output_expires_as_its_submission_prefers(mock: Mock) -> None:
    preference = json.dumps({"expiration_duration_seconds": 30})
    submitted = await mock.submit(headers={"X-Fal-Object-Lifecycle-Preference": preference})
    await mock.pass_time(6)
    url = (await mock.result(submitted)).json()["video"]["url"]
    assert (await mock.http.get(url)).status_code == 200

    await mock.pass_time(30)

    assert (await mock.http.get(url)).status_code == 404


async def test_an_output_is_served_with_the_type_and_size_of_the_result(mock: Mock) -> None:
    video = (await mock.finish()).json()["video"]

    answer = await mock.http.head(video["url"])

    assert (answer.headers["content-type"], int(answer.headers["content-length"])) == (
        video["content_type"],
        video["file_size"],
    )


async def test_an_uploaded_file_can_be_an_input(mock: Mock) -> None:
    url = await upload(mock, png(18, 32))

    assert (await mock.finish(url)).status_code == 200


async def test_an_expired_upload_cannot_be_an_input(mock: Mock) -> None:
    url = await upload(
        mock, png(), {"X-Fal-Object-Lifecycle": json.dumps({"expiration_duration_seconds": 60})}
    )
    await mock.pass_time(61)

    result = await mock.finish(url)

    assert (result.status_code, result.json()["detail"][0]["type"]) == (422, "file_download_error")


# Files that are private, missing or damaged


async def private_file(mock: Mock, acl: dict[str, Any]) -> str:
    lifecycle = {"X-Fal-Object-Lifecycle": json.dumps({"initial_acl": acl})}
    return await upload(mock, png(18, 32), lifecycle)


@pytest.mark.parametrize(
    "acl",
    [
        {"default": "forbid"},
        {"default": "hide"},
        {"default": "allow", "rules": [{"user": "you", "decision": "hide"}]},
    ],
)
async def test_a_private_file_cannot_be_an_input_of_another_callers_request(
    mock: Mock, acl: dict[str, Any]
) -> None:
    url = await private_file(mock, acl)

    submitted = await mock.submit(url, headers=OTHER_KEY)
    await mock.pass_time(60)

    result = await mock.http.get(submitted["response_url"], headers=OTHER_KEY)
    assert (result.status_code, result.json()["detail"][0]["type"]) == (422, "file_download_error")


async def test_a_private_file_can_be_an_input_of_its_owners_request(mock: Mock) -> None:
    url = await private_file(mock, {"default": "hide"})

    assert (await mock.finish(url)).status_code == 200


async def mentioning(mock: Mock, url: str) -> Any:
    """Give another caller a result that mentions the URL of a file."""
    body = {"prompt": {"url": url}, "image_url": {"url": url}}
    submitted = (await mock.http.post(f"/{ENDPOINT}", json=body, headers=OTHER_KEY)).json()
    await mock.pass_time(60)
    result = await mock.http.get(submitted["response_url"], headers=OTHER_KEY)
    assert url in result.text
    return submitted


async def test_deleting_payloads_keeps_a_file_that_the_result_only_mentions(mock: Mock) -> None:
    url = await upload(mock)
    submitted = await mentioning(mock, url)

    deleted = await mock.http.put(
        f"/rest.fal.ai/requests/delete_io/{submitted['request_id']}", headers=OTHER_KEY
    )

    assert deleted.json() == {"cdn_delete_results": []}
    assert (await mock.http.get(url)).content == DATA


async def test_resetting_a_caller_keeps_a_file_that_the_result_only_mentions(mock: Mock) -> None:
    url = await upload(mock)
    await mentioning(mock, url)

    await mock.emulator.manual.reset(caller="you")

    assert (await mock.http.get(url)).content == DATA


async def test_deleting_payloads_deletes_the_file_that_the_run_produced(mock: Mock) -> None:
    submitted = await mock.submit()
    await mock.pass_time(60)
    url = (await mock.result(submitted)).json()["video"]["url"]

    deleted = await mock.http.put(f"/rest.fal.ai/requests/delete_io/{submitted['request_id']}", headers=KEY)

    assert deleted.json() == {"cdn_delete_results": [{"link": url, "exception": None}]}
    assert (await mock.http.get(url)).status_code == 404


def on_disk(mock: Mock) -> Path:
    """Return the only file of the CDN."""
    (path,) = (mock.emulator.files.renders.parent / "files").iterdir()
    return path


def lost(path: Path) -> None:
    path.unlink()


def cut_off(path: Path) -> None:
    path.write_bytes(DATA[:100])


def replaced_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [lost, cut_off, replaced_by_a_folder])
@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=0-9"}], ids=["whole", "range"])
async def test_a_file_that_is_missing_or_damaged_on_disk_is_404(
    mock: Mock, damage: Callable[[Path], None], headers: dict[str, str]
) -> None:
    url = await upload(mock)
    damage(on_disk(mock))

    answer = await mock.http.get(url, headers=headers)

    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


async def test_a_file_that_is_missing_on_disk_cannot_be_an_input(mock: Mock) -> None:
    url = await upload(mock, png())
    lost(on_disk(mock))

    result = await mock.finish(url)

    assert (result.status_code, result.json()["detail"][0]["type"]) == (422, "file_download_error")


async def test_a_download_is_complete_if_the_file_is_deleted_after_its_headers(mock: Mock) -> None:
    url = await upload(mock)
    file = mock.emulator.files.live(url.removeprefix(f"{BASE}/v3b.fal.media"), mock.clock.now())
    assert file is not None
    source = mock.emulator.files.open(file)
    assert source is not None
    got = bytearray()

    async def send(message: Any) -> None:
        lost(on_disk(mock)) if message["type"] == "http.response.start" else got.extend(message["body"])

    async def receive() -> Any:
        await asyncio.Event().wait()

    response = OpenFileResponse(source, media_type="image/png", headers={})
    await response({"type": "http", "method": "GET", "headers": []}, receive, send)

    assert (bytes(got), source.closed) == (DATA, True)


# No file descriptor left


async def test_a_download_waits_for_a_file_descriptor(mock: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    url = await upload(mock)

    with none_left(monkeypatch) as relief:
        answer = await mock.http.get(url)

    assert (answer.status_code, answer.content, relief.waits) == (200, DATA, 1)


@pytest.mark.parametrize("part", ["", "/1"], ids=["file", "part"])
async def test_an_upload_waits_for_a_file_descriptor(
    mock: Mock, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    path, _, query = (await initiate(mock))["upload_url"].partition("?")

    with none_left(monkeypatch) as relief:
        answer = await mock.http.put(f"{path}{part}?{query}", content=DATA)

    assert (answer.status_code, relief.waits) == (200, 1)


async def test_a_completion_waits_for_a_file_descriptor(mock: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _, query = (await initiate(mock))["upload_url"].partition("?")
    parts = [(await mock.http.put(f"{path}/{number}?{query}", content=DATA)).json() for number in (1, 2)]

    with none_left(monkeypatch) as relief:
        answer = await mock.http.post(f"{path}/complete?{query}", json={"parts": parts})

    assert (answer.status_code, relief.waits) == (200, 1)


@pytest.mark.parametrize("call", ["download", "upload"])
async def test_a_call_that_gets_no_file_descriptor_is_answered_503(
    mock: Mock, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    url = await upload(mock)
    where = (await initiate(mock))["upload_url"]
    monkeypatch.setattr("falmock.system.descriptors.PATIENCE", 0.0)

    with none_left(monkeypatch, until_waiting=False):
        answer = await (mock.http.get(url) if call == "download" else mock.http.put(where, content=DATA))

    assert (answer.status_code, answer.headers["x-fal-error-type"]) == (503, "storage_unavailable")
    assert "too many open files" in answer.json()["detail"]


# Uploads that overlap


async def slowly(data: bytes, go_on: asyncio.Event, started: asyncio.Event) -> AsyncIterator[bytes]:
    """Send the first half, and the second after `go_on`."""
    yield data[: len(data) // 2]
    started.set()
    await go_on.wait()
    yield data[len(data) // 2 :]


@pytest.mark.parametrize("part", ["", "/1"], ids=["file", "part"])
async def test_two_concurrent_puts_both_succeed_and_the_file_is_complete(mock: Mock, part: str) -> None:
    where = await initiate(mock)
    path, _, query = where["upload_url"].partition("?")
    go_on, started = asyncio.Event(), asyncio.Event()
    url = f"{path}{part}?{query}"

    slow = asyncio.create_task(mock.http.put(url, content=slowly(DATA, go_on, started)))
    await started.wait()
    first = await mock.http.put(url, content=DATA)
    if part:
        completion = {"parts": [first.json()]}
        assert (await mock.http.post(f"{path}/complete?{query}", json=completion)).status_code == 200
    go_on.set()
    second = await slow

    assert (first.status_code, second.status_code, first.content) == (200, 200, second.content)
    assert (await mock.http.get(where["file_url"])).content == DATA


async def test_concurrent_completions_all_succeed_and_the_file_is_complete(mock: Mock) -> None:
    where = await initiate(mock, "initiate-multipart")
    path, _, query = where["upload_url"].partition("?")
    parts = [
        (await mock.http.put(f"{path}/{number}?{query}", content=data)).json()
        for number, data in ((1, DATA[:5000]), (2, DATA[5000:]))
    ]

    answers = await asyncio.gather(
        *(mock.http.post(f"{path}/complete?{query}", json={"parts": parts}) for _ in range(4))
    )

    assert {answer.status_code for answer in answers} == {200}
    assert (await mock.http.get(where["file_url"])).content == DATA
    assert list((mock.emulator.files.uploads).iterdir()) == []


async def test_an_aborted_put_leaves_no_file(mock: Mock) -> None:
    where = await initiate(mock)

    async def broken() -> AsyncIterator[bytes]:
        yield DATA
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await mock.http.put(where["upload_url"], content=broken())

    assert list(mock.emulator.files.uploads.iterdir()) == []


async def test_ten_thousand_parts_can_be_completed(mock: Mock) -> None:
    where = await initiate(mock, "initiate-multipart")
    path, _, query = where["upload_url"].partition("?")
    first = (await mock.http.put(f"{path}/1?{query}", content=b"x")).json()
    (folder,) = mock.emulator.files.uploads.iterdir()
    for number in range(2, MOST_PARTS + 1):
        os.link(folder / f"1.{first['etag']}", folder / f"{number}.{first['etag']}")
    parts = [{"partNumber": number, "etag": f'"{first["etag"]}"'} for number in range(1, MOST_PARTS + 1)]

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    try:
        answer = await mock.http.post(f"{path}/complete?{query}", json={"parts": parts})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert answer.status_code == 200
    assert (await mock.http.get(where["file_url"])).content == b"x" * MOST_PARTS


async def test_a_completion_that_names_a_part_twice_is_refused(mock: Mock) -> None:
    where = await initiate(mock, "initiate-multipart")
    path, _, query = where["upload_url"].partition("?")
    part = (await mock.http.put(f"{path}/1?{query}", content=DATA)).json()

    answer = await mock.http.post(f"{path}/complete?{query}", json={"parts": [part, part]})

    assert (answer.status_code, answer.json()["error_type"]) == (400, "bad_request")


def test_an_upload_that_does_not_fit_on_the_disk_is_507_and_a_smaller_one_succeeds(tmp_path: Path) -> None:
    limited = f'ulimit -f {2 * MIB // 512}; exec "$0" "$@"'  # sh counts in blocks of 512 bytes
    serve = ("-m", "falmock", "serve", "--port", "0", "--media", "plain", "--state", str(tmp_path / "state"))
    with running("sh", "-c", limited, sys.executable, *serve) as server:
        body = {"file_name": "large.bin", "content_type": "application/octet-stream"}
        where = server.http.post("/rest.fal.ai/storage/upload/initiate", json=body).json()

        refused = server.http.put(where["upload_url"], content=bytes(5 * MIB // 2))
        missing = server.http.get(where["file_url"])
        left = list((tmp_path / "state" / "uploads").iterdir())
        taken = server.http.put(where["upload_url"], content=DATA)

        assert (refused.status_code, refused.json()["error_type"]) == (507, "storage_full")
        assert refused.headers["x-fal-error-type"] == "storage_full"
        assert (missing.status_code, left) == (404, [])
        assert taken.status_code == 200
        assert server.http.get(where["file_url"]).content == DATA


# Hostile names, types, numbers and headers

LATIN = st.text(st.characters(max_codepoint=255), max_size=40)


async def upload_with(
    mock: Mock, name: str, content_type: str, header: str, number: str, etag: str
) -> list[httpx.Response]:
    """Upload a file in each way, with these texts in every place, and download it."""
    text = header.encode("latin-1", "replace")
    bearer = (b"authorization", (await token(mock))["Authorization"].encode())
    kind = (b"content-type", content_type.encode("latin-1", "replace"))
    ask = json.dumps({"file_name": name, "content_type": content_type})
    completion = json.dumps({"parts": [{"partNumber": number, "etag": etag}]})
    answers = [
        await mock.http.post("/rest.fal.ai/storage/upload/initiate", content=ask, headers=KEY),
        await mock.http.post(
            "/v3.fal.media/files/upload",
            content=b"data",
            headers=[bearer, kind, (b"x-fal-file-name", text), (b"x-fal-object-lifecycle", b"{}")],
        ),
        await mock.http.post(
            "/v3.fal.media/files/upload", headers=[bearer, (b"x-fal-object-lifecycle", text)]
        ),
    ]
    where = await initiate(mock, "initiate-multipart")
    path, _, query = where["upload_url"].partition("?")
    answers += [
        await mock.http.put(f"{path}/{quote(number, safe='', errors='replace')}?{query}", content=b"data"),
        await mock.http.post(f"{path}/complete?{query}", content=completion),
        await mock.http.put(f"{path}?signature={quote(name, safe='', errors='replace')}", content=b"data"),
    ]
    for answer in list(answers):
        if answer.is_success and answer.content and (url := answer.json().get("access_url")):
            for field in (b"range", b"if-range", b"authorization", b"if-none-match"):
                answers.append(await mock.http.get(url, headers=[(field, text)]))
    return answers


@pytest.mark.parametrize(
    ("name", "content_type", "header", "number", "etag"),
    [
        ("\ud800", "\ud800", "", "9" * 5000, "\ud800"),
        ("../../x", "text/html\r\nset-cookie: a=b", "bytes=" + "9" * 5000 + "-", "1" * 400, "../x"),
        ("\0", "image/\0png", '{"initial_acl": {"default": []}}', "-1", "0" * 5000),
        ("", "\u00e9", '{"initial_acl": {"rules": [{"user": "a", "decision": {}}]}}', "\u00b2", ""),
        ("n" * 5000, "", '{"expiration_duration_seconds": 1e999}', "\uff11", "\0"),
        ("x", "a" * 5000, "bytes=" + "0-0," * 3000, "1e3", '"'),
    ],
)
async def test_known_hostile_texts_get_no_server_error(
    mock: Mock, name: str, content_type: str, header: str, number: str, etag: str
) -> None:
    answers = await upload_with(mock, name, content_type, header, number, etag)

    assert [answer.status_code for answer in answers if answer.status_code >= 500] == []


@pytest.mark.parametrize("content_type", ["a/b\r\nx-evil: 1", "a/b\0", "\u00e9", "a" * 256])
async def test_a_content_type_that_is_unsafe_in_a_header_is_refused(mock: Mock, content_type: str) -> None:
    body = {"file_name": "x", "content_type": content_type}

    answer = await mock.http.post("/rest.fal.ai/storage/upload/initiate", json=body, headers=KEY)

    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "content_type"])


@examples(40)
@given(name=st.text(), content_type=st.text(max_size=40), header=LATIN, number=st.text(), etag=st.text())
def test_no_text_about_a_file_gets_a_server_error(
    renders: Path, name: str, content_type: str, header: str, number: str, etag: str
) -> None:
    async def statuses() -> list[int]:
        async with opened(renders, ManualClock()) as mock:
            answers = await upload_with(mock, name, content_type, header, number, etag)
            await mock.assert_alive()
            return [answer.status_code for answer in answers]

    assert max(asyncio.run(statuses())) < 500


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
