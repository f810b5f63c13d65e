"""The readers of input fields: every spelling of a length, size, number and format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falmock.catalogue import reading, schema, sizes, sources
from falmock.catalogue.entries import Entry
from falmock.catalogue.reading import Fields

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]


def fields(values: Json, properties: Json | None = None, given: set[str] | None = None) -> Fields:
    return Fields(values, frozenset(values if given is None else given), properties or {})


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ({"duration": "5"}, 5),
        ({"duration": 5}, 5),
        ({"duration": 5.5}, 5.5),
        ({"duration": "8s"}, 8),
        ({"duration": "12 seconds"}, 12),
        ({"duration": "auto"}, None),
        ({"duration": "short"}, None),
        ({"duration": None}, None),
        ({"duration": True}, None),
        ({"duration": 0}, None),
        ({"duration": -3}, None),
        ({"duration_seconds": 0.5}, 0.5),
        ({"seconds_total": 47}, 47),
        ({"seconds_start": 3, "seconds_total": 30}, 30),
        ({"total_seconds": 12}, 12),
        ({"length": 9}, 9),
        ({"music_length_ms": 30000}, 30),
        ({"music_length_ms": None}, None),
        ({"duration": 10**9}, reading.LONGEST),
        ({"composition_plan": {"sections": [{"duration_ms": 3000}, {"duration_ms": 4500}]}}, 7.5),
        ({"tracks": [{"keyframes": [{"timestamp": 2000, "duration": 1500}, {"timestamp": 0}]}]}, 3.5),
        ({"tracks": []}, None),
        ({}, None),
    ],
)
def test_a_length_is_read_in_every_spelling(values: Json, seconds: float | None) -> None:
    assert reading.seconds(fields(values)) == seconds


@pytest.mark.parametrize(
    ("values", "frames", "rate"),
    [
        ({"num_frames": 81, "frames_per_second": 16}, 81, 16),
        ({"num_frames": "129"}, 129, None),
        ({"number_of_frames": 49, "export_fps": 8}, 49, 8),
        ({"num_frames": None, "fps": "25"}, None, 25),
        ({"fps": 0}, None, None),
        ({"frame_rate": 23.976}, None, 23.976),
        ({"target_fps": "60fps"}, None, None),
    ],
)
def test_frames_and_their_rate_are_read(values: Json, frames: int | None, rate: float | None) -> None:
    assert reading.frames(fields(values)) == frames
    assert reading.rate(fields(values)) == rate


def choice(*values: str) -> Json:
    return {"enum": list(values), "type": "string"}


WIDE = (1600, 900)
TALL = (900, 1600)
RATIOS = choice("auto", "21:9", "16:9", "4:3", "1:1", "3:4", "9:16")
VEO = choice("auto", "auto_prefer_portrait", "16:9", "9:16")


@pytest.mark.parametrize(
    ("values", "size"),
    [
        ({"image_size": "square_hd"}, (1024, 1024)),
        ({"image_size": "square"}, (512, 512)),
        ({"image_size": "portrait_4_3"}, (768, 1024)),
        ({"image_size": "portrait_16_9"}, (576, 1024)),
        ({"image_size": "landscape_4_3"}, (1024, 768)),
        ({"image_size": "landscape_16_9"}, (1024, 576)),
        ({"image_size": {"width": 640, "height": 360}}, (640, 360)),
        ({"image_size": {"width": 640, "height": None}}, None),
        ({"image_size": "1536x1024"}, (1536, 1024)),
        ({"size": "1280*720"}, (1280, 720)),
        ({"shot_size": [1000, 800]}, (1000, 800)),
        ({"image_size": "auto_2K"}, (2048, 2048)),
        ({"image_size": None}, None),
        ({"image_size": "auto"}, None),
        ({"width": 512, "height": "768"}, (512, 768)),
        ({"width": 512}, None),
        ({"aspect_ratio": "1:1"}, (1024, 1024)),
        ({"aspect_ratio": "16:9"}, (1376, 768)),
        ({"aspect_ratio": "9:16"}, (768, 1376)),
        ({"aspect_ratio": "1:1", "resolution": "1K"}, (1024, 1024)),
        ({"aspect_ratio": "1:1", "resolution": "0.5K"}, (512, 512)),
        ({"aspect_ratio": "1:1", "resolution": "2K"}, (2048, 2048)),
        ({"aspect_ratio": "16:9", "resolution": "2k"}, (2720, 1536)),
        ({"aspect_ratio": "1:1", "resolution": "4K"}, (4096, 4096)),
        ({"aspect_ratio": "1:1", "resolution": "1MP"}, (992, 992)),
        ({"resolution": "1 MP"}, (992, 992)),
        ({"resolution": "512"}, (512, 512)),
        ({"resolution": 1024}, (1024, 1024)),
        ({"resolution": "1024x576"}, (1024, 576)),
        ({"aspect_ratio": "wide"}, None),
        ({}, None),
    ],
)
def test_the_size_of_an_image_is_read_in_every_spelling(values: Json, size: tuple[int, int] | None) -> None:
    assert sizes.size(fields(values), like=None, video=False) == size


@pytest.mark.parametrize(
    ("values", "like", "size"),
    [
        ({"resolution": "720p"}, None, (1280, 720)),
        ({"resolution": "1080p", "aspect_ratio": "9:16"}, None, (1080, 1920)),
        ({"resolution": "480p", "aspect_ratio": "16:9"}, None, (854, 480)),
        ({"resolution": "768P"}, None, (1366, 768)),
        ({"resolution": "512P", "aspect_ratio": "1:1"}, None, (512, 512)),
        ({"resolution": "4k"}, None, (3840, 2160)),
        ({"resolution": "2160p"}, None, (3840, 2160)),
        ({"resolution": "1440p"}, None, (2560, 1440)),
        ({"resolution": "720p"}, TALL, (720, 1280)),
        ({"resolution": "auto", "aspect_ratio": "9:16"}, None, (720, 1280)),
        ({"aspect_ratio": "21:9"}, None, (1680, 720)),
        ({"aspect_ratio": "landscape"}, None, (1280, 720)),
        ({"aspect_ratio": None}, WIDE, None),
        ({"video_size": "landscape_16_9"}, None, (1024, 576)),
    ],
)
def test_the_size_of_a_video_is_by_its_shorter_side(
    values: Json, like: tuple[int, int] | None, size: tuple[int, int] | None
) -> None:
    assert sizes.size(fields(values), like=like, video=True) == size


@pytest.mark.parametrize(
    ("ratio", "ratios", "like", "video", "size"),
    [
        ("auto", VEO, WIDE, True, (1280, 720)),
        ("auto", VEO, TALL, True, (720, 1280)),
        ("auto", VEO, (800, 800), True, (1280, 720)),
        ("auto", VEO, None, True, (1280, 720)),
        ("auto_prefer_portrait", VEO, (800, 800), True, (720, 1280)),
        ("auto_prefer_portrait", VEO, None, True, (720, 1280)),
        ("auto_prefer_portrait", VEO, WIDE, True, (1280, 720)),
        ("auto", RATIOS, (1000, 760), True, (960, 720)),
        ("auto", RATIOS, (800, 800), True, (720, 720)),
        ("auto", RATIOS, None, True, (1280, 720)),
        ("auto", RATIOS, None, False, (1024, 1024)),
        ("auto", RATIOS, TALL, False, (768, 1376)),
        ("auto", {}, (1000, 500), True, (1440, 720)),
    ],
)
def test_an_automatic_ratio_is_the_nearest_one_to_the_picture(
    ratio: str, ratios: Json, like: tuple[int, int] | None, video: bool, size: tuple[int, int]
) -> None:
    asked = fields({"aspect_ratio": ratio}, {"aspect_ratio": {"anyOf": [ratios, {"type": "null"}]}})

    assert sizes.size(asked, like=like, video=video) == size


def test_an_automatic_size_is_the_nearest_one_to_the_picture() -> None:
    asked = fields(
        {"image_size": "auto"}, {"image_size": choice("auto", "1024x1024", "1536x1024", "1024x1536")}
    )

    assert sizes.size(asked, like=WIDE, video=False) == (1536, 1024)
    assert sizes.size(asked, like=TALL, video=False) == (1024, 1536)
    assert sizes.size(asked, like=None, video=False) == (1024, 1024)


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ({"num_images": 4}, 4),
        ({"num_samples": 2}, 2),
        ({"num_results": "3"}, 3),
        ({"num_images": 2, "max_images": 6}, 2),
        ({"num_images": None}, 1),
        ({"num_images": 0}, 1),
        ({"batch_size": 64}, 1),
        ({}, 1),
    ],
)
def test_the_number_of_files_is_read(values: Json, count: int) -> None:
    assert reading.count(fields(values)) == count


@pytest.mark.parametrize(
    ("values", "image", "container", "sound"),
    [
        ({"output_format": "jpeg"}, "jpeg", None, (None, None, None)),
        ({"output_format": "jpg"}, "jpeg", None, (None, None, None)),
        ({"format": "png"}, "png", None, (None, None, None)),
        ({"output_format": "webp"}, "webp", None, (None, None, None)),
        ({"output_format": "gif"}, "gif", "gif", (None, None, None)),
        ({"video_output_type": "X264 (.mp4)"}, None, "mp4", (None, None, None)),
        ({"video_output_type": "VP9 (.webm)"}, None, "webm", (None, None, None)),
        ({"video_output_type": "PRORES4444 (.mov)"}, None, "mov", (None, None, None)),
        ({"video_output_type": "GIF (.gif)"}, "gif", "gif", (None, None, None)),
        ({"output_codec": "h264"}, None, "mp4", (None, None, None)),
        ({"output_format": "mp3_44100_128"}, None, None, ("mp3", 44100, None)),
        ({"output_format": "opus_48000_192"}, None, None, ("opus", 48000, None)),
        ({"output_format": "pcm_16000"}, None, None, ("pcm", 16000, None)),
        ({"audio_format": "flac"}, None, None, ("flac", None, None)),
        (
            {
                "output_format": "hex",
                "audio_setting": {"format": "mp3", "sample_rate": "32000", "channel": 2},
            },
            None,
            None,
            ("mp3", 32000, 2),
        ),
        ({"output_format": "url"}, None, None, (None, None, None)),
        ({}, None, None, (None, None, None)),
    ],
)
def test_a_format_is_read_in_every_spelling(
    values: Json, image: str | None, container: str | None, sound: tuple[Any, ...]
) -> None:
    assert reading.image_format(fields(values)) == image
    assert reading.container(fields(values)) == container
    assert reading.sound_format(fields(values)) == sound


@pytest.mark.parametrize(
    ("values", "sound"),
    [
        ({"generate_audio": True}, True),
        ({"generate_audio": False}, False),
        ({"enable_audio": True}, True),
        ({"audio": True}, True),
        ({"audio": "https://example.com/a.wav"}, None),
        ({}, None),
    ],
)
def test_a_switch_for_sound_is_read(values: Json, sound: bool | None) -> None:
    assert reading.sound(fields(values)) is sound


def test_only_a_sync_mode_that_is_true_asks_for_data_uris() -> None:
    assert reading.inline(fields({"sync_mode": True}))
    assert not reading.inline(fields({"sync_mode": "cut_off"}))
    assert not reading.inline(fields({"sync_mode": False}))
    assert not reading.inline(fields({}))


@pytest.mark.parametrize(
    ("values", "speech", "speed"),
    [
        ({"text": "Hello"}, "Hello", 1),
        ({"prompt": "Hello", "voice_setting": {"speed": 1.5}}, "Hello", 1.5),
        ({"prompt": "A deep voice", "preview_text": "Hello"}, "Hello", 1),
        ({"inputs": [{"text": "Hello", "voice": "A"}, {"text": "you", "voice": "B"}]}, "Hello you", 1),
        ({"text": "", "prompt": "Hello", "speed": 2}, "Hello", 2),
        ({"speed": 0}, "", 1),
    ],
)
def test_what_a_voice_says_and_how_fast_is_read(values: Json, speech: str, speed: float) -> None:
    assert reading.speech(fields(values)) == speech
    assert reading.speed(fields(values)) == speed


@pytest.mark.parametrize(
    ("values", "factor"),
    [
        ({"upscale_factor": 4}, 4),
        ({"upscale_factor": "4"}, 4),
        ({"scale": 3}, 3),
        ({"scale": "2x"}, 2),
        ({"scale_factor": 1.5}, 1.5),
        ({"upscale_factor": 100}, 16),
        ({}, 2),
    ],
)
def test_the_factor_of_an_upscaler_is_read(values: Json, factor: float) -> None:
    assert reading.factor(fields(values)) == factor


@pytest.mark.parametrize(
    ("values", "seed"),
    [
        ({"seed": 7}, 7),
        ({"seed": 0}, 0),
        ({"seed": -1}, None),
        ({"seed": None}, None),
        ({"seed": 10**400}, None),  # more than a float holds
        ({}, None),
    ],
)
def test_a_seed_is_read(values: Json, seed: int | None) -> None:
    assert reading.seed(fields(values)) == seed


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("image_url", "image"),
        ("image_urls", "image"),
        ("image_url_2", "image"),
        ("start_image_url", "image"),
        ("first_frame_url", "image"),
        ("tail_image_url", "image"),
        ("mask_url", "image"),
        ("model_image", "image"),
        ("video_url", "video"),
        ("video_urls", "video"),
        ("mask_video_url", "video"),
        ("audio_url", "audio"),
        ("reference_audio_url", "audio"),
        ("images_data_url", "archive"),
        ("prompt", None),
        ("image_size", None),
        ("num_frames", None),
        ("webhook_url", None),
    ],
)
def test_a_field_for_a_file_is_known_by_its_name(name: str, kind: str | None) -> None:
    assert sources.kind_of(name) == kind


def test_fields_have_the_names_and_defaults_of_the_schema_and_know_what_was_given() -> None:
    properties = {
        "schema": {"type": "string", "default": "a"},
        "num_images": {"type": "integer", "default": 2},
        "style": {"anyOf": [{"type": "string", "enum": ["x", "y"]}, {"type": "null"}]},
    }
    schemas = {"In": {"type": "object", "properties": properties}, "Out": {}}
    entry = Entry(endpoint="acme/some/model", schemas=schemas, input="In", output="Out")

    read = Fields.of(entry, schema.build(schemas, "In").model_validate({"schema": "b"}))

    assert read.values == {"schema": "b", "num_images": 2, "style": None}
    assert read.given == {"schema"}
    assert read.choices("style") == ["x", "y"]


NAMES = [
    *("duration", "num_frames", "fps", "image_size", "size", "width", "height", "aspect_ratio", "resolution"),
    *("num_images", "output_format", "audio_setting", "voice_setting", "sync_mode", "seed", "scale", "text"),
    *(
        "inputs",
        "tracks",
        "target_resolution",
        "upscale_factor",
        "speed",
        "generate_audio",
        "multi_prompt",
        "composition_plan",
    ),
]
TEXTS = st.sampled_from(
    ["auto", "16:9", "0:0", "720p", "1K", "0MP", "9999999p", "1x1", "auto_9K", "", "mp3_"]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | TEXTS | st.text(max_size=9)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["width", "height", "text", "speed", "keyframes", "sections", "duration_ms"]),
            inner,
        )
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_a_reader_takes_any_value(values: Json) -> None:
    read = fields(values)

    seconds, rate, size = reading.seconds(read), reading.rate(read), sizes.size(read, like=None, video=True)
    assert seconds is None or 0 < seconds <= reading.LONGEST
    assert rate is None or 0 < rate <= 1000
    assert size is None or all(isinstance(side, int) for side in size)
    assert 1 <= reading.count(read) <= 100
    assert 1 <= reading.factor(read) <= 16
    readers: list[Callable[[Fields], object]] = [reading.image_format, reading.container, reading.prompt]
    readers += [reading.sound_format, reading.speech, reading.seed, reading.sound, reading.speed]
    for reader in [*readers, sizes.target_side]:
        reader(read)
