"""Inputs and outputs of the model: PROTOCOL.md 8.5, 14.2 and 16.1, and the model's page."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from urllib.request import urlopen

import httpx
import pytest
import respx
from emulated import HOSTED, KEY, Mock, data_uri, png

from falmock.media.probe import probe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Start = Callable[..., Awaitable[Mock]]

MIB = 1024 * 1024
UNPADDED = data_uri(png() + bytes((1 - len(png())) % 3)).rstrip("=")


def entry(result: httpx.Response) -> Any:
    (only,) = result.json()["detail"]
    return only


async def clip(mock: Mock, tmp_path: Path, image_url: str, **more: Any) -> Any:
    """Run a request; probe its video."""
    url = (await mock.finish(image_url, **more)).json()["video"]["url"]
    path = tmp_path / "clip.mp4"
    path.write_bytes((await mock.http.get(url)).content)
    return probe(path)


async def test_a_data_uri_is_accepted_as_an_image(mock: Mock) -> None:
    assert (await mock.finish(data_uri(png()))).status_code == 200


async def test_an_image_on_another_host_is_not_fetched(mock: Mock) -> None:
    with respx.mock(assert_all_called=False) as router:
        route = router.get(HOSTED)
        result = await mock.finish(HOSTED)

        assert (result.status_code, route.called) == (200, False)


async def test_an_image_on_this_machine_is_fetched(mock: Mock) -> None:
    with respx.mock() as router:
        router.get("http://localhost:3000/cat.png").respond(200, content=png())

        assert (await mock.finish("http://localhost:3000/cat.png")).status_code == 200


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(404), "file_download_error"),
        (httpx.ConnectError("x"), "file_download_error"),
        (httpx.Response(200, content=b"no image"), "image_load_error"),
        (httpx.Response(200, content=b"x" * (8 * MIB + 1)), "file_too_large"),
    ],
)
async def test_an_image_that_cannot_be_loaded_is_a_typed_error(
    mock: Mock, answer: httpx.Response | Exception, kind: str
) -> None:
    with respx.mock() as router:
        router.get("http://localhost:3000/cat.png").mock(side_effect=[answer])

        result = await mock.finish("http://localhost:3000/cat.png")

    assert (result.status_code, entry(result)["type"]) == (422, kind)


async def test_a_typed_error_has_the_live_keys_in_the_live_order(mock: Mock) -> None:
    url = data_uri(b"no image")

    result = await mock.finish(url)

    assert list(entry(result).items()) == [
        ("loc", ["body", "image_url"]),
        (
            "msg",
            "Failed to load the image. "
            "Please ensure the image file is not corrupted and is in a supported format.",
        ),
        ("type", "image_load_error"),
        ("url", "https://docs.fal.ai/errors#image_load_error"),
        ("input", url),
    ]
    assert result.headers["x-fal-billable-units"] == "0"


@pytest.mark.parametrize(
    ("limit", "picture"),
    [({"max_pixels": 575}, png(32, 18)), ({"decode_memory": 16 * MIB}, png(2000, 1100))],
    ids=["pixels", "memory"],
)
async def test_an_image_above_a_limit_of_the_settings_is_a_typed_error(
    start: Start, limit: dict[str, int], picture: bytes
) -> None:
    refused = await (await start(**limit)).finish(data_uri(picture))
    accepted = await (await start()).finish(data_uri(picture))

    assert (entry(refused)["type"], accepted.status_code) == ("image_too_large", 200)


async def test_the_error_for_a_large_file_names_the_limit(mock: Mock) -> None:
    error = entry(await mock.finish(data_uri(png() + bytes(8 * MIB))))

    assert (error["type"], error["ctx"]) == ("file_too_large", {"max_size": 8388608})
    assert error["msg"] == (
        "File size exceeds the maximum allowed size of 8388608 bytes. Please upload a smaller file."
    )


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("", "file_download_error"),
        ("not a url", "file_download_error"),
        ("file:///etc/passwd", "file_download_error"),
        ("data:image/png;base64,!!!", "image_load_error"),
        ("data:image/png;base64", "image_load_error"),
        ("data:,hello", "image_load_error"),
        ("DATA:image/png;BASE64,AAAA", "image_load_error"),
        (UNPADDED, "image_load_error"),
        (data_uri(png()).replace(";base64", ""), "image_load_error"),
    ],
)
async def test_an_invalid_url_is_a_typed_error(mock: Mock, url: str, kind: str) -> None:
    assert entry(await mock.finish(url))["type"] == kind


URI = data_uri(png())
HEAD, BASE64 = URI.split(",")


@pytest.mark.parametrize(
    "uri",
    [
        f"  {URI}",
        f"{URI}\r\n",
        f"\n\t {URI} \n",
        f"{HEAD},\n{BASE64}",
        f"{HEAD},{BASE64[:76]}\r\n{BASE64[76:]}\r\n",
        f"{HEAD}, {BASE64[:3]}   {BASE64[3:]}",
        f"{HEAD},{quote(BASE64, safe='')}",
        f"{HEAD},{BASE64[:76]}%0D%0A{BASE64[76:]}",
        f"{HEAD},{BASE64[:4]}!{BASE64[4:]}",
        f"data:image/png;charset=utf-8;name=a.png;base64,{BASE64}",
        f"data:;base64,{BASE64}",
        f"DATA:image/png;base64,{BASE64}",
        "data:image/png," + "".join(f"%{byte:02x}" for byte in png()),
        f"data:,{quote(png())}",
    ],
)
async def test_a_data_uri_is_read_as_pythons_urllib_reads_it(mock: Mock, uri: str) -> None:
    with urlopen(uri) as opened:  # noqa: ASYNC210, S310 - it reads the URI itself
        assert opened.read() == png()

    assert (await mock.finish(uri)).status_code == 200


async def test_a_data_uri_is_read_in_capitals_too(mock: Mock) -> None:
    assert (await mock.finish(f"DATA:image/PNG;BASE64,{BASE64}")).status_code == 200


@pytest.mark.parametrize("around", [" {}", "{}\n", "\r\n\t{} "])
async def test_blanks_around_the_url_of_an_image_are_removed(mock: Mock, around: str) -> None:
    with respx.mock() as router:
        route = router.get("http://localhost:3000/cat.png").respond(200, content=png())

        result = await mock.finish(around.format("http://localhost:3000/cat.png"))

    assert (result.status_code, route.call_count) == (200, 1)


@pytest.mark.parametrize("inside", ["/a b.png", "/a\nb.png", "/a.png?x=\ty", "/a.png?x y"])
async def test_blanks_inside_the_url_of_an_image_are_an_error(mock: Mock, inside: str) -> None:
    with respx.mock(assert_all_called=False) as router:
        route = router.get(url__startswith="http://localhost:3000/").respond(200, content=png())

        result = await mock.finish(f"http://localhost:3000{inside}")

    assert (entry(result)["type"], route.called) == ("file_download_error", False)


async def test_blanks_around_the_url_of_an_uploaded_image_are_removed(mock: Mock) -> None:
    announced = await mock.http.post(
        "/rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3",
        json={"file_name": "a.png", "content_type": "image/png"},
        headers=KEY,
    )
    urls = announced.json()
    await mock.http.put(urls["upload_url"], content=png(), headers={"content-type": "image/png"})

    assert (await mock.finish(f" {urls['file_url']}\n")).status_code == 200


async def test_an_error_is_the_same_in_the_webhook_and_the_result(mock: Mock) -> None:
    with respx.mock() as router:
        hook = router.post("http://localhost:3000/hook").respond(200)
        result = await mock.finish(data_uri(b"no image"), query="?fal_webhook=http://localhost:3000/hook")

        assert json.loads(hook.calls.last.request.content)["payload"] == result.json()


@pytest.mark.parametrize("duration", ["5s", "8s"])
async def test_a_video_has_the_requested_duration(mock: Mock, tmp_path: Path, duration: str) -> None:
    facts = await clip(mock, tmp_path, HOSTED, duration=duration)

    assert (facts.seconds, facts.frames_per_second) == (float(duration[0]), 24.0)


@pytest.mark.parametrize(
    ("aspect_ratio", "shape", "size"),
    [
        ("16:9", (20, 40), (1280, 720)),
        ("9:16", (40, 20), (720, 1280)),
        ("auto", (40, 20), (1280, 720)),
        ("auto", (20, 40), (720, 1280)),
        ("auto", (30, 30), (1280, 720)),
        ("auto_prefer_portrait", (30, 30), (720, 1280)),
        ("auto_prefer_portrait", (40, 20), (1280, 720)),
    ],
)
async def test_the_frame_has_the_requested_aspect_ratio_or_that_of_the_image(
    mock: Mock, tmp_path: Path, aspect_ratio: str, shape: tuple[int, int], size: tuple[int, int]
) -> None:
    facts = await clip(mock, tmp_path, data_uri(png(*shape)), aspect_ratio=aspect_ratio)

    assert (facts.width, facts.height) == size


async def test_the_aspect_ratio_is_the_preference_when_the_image_is_unknown(
    mock: Mock, tmp_path: Path
) -> None:
    facts = await clip(mock, tmp_path, HOSTED, aspect_ratio="auto_prefer_portrait")

    assert (facts.width, facts.height) == (720, 1280)


async def test_an_animated_clip_is_made_of_the_input_image(start: Start, tmp_path: Path) -> None:
    mock = await start(media="animate")

    facts = await clip(mock, tmp_path, data_uri(png(320, 180)))

    assert (facts.codec, facts.seconds, facts.faststart) == ("h264", 5.0, True)


async def test_the_same_seed_and_input_give_the_same_video(start: Start) -> None:
    async def video() -> bytes:
        mock = await start(seed=5)
        return (await mock.http.get((await mock.finish()).json()["video"]["url"])).content

    assert await video() == await video()


async def test_a_large_body_is_stored_once_and_deleted_with_its_last_request(mock: Mock) -> None:
    inputs = mock.emulator.files.renders.parent / "inputs"
    url = "data:text/plain;base64," + base64.b64encode(bytes(30_000)).decode()
    for _ in range(2):
        await mock.submit(url)
    assert len(list(inputs.iterdir())) == 1

    await mock.pass_time(31 * 86_400)

    assert list(inputs.iterdir()) == []


async def test_a_large_body_without_store_io_is_deleted_with_the_result(mock: Mock) -> None:
    url = "data:text/plain;base64," + base64.b64encode(bytes(30_000)).decode()
    await mock.submit(url, headers={"X-Fal-Store-IO": "0"})

    await mock.pass_time(6 + 3600)

    assert list((mock.emulator.files.renders.parent / "inputs").iterdir()) == []


async def test_a_failed_rendering_ends_with_fals_500_and_is_logged(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "ffmpeg"
    broken.write_text(
        '#!/bin/sh\n[ "$1" = -version ] && echo ffmpeg version 0 && exit\necho no such codec >&2\nexit 1\n'
    )
    broken.chmod(0o755)
    mock = await start(ffmpeg=str(broken))

    result = await mock.finish()

    assert (result.status_code, entry(result)["type"], entry(result)["msg"]) == (
        500,
        "internal_server_error",
        "Internal server error",
    )
    assert "no such codec" in caplog.text
