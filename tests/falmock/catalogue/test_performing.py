"""Every bundled model makes what its input asks for, and a valid output."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import zipfile
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
import valid_inputs
from hypothesis import given
from hypothesis import strategies as st
from recorded_tools import FIRST_FRAME, LAST_FRAME, LAST_PICTURE, PICTURE, SOUND, VIDEO, RecordedTools

from falmock.catalogue import bundled, performing, schema
from falmock.catalogue.entries import Entry
from falmock.media import Clip, Document, Mesh, Picture, Sound, Still, Weights
from falmock.protocol import validation
from falmock.protocol.model_errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from falmock.catalogue.performing import Performance
    from falmock.media import Specification

Json = dict[str, Any]

CHECKED = list(json.loads(bundled.CHECKED.read_text())["endpoints"])
OTHERS = [endpoint for endpoint in bundled.ids() if endpoint not in set(CHECKED)]
# All of them with `make models`
SAMPLE = CHECKED + (OTHERS if os.environ.get("FALMOCK_MODELS") == "all" else OTHERS[::12])

PRESETS = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}
SPECIFICATIONS = {"image": Still, "video": Clip, "audio": Sound, "mesh": Mesh, "weights": Weights}


def entry_of(endpoint: str) -> Entry:
    entry = bundled.entry(endpoint)
    assert entry is not None
    return entry


async def perform(endpoint: str | Entry, body: Json, tools: RecordedTools | None = None) -> Performance:
    """Validate an input as the runner does, and run the model."""
    entry = entry_of(endpoint) if isinstance(endpoint, str) else endpoint
    model_input = validation.check(schema.build(entry.schemas, entry.input), body, "body")
    return await performing.perform(entry, model_input, tools or RecordedTools())


def urls(value: Any, name: str = "") -> Iterator[tuple[Json | None, str]]:
    """Yield the files of an output: the object, or None for a bare URL, and the URL."""
    if isinstance(value, dict):
        if isinstance(url := value.get("url"), str):
            yield value, url
        for key, member in value.items():
            if key != "url":
                yield from urls(member, key)
    elif isinstance(value, list):
        for member in value:
            yield from urls(member, name)
    elif isinstance(value, str) and name.endswith("_url"):
        yield None, value


def defaulted(entry: Entry, body: Json) -> Json:
    """Return an input with its defaults, without the models that read it."""
    properties = entry.schemas[entry.input].get("properties", {})
    return {**{name: field["default"] for name, field in properties.items() if "default" in field}, **body}


@pytest.mark.parametrize("full", [False, True], ids=["least", "full"])
@pytest.mark.parametrize("endpoint", SAMPLE)
async def test_a_bundled_model_makes_a_valid_output_of_what_its_input_asks_for(
    endpoint: str, full: bool
) -> None:
    entry, tools = entry_of(endpoint), RecordedTools()
    body = valid_inputs.make(entry, full=full)

    output = (await perform(entry, body, tools)).output

    schema.build(entry.schemas, entry.output).model_validate(output)
    names = list(entry.schemas[entry.output].get("x-fal-order-properties") or output)
    assert list(output) == [name for name in names if name in output]
    asked = defaulted(entry, body)
    check_files(output, tools, inline=asked.get("sync_mode") is True)
    if entry.medium in SPECIFICATIONS:
        assert any(is_of(spec, entry.medium) for spec in tools.specifications)
    check_images(entry, asked, output, tools)
    check_videos(entry, asked, tools)
    if "seed" in output and asked.get("seed") not in {None, -1}:  # -1 stands for any
        assert output["seed"] == asked["seed"]


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
async def test_an_output_behind_a_union_has_its_files(keyword: str) -> None:
    entry = entry_of("fal-ai/flux/dev")
    output = {keyword: [{"$ref": f"#/components/schemas/{entry.output}"}]}
    wrapped = replace(entry, schemas={**entry.schemas, "Wrapped": output}, output="Wrapped")

    made = (await perform(wrapped, {"prompt": "a hill"})).output

    assert len(made["images"]) == 1


async def test_the_number_of_masks_is_limited() -> None:
    entry = entry_of("fal-ai/flux/dev")
    masks = {"type": "array", "items": {"$ref": "#/components/schemas/Image"}}
    switches = {
        "return_multiple_masks": {"type": "boolean", "default": True},
        "max_masks": {"type": "integer", "default": 10**6},
    }
    own = replace(
        entry,
        schemas={
            **entry.schemas,
            "In": {"type": "object", "properties": switches},
            "Out": {"type": "object", "properties": {"masks": masks}},
        },
        input="In",
        output="Out",
    )

    assert len((await perform(own, {})).output["masks"]) == 100


def is_of(spec: Specification, medium: str) -> bool:
    """Check for the medium; an image may also be a GIF or a drawing in vectors."""
    is_image = medium == "image" and spec.content_type in {"image/gif", "image/svg+xml"}
    return isinstance(spec, SPECIFICATIONS[medium]) or is_image


def check_files(output: Json, tools: RecordedTools, *, inline: bool) -> None:
    found = list(urls(output))
    assert len(found) >= len(tools.files)
    for file, url in found:
        if inline:
            assert url.startswith("data:")
            continue
        published = tools.files[url]
        assert file is None or file.get("content_type") in {None, published.content_type}
        assert file is None or file.get("file_size") in {None, published.file_size}
        assert file is None or file.get("file_name") in {None, published.file_name}


def check_images(entry: Entry, asked: Json, output: Json, tools: RecordedTools) -> None:
    if entry.medium != "image" or not isinstance(output.get("images"), list):
        return
    stills = [spec for spec in tools.specifications if isinstance(spec, Still)]
    count = next((asked[name] for name in ("num_images", "num_samples", "num_results") if asked.get(name)), 1)
    assert len(output["images"]) == int(count)
    if len(stills) != int(count) or len(stills) != len(tools.specifications):
        return  # GIFs, drawings, or more images in other fields
    size = asked.get("image_size")
    if isinstance(size, str) and size in PRESETS:
        assert {spec.size for spec in stills} == {PRESETS[size]}
    if isinstance(size, dict) and {"width", "height"} <= set(size):
        assert {spec.size for spec in stills} == {(size["width"], size["height"])}
    kind = asked.get("output_format")
    if kind in {"jpeg", "png", "webp"}:
        assert {spec.format for spec in stills} == {kind}
    for image, spec in zip(output["images"], stills, strict=True):
        assert image.get("width", spec.width) in {None, spec.width}
        assert image.get("height", spec.height) in {None, spec.height}


def check_videos(entry: Entry, asked: Json, tools: RecordedTools) -> None:
    clips = [spec for spec in tools.specifications if isinstance(spec, Clip)]
    if entry.medium != "video" or not clips or any("video" in name for name in asked):
        return
    seconds = str(asked.get("duration", "")).removesuffix("s")
    if seconds.isdigit() and not asked.get("num_frames"):
        assert abs(clips[0].seconds - float(seconds)) <= 0.5 / clips[0].frames_per_second
    if asked.get("num_frames") and "duration" not in asked:
        assert clips[0].frames == int(asked["num_frames"])
    if isinstance(asked.get("generate_audio"), bool):
        assert clips[0].has_sound is asked["generate_audio"]


@pytest.mark.parametrize("endpoint", CHECKED[::4])
async def test_a_model_makes_the_same_of_the_same_input_and_seed(endpoint: str) -> None:
    body = valid_inputs.make(entry_of(endpoint), full=True)
    once, again = RecordedTools(), RecordedTools()

    assert (await perform(endpoint, body, once)) == (await perform(endpoint, body, again))
    assert once.specifications == again.specifications


@pytest.mark.parametrize("endpoint", CHECKED[::4])
async def test_a_model_succeeds_if_its_input_files_are_not_on_this_machine(endpoint: str) -> None:
    entry = entry_of(endpoint)

    output = (await perform(entry, valid_inputs.make(entry, full=False), RecordedTools(remote=True))).output

    schema.build(entry.schemas, entry.output).model_validate(output)


async def test_a_video_starts_from_the_first_picture_and_ends_with_the_last() -> None:
    tools = RecordedTools()
    body = {
        "prompt": "Fog lifts",
        "first_frame_url": "https://example.com/first_frame.png",
        "last_frame_url": "https://example.com/last_frame.png",
    }

    await perform("fal-ai/veo3.1/first-last-frame-to-video", body, tools)

    [clip] = tools.specifications
    assert isinstance(clip, Clip)
    assert (clip.picture, clip.last_picture) == (PICTURE, LAST_PICTURE)
    assert clip.size == (1280, 720)


async def test_an_image_starts_from_the_picture_and_not_from_a_reference_before_it() -> None:
    tools = RecordedTools()
    body = {
        "prompt": "Fog",
        "reference_image_url": "https://example.com/last_of_all.png",
        "image_url": "https://example.com/a.png",
        "mask_url": "https://example.com/last_of_all.png",
    }

    await perform("fal-ai/flux-general/inpainting", body, tools)

    [still] = tools.specifications
    assert isinstance(still, Still)
    assert len(tools.loads) == 3
    assert still.picture == PICTURE


async def test_an_extension_starts_with_the_last_frame_and_an_upscaled_video_with_the_first() -> None:
    tools = RecordedTools()
    body = {"prompt": "Go on", "video_url": "https://example.com/a.mp4"}

    await perform("fal-ai/veo3.1/extend-video", body, tools)
    changed = RecordedTools()
    await perform("fal-ai/topaz/upscale/video", {"video_url": "https://example.com/a.mp4"}, changed)

    [extension], [upscaled] = tools.specifications, changed.specifications
    assert isinstance(extension, Clip)
    assert isinstance(upscaled, Clip)
    assert (extension.picture, extension.seconds) == (LAST_FRAME, 7)
    assert (upscaled.picture, upscaled.seconds, upscaled.size) == (FIRST_FRAME, VIDEO.seconds, (1280, 960))
    assert upscaled.sound


@pytest.mark.parametrize(
    ("endpoint", "body", "seconds"),
    [
        ("fal-ai/sync-lipsync/v2", {"sync_mode": "cut_off"}, VIDEO.seconds),
        ("fal-ai/sync-lipsync/v2", {"sync_mode": "loop"}, SOUND.seconds),
        ("fal-ai/latentsync", {}, SOUND.seconds),
        ("fal-ai/ffmpeg-api/merge-audio-video", {}, VIDEO.seconds),
    ],
)
async def test_a_lip_sync_is_as_long_as_the_voice_unless_it_is_cut(
    endpoint: str, body: Json, seconds: float
) -> None:
    tools = RecordedTools()
    files = {"video_url": "https://example.com/a.mp4", "audio_url": "https://example.com/audio.wav"}

    await perform(endpoint, {**files, **body}, tools)

    [clip] = tools.specifications
    assert isinstance(clip, Clip)
    assert clip.seconds == pytest.approx(seconds, abs=0.02)
    assert clip.sound


async def test_an_avatar_is_as_long_as_its_voice() -> None:
    tools = RecordedTools()
    body = {"image_url": "https://example.com/face.png", "audio_url": "https://example.com/audio.wav"}

    output = (await perform("fal-ai/bytedance/omnihuman/v1.5", body, tools)).output

    [clip] = tools.specifications
    assert isinstance(clip, Clip)
    assert clip.seconds == output["duration"] == SOUND.seconds
    assert clip.picture == PICTURE


@pytest.mark.parametrize(
    ("endpoint", "body", "size"),
    [
        ("fal-ai/clarity-upscaler", {}, (3200, 1800)),
        ("fal-ai/clarity-upscaler", {"upscale_factor": 1.5}, (2400, 1350)),
        ("fal-ai/esrgan", {"scale": 3}, (4800, 2700)),
        (
            "fal-ai/seedvr/upscale/image",
            {"upscale_mode": "target", "target_resolution": "1440p"},
            (2560, 1440),
        ),
        ("fal-ai/flux-pro/kontext", {"prompt": "Add snow"}, (1600, 900)),
        ("fal-ai/nano-banana/edit", {"prompt": "Add snow"}, (1376, 768)),
        ("fal-ai/bria/background/remove", {}, (1600, 900)),
    ],
)
async def test_an_image_of_an_image_shows_it_at_the_right_size(
    endpoint: str, body: Json, size: tuple[int, int]
) -> None:
    tools = RecordedTools()
    field = "image_urls" if "nano" in endpoint else "image_url"
    url = "https://example.com/a.png"

    await perform(endpoint, {**body, field: [url] if field == "image_urls" else url}, tools)

    [still] = tools.specifications
    assert isinstance(still, Still)
    assert still.size == size
    assert still.picture == PICTURE
    assert still.transparent is ("background" in endpoint)


async def test_a_mask_is_null_unless_the_input_asks_for_it() -> None:
    body: Json = {"image_url": "https://example.com/a.png"}

    without = (await perform("fal-ai/birefnet/v2", body)).output
    wanted = (await perform("fal-ai/birefnet/v2", {**body, "output_mask": True})).output

    assert without["mask_image"] is None
    assert wanted["mask_image"]["url"] != wanted["image"]["url"]


async def test_each_of_several_images_is_another() -> None:
    tools = RecordedTools()

    output = (await perform("fal-ai/flux/dev", {"prompt": "Fog", "num_images": 4, "seed": 7}, tools)).output

    assert len({image["url"] for image in output["images"]}) == 4
    assert len(set(tools.specifications)) == 4
    assert output["has_nsfw_concepts"] == [False] * 4
    assert output["seed"] == 7
    assert output["prompt"] == "Fog"
    assert list(output["timings"]) == ["inference"]


async def test_a_file_has_the_fields_of_its_shape_from_the_true_file() -> None:
    flux = (await perform("fal-ai/flux/dev", {"prompt": "Fog"})).output["images"][0]
    banana = (await perform("fal-ai/nano-banana", {"prompt": "Fog"})).output["images"][0]
    video = (await perform("fal-ai/ltx-2/text-to-video", {"prompt": "Fog", "fps": 50})).output["video"]

    assert flux == {
        "url": "https://files.test/output.jpg",
        "width": 1024,
        "height": 768,
        "content_type": "image/jpeg",
    }
    assert (banana["file_name"], banana["file_size"], banana["width"]) == ("output.png", 1000, 1024)
    assert (video["duration"], video["fps"], video["num_frames"]) == (6, 50, 300)
    assert (video["width"], video["height"], video["content_type"]) == (1920, 1080, "video/mp4")


async def test_speech_is_as_long_as_its_text() -> None:
    short, long, fast = RecordedTools(), RecordedTools(), RecordedTools()

    await perform("fal-ai/elevenlabs/tts/turbo-v2.5", {"text": "x" * 150}, short)
    await perform("fal-ai/elevenlabs/tts/turbo-v2.5", {"text": "x" * 1500}, long)
    await perform("fal-ai/elevenlabs/tts/turbo-v2.5", {"text": "x" * 1500, "speed": 1.2}, fast)

    sounds = [spec for tools in (short, long, fast) for spec in tools.specifications]
    assert [spec.seconds for spec in sounds if isinstance(spec, Sound)] == [10, 100, 83.333]
    assert {spec.content_type for spec in sounds} == {"audio/mpeg"}


async def test_a_transcription_has_times_that_fit_the_recording() -> None:
    body = {"audio_url": "https://example.com/audio.wav"}

    segments = (await perform("fal-ai/whisper", body)).output
    words = (await perform("fal-ai/whisper", {**body, "chunk_level": "word", "diarize": True})).output
    none = (await perform("fal-ai/whisper", {**body, "chunk_level": "none"})).output

    for output in (segments, words):
        times = [chunk["timestamp"] for chunk in output["chunks"]]
        assert times[0][0] == 0
        assert times[-1][1] == SOUND.seconds
        assert all(before[1] == after[0] for before, after in pairwise(times))
        assert " ".join(chunk["text"] for chunk in output["chunks"]) == output["text"]
    assert len(words["chunks"]) > len(segments["chunks"]) > 1
    assert words["diarization_segments"][0]["speaker"]
    assert (segments["diarization_segments"], none["chunks"]) == ([], [])
    assert segments["inferred_languages"] == ["en"]


async def test_a_transcription_of_hours_ends_with_the_recording_and_is_not_endless() -> None:
    hours = RecordedTools(sound=replace(SOUND, seconds=7200.0))
    body = {"audio_url": "https://example.com/audio.wav", "chunk_level": "word"}

    output = (await perform("fal-ai/whisper", body, hours)).output

    assert output["chunks"][-1]["timestamp"][1] == 7200
    assert len(output["chunks"]) == len(output["text"].split()) == 2000


async def test_a_language_model_answers_the_prompt_and_counts_its_words() -> None:
    output = (await perform("openrouter/router", {"prompt": "Why is the sky blue?", "model": "any"})).output

    assert "Why is the sky blue?" in output["output"]
    assert output["usage"]["prompt_tokens"] == 5
    assert (output["reasoning"], output["error"], output["partial"]) == (None, None, False)


async def test_a_training_makes_weights_and_its_settings() -> None:
    tools = RecordedTools()
    body = {"images_data_url": "https://example.com/a.zip", "trigger_word": "ohwx", "steps": 200}

    output = (await perform("fal-ai/flux-lora-fast-training", body, tools)).output

    weights, config = tools.specifications
    assert isinstance(weights, Weights)
    assert isinstance(config, Document)
    assert output["diffusers_lora_file"]["file_name"] == "pytorch_lora_weights.safetensors"
    assert json.loads(config.data)["trigger_word"] == "ohwx"
    assert output["debug_preprocessed_output"] is None
    assert tools.loads == []


async def test_an_archive_of_frames_has_a_frame_for_each_second() -> None:
    endpoint = next(each for each in OTHERS if wants_frames(entry_of(each)))
    entry, tools = entry_of(endpoint), RecordedTools()
    body = {**valid_inputs.make(entry, full=False), "return_frames_zip": True}

    output = (await perform(entry, body, tools)).output

    archive = next(spec for spec in tools.specifications if isinstance(spec, Document))
    assert output["frames_zip"]["content_type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(archive.data)) as packed:
        assert packed.namelist()[0] == "frame_0000.png"
        assert packed.read("frame_0000.png") == bytes(100)
        clip = next(spec for spec in tools.specifications if isinstance(spec, Clip))
        assert len(packed.namelist()) == min(round(clip.seconds), 8)


def wants_frames(entry: Entry) -> bool:
    fields = entry.schemas[entry.input].get("properties", {})
    return "return_frames_zip" in fields and "frames_zip" in entry.schemas[entry.output]["properties"]


async def test_an_output_without_a_schema_is_guessed_from_the_medium() -> None:
    schemas = {
        "In": {"type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]},
        "Out": {},
    }
    image = Entry(endpoint="acme/erase/it", schemas=schemas, input="In", output="Out", medium="image")
    text = Entry(endpoint="acme/plan/it", schemas=schemas, input="In", output="Out", medium="text")

    assert (await perform(image, {"prompt": "Fog"})).output["image"]["content_type"] == "image/png"
    assert (await perform(text, {"prompt": "Fog"})).output == {}


async def test_an_endpoint_in_the_format_of_openai_answers_the_last_message() -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why is it blue?"}]
    schemas: Json = {"In": {}, "Out": {}}
    entry = Entry(endpoint="acme/router/v1/chat/completions", schemas=schemas, input="In", output="Out")

    output = (await perform(entry, {"messages": messages})).output

    [choice] = output["choices"]
    assert "Why is it blue?" in choice["message"]["content"]
    assert output["usage"]["prompt_tokens"] == 4


async def test_a_drawing_in_vectors_is_an_svg_that_shows_the_prompt() -> None:
    tools = RecordedTools()
    body = {"prompt": "Fog & <rain>\x07", "style": "vector_illustration"}

    output = (await perform("fal-ai/recraft/v3/text-to-image", body, tools)).output

    [drawing] = tools.specifications
    assert isinstance(drawing, Document)
    assert output["images"][0]["content_type"] == "image/svg+xml"
    root = ET.fromstring(drawing.data)  # noqa: S314 - of the emulator
    assert (root.get("width"), root.get("height")) == ("1024", "1024")
    assert "".join(root.itertext()).strip() == "Fog & <rain>"


async def test_data_uris_are_given_only_for_a_sync_mode_that_is_a_flag() -> None:
    tools = RecordedTools()

    output = (await perform("fal-ai/flux/schnell", {"prompt": "Fog", "sync_mode": True}, tools)).output

    head, _, data = output["images"][0]["url"].partition(",")
    assert head == "data:image/jpeg;base64"
    assert len(base64.b64decode(data)) == 100
    assert tools.files == {}


async def test_a_wrong_input_file_is_the_error_of_the_model_at_its_place() -> None:
    body = {"prompt": "Fog", "image_urls": ["https://example.com/a.png", "https://example.com/broken.png"]}

    with pytest.raises(ModelError) as raised:
        await perform("fal-ai/nano-banana/edit", body, RecordedTools(broken="broken"))

    [entry] = raised.value.body["detail"]
    assert entry["loc"] == ["body", "image_urls", 1]
    assert entry["type"] == "image_load_error"


KLING = "fal-ai/kling-video/v3/pro/image-to-video"  # 300 pixels a side, ratios of 0.4 to 2.5, 3 to 10.05 s


@pytest.mark.parametrize(
    ("picture", "error", "ctx"),
    [
        (Picture.of(299, 400, (1, 1), b""), "image_too_small", {"min_height": 300, "min_width": 300}),
        (
            Picture.of(2600, 1000, (1, 1), b""),
            "image_aspect_ratio_error",
            {"min_aspect_ratio": 0.4, "max_aspect_ratio": 2.5},
        ),
        (Picture.of(300, 300, (1, 1), b""), None, None),
    ],
)
async def test_a_picture_is_checked_against_the_limits_of_its_field(
    picture: Picture, error: str | None, ctx: Json | None
) -> None:
    body = {"prompt": "Fog", "start_image_url": "https://example.com/a.png"}

    assert await refusal(KLING, body, RecordedTools(first=picture)) == (
        error,
        ["body", "start_image_url"],
        ctx,
    )


@pytest.mark.parametrize(
    ("seconds", "error", "ctx"),
    [
        (2.5, "video_duration_too_short", {"min_duration": 3, "provided_duration": 2.5}),
        (10.1, "video_duration_too_long", {"max_duration": 10.05, "provided_duration": 10.1}),
        (10.05, None, None),
    ],
)
async def test_a_video_inside_an_object_is_checked_against_the_limits_of_its_field(
    seconds: float, error: str | None, ctx: Json | None
) -> None:
    url = "https://example.com/a.mp4"
    body = {"prompt": "Fog", "start_image_url": "https://example.com/a.png", "elements": [{"video_url": url}]}

    found = await refusal(KLING, body, RecordedTools(video=replace(VIDEO, seconds=seconds)))

    assert found == (error, ["body", "elements", 0, "video_url"], ctx)


async def refusal(
    endpoint: str, body: Json, tools: RecordedTools
) -> tuple[str | None, list[Any], Json | None]:
    """Return type, place and facts of a model's error; for none, the place of the last file."""
    try:
        await perform(endpoint, body, tools)
    except ModelError as error:
        [entry] = error.body["detail"]
        return entry["type"], entry["loc"], entry["ctx"]
    return None, list(tools.loads[-1]), None


