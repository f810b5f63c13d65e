from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from falmock.media import Clip, Picture

if TYPE_CHECKING:
    from collections.abc import Callable

FFMPEG = "ffmpeg version 8"


def test_equal_clips_have_equal_cache_keys(clip: Callable[..., Clip]) -> None:
    assert clip().key(FFMPEG) == clip().key(FFMPEG)


@pytest.mark.parametrize(
    "change",
    [
        {"width": 162},
        {"height": 92},
        {"seconds": 2},
        {"frames_per_second": 30},
        {"prompt": "A lego cook"},
        {"model": "fal-ai/veo3"},
        {"seed": 4},
        {"style": "plain"},
    ],
)
def test_the_cache_key_depends_on_everything_that_the_video_shows(
    clip: Callable[..., Clip], change: dict[str, object]
) -> None:
    assert clip(**change).key(FFMPEG) != clip().key(FFMPEG)


def test_the_cache_key_depends_on_the_picture(
    clip: Callable[..., Clip], picture_of: Callable[[Image.Image], Picture]
) -> None:
    red, blue = (picture_of(Image.new("RGB", (4, 4), colour)) for colour in ("red", "blue"))
    assert len({clip(picture=picture).key(FFMPEG) for picture in (None, red, blue)}) == 3


def test_the_cache_key_depends_on_the_version_of_ffmpeg(clip: Callable[..., Clip]) -> None:
    assert clip().key(FFMPEG) != clip().key("ffmpeg version 9")


@pytest.mark.parametrize("change", [{"prompt": "Another"}, {"seed": 7}])
def test_plain_clips_share_a_cache_key_for_any_input(
    clip: Callable[..., Clip], change: dict[str, object]
) -> None:
    assert clip(style="plain", **change).key(FFMPEG) == clip(style="plain").key(FFMPEG)


@given(st.text(st.characters(), max_size=50), st.integers())
def test_a_cache_key_is_a_plain_file_name_for_any_prompt_and_seed(text: str, seed: int) -> None:
    clip = Clip(width=2, height=2, seconds=1, prompt=text + "\ud800\0", model=text, seed=seed)
    assert set(clip.key(text)) <= set("0123456789abcdef")
    assert len(clip.key(text)) == 64


@pytest.mark.parametrize("seconds", [5, 6, 7, 8])
def test_a_clip_has_24_frames_a_second(clip: Callable[..., Clip], seconds: int) -> None:
    assert clip(seconds=seconds).frames == seconds * 24


@given(st.integers(), st.integers(1, 8))
def test_the_camera_moves_over_the_whole_canvas(seed: int, seconds: int) -> None:
    clip = Clip(width=1280, height=720, seconds=seconds, prompt="", model="", seed=seed)
    crossed = [abs(step) * (clip.frames - 1) for step in clip.camera]
    assert clip.canvas == (1280 + crossed[0], 720 + crossed[1])


def test_the_seed_selects_one_of_four_camera_directions(clip: Callable[..., Clip]) -> None:
    assert {clip(seed=seed).camera for seed in range(8)} == {(2, 0), (-2, 0), (0, 2), (0, -2)}


def test_the_camera_does_not_move_in_a_plain_clip(clip: Callable[..., Clip]) -> None:
    assert clip(style="plain").camera == (0, 0)
