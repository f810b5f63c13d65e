"""The billable units of a run, by the unit of the price or by a rule."""

from __future__ import annotations

import json
from typing import Any

import pytest
from recorded_tools import RecordedTools

from falmock.catalogue import Model, bundled, performing, pricing, schema
from falmock.protocol import validation

Json = dict[str, Any]

IMAGE = "https://example.com/a.png"
VIDEO = "https://example.com/a.mp4"
SOUND = "https://example.com/audio.wav"


async def units(endpoint: str, **body: Any) -> float | None:
    entry = bundled.entry(endpoint)
    assert entry is not None
    model_input = validation.check(schema.build(entry.schemas, entry.input), body, "body")
    performance = await performing.perform(entry, model_input, RecordedTools())
    return pricing.units(entry, model_input, performance.made)


async def dollars(endpoint: str, **body: Any) -> float:
    entry = bundled.entry(endpoint)
    found = await units(endpoint, **body)
    assert entry is not None
    assert entry.price is not None
    assert found is not None
    return round(found * entry.price.usd, 6)


@pytest.mark.parametrize(
    ("endpoint", "body", "expected"),
    [
        ("fal-ai/veo2/image-to-video", {"image_url": IMAGE, "duration": "7s"}, 7.0),
        ("fal-ai/kling-video/v1.6/standard/text-to-video", {"duration": "10"}, 10.0),
        ("fal-ai/nano-banana", {"num_images": 3}, 3),
        # 0.79 megapixels are one, 1.05 are two, for each image
        ("fal-ai/flux-pro/v1.1", {}, 1),
        ("fal-ai/flux-pro/v1.1", {"image_size": "square_hd", "num_images": 2}, 4),
        ("fal-ai/flux-pro/v1.1", {"image_size": {"width": 1000, "height": 1000}}, 1),
        ("fal-ai/flux-2-pro/edit", {"image_urls": [IMAGE], "image_size": "square"}, 3),
        ("fal-ai/ltx-video", {}, 1),
        ("fal-ai/elevenlabs/tts/turbo-v2.5", {"text": "x" * 1500}, 1.5),
        ("fal-ai/elevenlabs/speech-to-text", {"audio_url": SOUND}, 0.125),
        ("fal-ai/elevenlabs/music", {"music_length_ms": 90000}, 1.5),
        ("fal-ai/lyria2", {}, 1),
        ("fal-ai/stable-audio-25/text-to-audio", {}, 1),
        ("fal-ai/bytedance/seedance/v1/lite/image-to-video", {"image_url": IMAGE}, 0.108),
        ("fal-ai/any-llm", {}, 1),
    ],
)
async def test_units_are_counted_by_the_unit_of_the_price(endpoint: str, body: Json, expected: float) -> None:
    found = await units(endpoint, **{"prompt": "Fog lifts", **body})

    assert found == expected
    assert type(found) is type(expected)  # the header has it as Python writes it