async def test_files_inside_objects_are_fetched_and_defaults_are_not() -> None:
    tools = RecordedTools()
    body = {
        "prompt": "Fog",
        "video_url": "https://example.com/a.mp4",
        "elements": [{"frontal_image_url": "https://example.com/e.png"}],
    }

    await perform("fal-ai/kling-video/o1/video-to-video/edit", body, tools)
    await perform("fal-ai/chatterbox/text-to-speech", {"text": "Fog"}, tools)

    assert tools.loads == [("body", "video_url"), ("body", "elements", 0, "frontal_image_url")]


async def test_an_image_that_is_too_large_to_make_is_an_error_of_the_model() -> None:
    with pytest.raises(ModelError, match="did not generate"):
        await perform("fal-ai/flux/dev", {"prompt": "Fog", "image_size": {"width": 14142, "height": 14142}})


WILD = st.integers(-5, 10**9) | st.floats(allow_nan=False) | st.sampled_from(["auto", "5", "9:16", "x"])


@pytest.mark.parametrize(
    ("medium", "form", "longest"),
    [
        ("image", "webp", 16_383),
        ("image", "jpeg", 65_500),
        ("image", "png", 65_500),
        ("video", "mp4", 16_384),
    ],
)
async def test_a_side_is_at_most_what_the_format_can_have(medium: Any, form: str, longest: int) -> None:
    names = ("prompt", "width", "height", "output_format", "num_frames")
    schemas = {
        "In": {"type": "object", "properties": {name: {} for name in names}},
        "Out": {"type": "object", "properties": {medium: FILE}},
    }
    entry = Entry(endpoint="acme/wild/it", schemas=schemas, input="In", output="Out", medium=medium)
    body = {"height": 16, "output_format": form, "num_frames": 1}

    tools = RecordedTools()
    await perform(entry, {**body, "width": longest}, tools)
    with pytest.raises(ModelError, match="did not generate the expected output"):
        await perform(entry, {**body, "width": longest + 1})

    (made,) = tools.specifications
    assert isinstance(made, Still | Clip)
    assert (made.width, made.height) == (longest, 16)


