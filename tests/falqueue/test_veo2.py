"""The typed requests and outputs of Veo 2."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

import falqueue
from falqueue import Client, File, Veo2ImageToVideo, Veo2TextToVideo, VideoOutput

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://example.com/a.png"


def faults(request: Veo2ImageToVideo | Veo2TextToVideo) -> list[tuple[str, str]]:
    try:
        request.check()
    except falqueue.InvalidInput as error:
        return [(str(fault.loc[-1]), fault.type) for fault in error.errors]
    return []


def test_an_image_to_video_input_is_sent_with_its_defaults() -> None:
    assert Veo2ImageToVideo(prompt="It waves", image_url=URL).arguments() == {
        "prompt": "It waves",
        "image_url": URL,
        "aspect_ratio": "auto",
        "duration": "5s",
    }


def test_optional_fields_without_a_value_are_not_sent() -> None:
    assert Veo2TextToVideo(prompt="It waves").arguments() == {
        "prompt": "It waves",
        "aspect_ratio": "16:9",
        "duration": "5s",
        "enhance_prompt": True,
        "auto_fix": True,
    }


@pytest.mark.parametrize("ratio", ["auto", "auto_prefer_portrait", "16:9", "9:16"])
@pytest.mark.parametrize("duration", ["5s", "6s", "7s", "8s"])
def test_the_check_accepts_every_documented_value(ratio: Any, duration: Any) -> None:
    assert faults(Veo2ImageToVideo(prompt="", image_url=URL, aspect_ratio=ratio, duration=duration)) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"prompt": 7}, [("prompt", "string_type")]),
        ({"duration": 8}, [("duration", "literal_error")]),
        ({"duration": "9s"}, [("duration", "literal_error")]),
        ({"aspect_ratio": "1:1"}, [("aspect_ratio", "literal_error")]),
        ({"image_url": "frame.png"}, [("image_url", "url_scheme")]),
        ({"image_url": "data:text/plain,x"}, [("image_url", "url_scheme")]),
        ({"image_url": b"no picture"}, [("image_url", "unsupported_image_format")]),
        ({"image_url": b"GIF89a" + bytes(8 << 20)}, [("image_url", "file_too_large")]),
        ({"image_url": 7}, [("image_url", "image_load_error")]),
        (
            {"prompt": None, "duration": 8, "image_url": ""},
            [("prompt", "string_type"), ("image_url", "url_scheme"), ("duration", "literal_error")],
        ),
    ],
)
def test_the_check_names_each_invalid_field(given: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert faults(Veo2ImageToVideo(**({"prompt": "x", "image_url": URL} | given))) == expected


def test_the_check_reads_the_image_file(png: Path, tmp_path: Path) -> None:
    assert faults(Veo2ImageToVideo(prompt="x", image_url=png)) == []
    missing = Veo2ImageToVideo(prompt="x", image_url=tmp_path / "none.png")
    assert faults(missing) == [("image_url", "image_load_error")]


def test_the_check_knows_the_aspect_ratios_of_the_text_model() -> None:
    assert faults(Veo2TextToVideo(prompt="x", aspect_ratio="1:1")) == []
    assert faults(Veo2TextToVideo(prompt="x", aspect_ratio="auto")) == [("aspect_ratio", "literal_error")]  # type: ignore[arg-type]


def test_submit_with_check_sends_nothing_if_the_input_is_invalid(client: Client) -> None:
    with pytest.raises(falqueue.InvalidInput, match="duration: Input should be '5s'"):
        client.submit(Veo2ImageToVideo(prompt="x", image_url=URL, duration=8), check=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("duration", "price"), [("5s", "2.50"), ("6s", "3.00"), ("7s", "3.50"), ("8s", "4.00")]
)
def test_the_price_follows_the_duration(duration: Any, price: str) -> None:
    assert Veo2ImageToVideo(prompt="x", image_url=URL, duration=duration).price == Decimal(price)
    assert Veo2TextToVideo(prompt="x", duration=duration).price == Decimal(price)


def test_a_video_output_is_parsed_with_all_its_fields() -> None:
    body = {
        "url": "u",
        "content_type": "video/mp4",
        "file_name": "n",
        "file_size": 1,
        "file_data": "d",
        "new": 1,
    }
    expected = File(url="u", content_type="video/mp4", file_name="n", file_size=1, file_data="d")
    assert VideoOutput.parse({"video": body, "seed": 1}) == VideoOutput(expected)