@pytest.mark.parametrize(
    ("endpoint", "body", "usd"),
    [
        ("fal-ai/veo3.1", {"duration": "8s"}, 3.2),
        ("fal-ai/veo3.1", {"duration": "8s", "generate_audio": False}, 1.6),
        ("fal-ai/veo3.1", {"duration": "4s", "resolution": "4k"}, 2.4),
        ("fal-ai/veo3.1/lite", {"resolution": "1080p", "generate_audio": False}, 0.4),
        ("fal-ai/kling-video/v2.6/pro/text-to-video", {"generate_audio": False}, 0.35),
        ("fal-ai/kling-video/v2.6/pro/text-to-video", {}, 0.7),
        ("fal-ai/kling-video/v2.1/master/text-to-video", {"duration": "10"}, 2.8),
        ("fal-ai/kling-video/v2.1/pro/image-to-video", {"image_url": IMAGE, "duration": "10"}, 0.9),
        ("fal-ai/nano-banana-pro", {"resolution": "4K", "num_images": 2}, 0.6),
        ("fal-ai/nano-banana-pro", {"resolution": "2K", "enable_web_search": True}, 0.165),
        ("fal-ai/nano-banana-2", {"resolution": "0.5K"}, 0.06),
        ("fal-ai/ideogram/v3", {"rendering_speed": "TURBO", "num_images": 2}, 0.06),
        ("fal-ai/ideogram/v3", {}, 0.06),
        ("fal-ai/gpt-image-1.5", {"quality": "low"}, 0.009),
        ("fal-ai/gpt-image-1.5", {"quality": "high", "image_size": "1024x1536", "num_images": 2}, 0.4),
        ("fal-ai/minimax/hailuo-2.3/standard/image-to-video", {"image_url": IMAGE}, 0.28),
        (
            "fal-ai/minimax/hailuo-2.3/standard/image-to-video",
            {"image_url": IMAGE, "duration": "10"},
            0.56,
        ),
        ("fal-ai/minimax/hailuo-02/pro/image-to-video", {"image_url": IMAGE}, 0.48),
        ("fal-ai/ltx-2/image-to-video", {"image_url": IMAGE, "resolution": "2160p"}, 1.44),
        ("fal-ai/pixverse/v5/image-to-video", {"image_url": IMAGE, "resolution": "1080p"}, 0.4),
        ("fal-ai/pixverse/v5/image-to-video", {"image_url": IMAGE, "duration": "8"}, 0.4),
        ("fal-ai/trellis-2", {"image_url": IMAGE, "resolution": 512}, 0.25),
        ("fal-ai/trellis-2", {"image_url": IMAGE, "resolution": 1536}, 0.35),
        ("fal-ai/topaz/upscale/video", {"video_url": VIDEO, "upscale_factor": 1.5}, 0.04),
        ("fal-ai/topaz/upscale/video", {"video_url": VIDEO, "upscale_factor": 4}, 0.32),
        ("fal-ai/topaz/upscale/video", {"video_url": VIDEO, "upscale_factor": 4, "target_fps": 60}, 0.64),
        ("fal-ai/topaz/upscale/image", {"image_url": IMAGE, "upscale_factor": 4}, 0.08),
        ("fal-ai/creatify/aurora", {"image_url": IMAGE, "audio_url": SOUND, "resolution": "480p"}, 0.8),
        ("fal-ai/sync-lipsync/v2", {"video_url": VIDEO, "audio_url": SOUND, "sync_mode": "loop"}, 0.376),
        ("fal-ai/wan/v2.2-a14b/image-to-video", {"image_url": IMAGE, "resolution": "480p"}, 0.2025),
        # 1920 x 1080 x 24 x 5 / 1024 tokens
        ("fal-ai/bytedance/seedance/v1/pro/text-to-video", {}, 0.6075),
        (
            "fal-ai/bytedance/seedance/v1.5/pro/text-to-video",
            {"generate_audio": False, "duration": "10"},
            0.2592,
        ),
        ("bytedance/seedance-2.0/text-to-video", {"duration": "5"}, 1.512),
        ("bytedance/seedance-2.0/fast/image-to-video", {"image_url": IMAGE, "duration": "5"}, 1.2096),
    ],
)
async def test_units_times_the_price_of_a_unit_are_the_price_of_a_tier(
    endpoint: str, body: Json, usd: float
) -> None:
    assert await dollars(endpoint, **{"prompt": "Fog lifts", **body}) == pytest.approx(usd, rel=0.004)


async def test_a_model_that_is_billed_by_time_has_no_units() -> None:
    assert await units("fal-ai/whisper", audio_url=SOUND) is None


async def test_units_are_unknown_without_a_price_or_for_a_unit_that_says_nothing() -> None:
    assert await units("fal-ai/flux-2", prompt="Fog") is None
    assert await units("openai/gpt-image-2", prompt="Fog") is None
    assert await units("fal-ai/sam-3/image", image_url=IMAGE) is None


@pytest.mark.parametrize("endpoint", list(json.loads(bundled.CHECKED.read_text())["endpoints"]))
def test_the_units_of_a_default_input_are_expected_without_a_run(endpoint: str) -> None:
    entry = bundled.entry(endpoint)
    assert entry is not None
    model = Model(entry)

    expected = model.expected_units(model.input.model_construct())

    unit = entry.price.unit if entry.price is not None else None
    if unit is None or unit == "compute seconds" or (unit == "units" and entry.price_rule is None):
        assert expected is None  # no price, a price by the time of the run, or units that nobody explains
    else:
        assert expected is not None
        assert expected > 0 or unit == "1000 characters"  # a default text is empty


def test_no_units_are_expected_of_a_run_that_fails() -> None:
    entry = bundled.entry("fal-ai/flux/dev")
    assert entry is not None
    model = Model(entry)
    body = {"prompt": "Fog", "image_size": {"width": 14142, "height": 14142}}

    assert model.expected_units(model.input.model_validate(body)) == 0