NAMES = ("duration", "num_frames", "fps", "width", "height", "num_images", "sample_rate", "channels", "speed")


@pytest.mark.parametrize("medium", ["image", "video", "audio"])
@given(st.fixed_dictionaries({"prompt": st.text(max_size=5)}, optional=dict.fromkeys(NAMES, WILD)))
def test_a_model_without_bounds_makes_something_or_fails_as_a_model_does(medium: Any, body: Json) -> None:
    schemas = {
        "In": {"type": "object", "properties": {name: {} for name in ("prompt", *NAMES)}},
        "Out": {"type": "object", "properties": {f"{medium}s": {"type": "array", "items": FILE}}},
    }
    entry = Entry(endpoint="acme/wild/it", schemas=schemas, input="In", output="Out", medium=medium)

    tools = RecordedTools()
    try:
        asyncio.run(perform(entry, body, tools))
    except ModelError as error:
        assert error.body["detail"][0]["type"] == "no_media_generated"  # noqa: PT017 - or it succeeds
    else:
        assert tools.specifications


FILE = {"type": "object", "properties": {"url": {"type": "string"}}, "required": ["url"]}


def test_the_log_of_a_run_says_what_it_reads_and_makes() -> None:
    assert performing.logs(entry_of("fal-ai/veo2/image-to-video")) == (
        (0.05, "Starting video generation"),
        (0.1, "Reading the input image"),
        (0.3, "Generating video: 25%"),
        (0.5, "Generating video: 50%"),
        (0.7, "Generating video: 75%"),
        (0.9, "Uploading the video"),
    )
    for endpoint in CHECKED:
        shares = [share for share, _ in performing.logs(entry_of(endpoint))]
        assert shares == sorted(set(shares))
        assert all(0 < share < 1 for share in shares)


def test_the_log_of_a_model_that_takes_only_texts_and_numbers_reads_no_file() -> None:
    entry = entry_of("fal-ai/flux/dev")

    assert "num_images" in entry.fields
    assert [text for _, text in performing.logs(entry)][:2] == [
        "Starting image generation",
        "Generating image: 25%",
    ]


async def test_the_output_states_the_frames_of_its_video() -> None:
    tools = RecordedTools()
    body = {
        "prompt": "x",
        "image_url": "https://example.com/a.png",
        "video_url": "https://example.com/a.mp4",
    }

    output = (await perform("fal-ai/steady-dancer", body, tools)).output

    [clip] = tools.specifications
    assert isinstance(clip, Clip)
    assert output["num_frames"] == clip.frames
