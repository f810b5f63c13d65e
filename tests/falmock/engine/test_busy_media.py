"""Many concurrent renders and extreme inputs: the answers are fal's, and the emulator stays responsive."""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from emulated import KEY, Mock, opened
from PIL import Image

from falmock.engine.clock import Clock
from falmock.settings import Span

if TYPE_CHECKING:
    from pathlib import Path

AT_ONCE: dict[str, Any] = {"queue_seconds": Span(0, 0), "run_seconds": Span(0, 0)}
IMAGES = "fal-ai/flux/schnell"


async def fetched(mock: Mock, width: int, *, inline: bool) -> tuple[int, int]:
    """Ask for an image, and return the width that was asked for and that of the file or its description."""
    size = {"width": width, "height": 256}
    body = {"prompt": "A red fox", "image_size": size, "sync_mode": inline}
    answer = await mock.http.post(f"/fal.run/{IMAGES}", json=body, headers=KEY)
    assert answer.status_code == 200, answer.text[:1000]
    [image] = answer.json()["images"]
    if inline:
        return width, image["width"]
    await asyncio.sleep(0)  # others render
    file = await mock.http.get(image["url"])
    assert file.status_code == 200
    return width, Image.open(io.BytesIO(file.content)).width


async def test_files_are_served_whole_while_the_cache_is_too_small_for_all(tmp_path: Path) -> None:
    async with opened(
        tmp_path / "renders", Clock(), cache_bytes=4096, runners=8, concurrency=1000, **AT_ONCE
    ) as mock:
        widths = [256 + 32 * (index % 24) for index in range(96)]
        pairs = await asyncio.gather(
            *(fetched(mock, width, inline=index % 3 == 0) for index, width in enumerate(widths))
        )
        await fetched(mock, 2048, inline=False)  # now the others can be removed

        left = sum(path.stat().st_size for path in (tmp_path / "renders").iterdir())
    assert all(asked == found for asked, found in pairs)
    assert left < 10 * 4096  # the newest, which is larger than the limit


async def test_a_status_is_answered_while_fifty_different_media_are_made(tmp_path: Path) -> None:
    inputs: list[tuple[str, dict[str, Any]]] = [
        *((IMAGES, {"image_size": {"width": 512 + 8 * index, "height": 512}}) for index in range(20)),
        *(("fal-ai/stable-audio", {"seconds_total": 1 + index}) for index in range(15)),
        *(("fal-ai/wan-t2v", {"frames_per_second": 5 + index}) for index in range(15)),
    ]
    async with opened(
        tmp_path / "renders", Clock(), media="animate", runners=25, concurrency=1000, **AT_ONCE
    ) as mock:
        submitted = [
            (await mock.http.post(f"/{endpoint}", json={"prompt": f"Fox {index}"} | more, headers=KEY)).json()
            for index, (endpoint, more) in enumerate(inputs)
        ]
        seen: list[str] = []
        for each in submitted:
            changed = mock.emulator.changed()
            while (status := (await mock.status(each)).json()["status"]) != "COMPLETED":
                seen.append(status)
                await changed.wait()
                changed = mock.emulator.changed()
        codes = [(await mock.result(each)).status_code for each in submitted]

    assert codes == [200] * 50
    assert "IN_PROGRESS" in seen


@pytest.mark.parametrize(
    "prompt",
    [
        "A " * 500_000,
        "\u202eمرحبا بالعالم 👩‍👩‍👧‍👦 中文 हिन्दी \x00\x07\x1b[31m" * 50,
        "\ud800 is half a character",
        "e\u0301" * 20_000,
        "W" * 200_000,
        "\n" * 100_000,
        "",
    ],
    ids=["long", "scripts and controls", "half", "combining", "one word", "lines", "empty"],
)
async def test_an_image_is_made_of_any_prompt(tmp_path: Path, prompt: str) -> None:
    async with opened(tmp_path / "renders", Clock(), media="animate", **AT_ONCE) as mock:
        body = json.dumps({"prompt": prompt, "image_size": "square"})
        headers = KEY | {"content-type": "application/json"}
        answer = await mock.http.post(f"/fal.run/{IMAGES}", content=body, headers=headers)

        assert answer.status_code == 200, answer.text[:1000]
        file = await mock.http.get(answer.json()["images"][0]["url"])
    assert Image.open(io.BytesIO(file.content)).size == (512, 512)


@pytest.mark.parametrize(
    ("endpoint", "more"),
    [
        ("fal-ai/cosmos-predict-2.5/text-to-video", {"num_frames": 10**9}),
        ("fal-ai/fast-animatediff/text-to-video", {"num_frames": 99_999, "fps": 1}),
        ("fal-ai/ip-adapter-face-id", {"width": 10**6, "height": 10**6}),
        ("fal-ai/flux/dev", {"image_size": {"width": 14142, "height": 14142}}),
    ],
)
async def test_media_that_are_too_large_to_make_are_refused_by_the_model(
    start: Any, endpoint: str, more: dict[str, Any]
) -> None:
    mock: Mock = await start()
    files = {"face_image_url": "https://example.com/face.png"}
    submitted = await mock.http.post(f"/{endpoint}", json={"prompt": "x"} | files | more, headers=KEY)
    await mock.pass_time(10)
    result = await mock.result(submitted.json())

    assert (result.status_code, result.json()["detail"][0]["type"]) == (422, "no_media_generated")


async def test_a_hundred_images_are_made_at_most(start: Any) -> None:
    mock: Mock = await start()
    body = {"prompt": "x", "num_images": 10**9, "image_size": {"width": 16, "height": 16}}
    submitted = await mock.http.post("/fal-ai/bitdance", json=body, headers=KEY)
    await mock.pass_time(10)

    assert len((await mock.result(submitted.json())).json()["images"]) == 100
