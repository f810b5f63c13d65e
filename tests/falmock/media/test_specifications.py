from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from falmock.media import Clip, Document, Mesh, Picture, Sound, Specification, Still, Weights
from falmock.media.specifications import key

if TYPE_CHECKING:
    from collections.abc import Callable

CLIP = Clip(width=160, height=90, frames=24, prompt="A lego chef", model="fal-ai/veo2", seed=0)
STILL = Still(width=160, height=90, prompt="A lego chef", model="fal-ai/flux", seed=0)
EACH = [CLIP, STILL, Sound(seconds=1), Mesh(), Weights(), Document(name="a.json", data=b"{}")]


@pytest.mark.parametrize("specification", EACH, ids=lambda each: type(each).__name__)
def test_equal_specifications_have_equal_keys(specification: Specification) -> None:
    assert key(replace(specification), ["ffmpeg 8"]) == key(specification, ["ffmpeg 8"])


@pytest.mark.parametrize(
    ("specification", "change"),
    [
        (CLIP, {"width": 162}),
        (CLIP, {"height": 92}),
        (CLIP, {"frames": 25}),
        (CLIP, {"frames_per_second": 23.976}),
        (CLIP, {"sound": True}),
        (CLIP, {"container": "webm"}),
        (CLIP, {"prompt": "A lego cook"}),
        (CLIP, {"model": "fal-ai/veo3"}),
        (CLIP, {"seed": 4}),
        (CLIP, {"style": "plain"}),
        (STILL, {"width": 161}),
        (STILL, {"format": "webp"}),
        (STILL, {"transparent": True}),
        (STILL, {"prompt": "A lego cook"}),
        (STILL, {"index": 1}),
        (Sound(seconds=1), {"seconds": 1.1}),
        (Sound(seconds=1), {"channels": 2}),
        (Mesh(), {"seed": 1}),
        (Mesh(), {"format": "obj"}),
        (Weights(), {"seed": 1}),
        (Document(name="a.txt", data=b"a"), {"data": b"b"}),
    ],
)
def test_the_key_depends_on_everything_that_a_medium_shows(
    specification: Specification, change: dict[str, Any]
) -> None:
    assert key(replace(specification, **change)) != key(specification)


@pytest.mark.parametrize("field", ["picture", "last_picture"])
def test_the_key_depends_on_the_pictures(picture_of: Callable[[Image.Image], Picture], field: str) -> None:
    red, blue = (picture_of(Image.new("RGB", (4, 4), colour)) for colour in ("red", "blue"))
    clips = [replace(CLIP, **{field: picture}) for picture in (None, red, blue)]  # type: ignore[arg-type]
    assert len({key(clip) for clip in clips}) == 3


def test_the_key_depends_on_the_programs_and_fonts_that_are_used() -> None:
    assert key(CLIP, ["ffmpeg 8"]) != key(CLIP, ["ffmpeg 9"])


@pytest.mark.parametrize("specification", [CLIP, STILL])
@pytest.mark.parametrize("change", [{"prompt": "Another"}, {"seed": 7}])
def test_plain_media_share_a_key_for_any_input(specification: Clip | Still, change: dict[str, Any]) -> None:
    plain = replace(specification, style="plain")
    assert key(replace(plain, **change)) == key(plain)


@given(st.text(st.characters(), max_size=50), st.integers())
def test_a_key_is_a_plain_file_name_for_any_prompt_and_seed(text: str, seed: int) -> None:
    clip = Clip(width=2, height=2, frames=1, prompt=text + "\ud800\0", model=text, seed=seed)
    assert set(key(clip, [text])) <= set("0123456789abcdef")
    assert len(key(clip, [text])) == 64


@pytest.mark.parametrize(
    ("rate", "exact"),
    [
        (24, Fraction(24)),
        (23.976, Fraction(24000, 1001)),
        (23.98, Fraction(24000, 1001)),
        (29.97, Fraction(30000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (12.5, Fraction(25, 2)),
        (16, Fraction(16)),
        (0.1, Fraction(1, 10)),
    ],
)
def test_rates_of_television_are_exact(rate: float, exact: Fraction) -> None:
    assert replace(CLIP, frames_per_second=rate).rate == exact


@given(st.integers(1, 2000), st.integers(1, 2000))
def test_the_size_of_a_video_is_even_and_at_most_a_pixel_more(width: int, height: int) -> None:
    size = Clip(width=width, height=height, frames=1).size
    assert [side % 2 for side in size] == [0, 0]
    assert [side - asked in {0, 1} for side, asked in zip(size, (width, height), strict=True)] == [True] * 2


@given(st.integers(), st.integers(1, 500))
def test_the_camera_stays_on_the_canvas_and_moves_at_most_a_third_of_the_frame(
    seed: int, frames: int
) -> None:
    clip = Clip(width=1280, height=720, frames=frames, seed=seed)
    reach = [abs(step) * (clip.frames - 1) for step in clip.camera]
    assert clip.travel == (min(reach[0], 426), min(reach[1], 240))
    assert clip.canvas == (1280 + clip.travel[0], 720 + clip.travel[1])


def test_the_seed_selects_one_of_four_camera_directions() -> None:
    assert {replace(CLIP, seed=seed).camera for seed in range(8)} == {(2, 0), (-2, 0), (0, 2), (0, -2)}


def test_the_camera_does_not_move_in_a_plain_clip() -> None:
    assert replace(CLIP, style="plain").camera == (0, 0)


@pytest.mark.parametrize(
    ("specification", "content_type", "suffix"),
    [
        (CLIP, "video/mp4", ".mp4"),
        (replace(CLIP, container="mov"), "video/quicktime", ".mov"),
        (replace(STILL, format="jpeg"), "image/jpeg", ".jpg"),
        (Sound(seconds=1, format="mp3"), "audio/mpeg", ".mp3"),
        (Mesh(), "model/gltf-binary", ".glb"),
        (Weights(), "application/octet-stream", ".safetensors"),
        (Document(name="words.SRT", data=b""), "application/x-subrip", ".srt"),
        (Document(name="../a.b/c", data=b""), "application/octet-stream", ".bin"),
    ],
)
def test_a_medium_knows_its_content_type_and_suffix(
    specification: Specification, content_type: str, suffix: str
) -> None:
    assert (specification.content_type, specification.suffix) == (content_type, suffix)


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [
        (Sound(seconds=1, format="opus", sample_rate=44100), 48000),
        (Sound(seconds=1, format="mp3", sample_rate=96000), 48000),
        (Sound(seconds=1, format="wav", sample_rate=12345), 12345),
    ],
)
def test_a_sound_has_the_nearest_rate_of_its_format(asked: Sound, nearest: int) -> None:
    assert asked.rate == nearest


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (Clip, {"width": 0, "height": 2, "frames": 1}),
        (Clip, {"width": 2, "height": 2, "frames": 0}),
        (Clip, {"width": 2, "height": 2, "frames": 1, "frames_per_second": 0}),
        (Still, {"width": 20_000, "height": 20_000}),
        (Sound, {"seconds": 0}),
        (Sound, {"seconds": float("nan")}),
        (Sound, {"seconds": 1, "channels": 6}),
    ],
)
def test_media_that_cannot_be_made_are_refused(kind: type[Specification], arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"pixels|needs|channels"):
        kind(**arguments)
