"""The output of `fal-ai/veo2/image-to-video`, and its schema: PROTOCOL.md 16.1."""

from __future__ import annotations

from typing import Any

import pytest
from emulated import ENDPOINT
from recorded import recorded


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_the_file_has_the_four_recorded_fields_in_their_order() -> None:
    async with recorded() as mock:
        output = (await mock.finish()).json()

    video = output.pop("video")
    assert output == {}
    assert list(video) == ["url", "content_type", "file_name", "file_size"]
    assert video["url"].endswith(f"_{video['file_name']}")
    assert list(video.values())[1:] == ["video/mp4", "output.mp4", 2300]


async def test_the_schema_of_a_file_is_that_of_the_page_of_the_model() -> None:
    async with recorded() as mock:
        url = f"/fal.ai/api/openapi/queue/openapi.json?endpoint_id={ENDPOINT}"
        schema = (await mock.http.get(url)).json()["components"]["schemas"]["File"]

    described: dict[str, tuple[Any, str]] = {
        name: (each.get("type") or each["anyOf"][0]["type"], each["description"])
        for name, each in schema["properties"].items()
    }
    assert described == {
        "url": ("string", "The URL where the file can be downloaded from."),
        "content_type": ("string", "The mime type of the file."),
        "file_name": ("string", "The name of the file. It will be auto-generated if not provided."),
        "file_size": ("integer", "The size of the file in bytes."),
        "file_data": ("string", "File data"),
    }
    assert schema["required"] == ["url"]
