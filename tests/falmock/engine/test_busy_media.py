"""Many and extreme media at once: every answer is fal's, and the emulator stays responsive."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any

from emulated import KEY, Mock, opened
from PIL import Image

from falmock.engine.clock import SystemClock
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
        tmp_path / "renders", SystemClock(), cache_bytes=4096, runners=8, concurrency=1000, **AT_ONCE
    ) as mock:
        widths = [256 + 32 * (index % 24) for index in range(96)]
        pairs = await asyncio.gather(
            *(fetched(mock, width, inline=index % 3 == 0) for index, width in enumerate(widths))
        )
        await fetched(mock, 2048, inline=False)  # removes what was held before

        left = sum(path.stat().st_size for path in (tmp_path / "renders").iterdir())
    assert all(asked == found for asked, found in pairs)
    assert left < 10 * 4096  # the newest, which is larger than the limit
