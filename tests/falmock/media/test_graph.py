from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PIL import Image, ImageChops, ImageStat

from falmock.media import Clip
from falmock.media.drawing import caption
from falmock.media.fonts import Library

if TYPE_CHECKING:
    from collections.abc import Callable

    from falmock.media import Picture

    Pictured = Callable[[Image.Image], Picture]
    Frames = Callable[[Clip], list[Image.Image]]

STRIP = caption(Clip(width=160, height=90, frames=1), Library([])).height


def difference(image: Image.Image, other: Image.Image) -> float:
    return max(ImageStat.Stat(ImageChops.difference(image, other)).mean)


@pytest.mark.parametrize("seed", range(4))
def test_the_picture_moves_by_the_same_step_in_every_frame(
    clip: Callable[..., Clip], picture_of: Pictured, frames: Frames, seed: int
) -> None:
    picture = picture_of(Image.effect_noise((40, 30), 90).resize((320, 240), Image.Resampling.BICUBIC))
    moving = clip(picture=picture, seed=seed, frames=14)
    right, down = moving.camera
    seen = frames(moving)
    for earlier, later in zip(seen[::4], seen[4::4], strict=False):
        moved = ImageChops.offset(earlier, -4 * right, -4 * down)
        middle = (10, STRIP + 8, 150, 80)
        assert difference(moved.crop(middle), later.crop(middle)) < 4
        assert difference(earlier.crop(middle), later.crop(middle)) > 8


def test_the_camera_turns_round_after_a_third_of_the_frame(
    clip: Callable[..., Clip], picture_of: Pictured, frames: Frames
) -> None:
    picture = picture_of(Image.effect_noise((40, 30), 90).resize((320, 240), Image.Resampling.BICUBIC))
    seen = frames(clip(picture=picture, seed=2, frames=31))
    middle = (10, STRIP + 8, 150, 80)
    assert difference(seen[10].crop(middle), seen[20].crop(middle)) < 4
    assert difference(seen[0].crop(middle), seen[30].crop(middle)) < 4


@pytest.mark.parametrize("colour", [(200, 30, 60), (20, 140, 90), (250, 250, 250), (5, 5, 5)])
def test_a_video_keeps_the_colours_of_the_picture(
    clip: Callable[..., Clip], picture_of: Pictured, frames: Frames, colour: tuple[int, int, int]
) -> None:
    seen = frames(clip(picture=picture_of(Image.new("RGB", (160, 90), colour))))
    mean = ImageStat.Stat(seen[-1].crop((0, STRIP, 160, 90))).mean
    assert mean == pytest.approx(colour, abs=4)


def test_the_caption_does_not_move(clip: Callable[..., Clip], picture_of: Pictured, frames: Frames) -> None:
    seen = frames(clip(picture=picture_of(Image.new("RGB", (160, 90), "white"))))
    strips = [frame.crop((0, 0, 160, STRIP)) for frame in (seen[0], seen[12], seen[-1])]
    assert difference(strips[0], Image.new("RGB", (160, STRIP), "white")) > 60
    assert difference(strips[0], strips[1]) < 3
    assert difference(strips[0], strips[2]) < 3


def test_the_camera_moves_over_a_backdrop_without_a_picture(
    clip: Callable[..., Clip], frames: Frames
) -> None:
    seen = frames(clip())
    assert len(seen) == 24
    assert difference(seen[0], seen[-1]) > 8


def test_a_plain_clip_does_not_move(clip: Callable[..., Clip], frames: Frames) -> None:
    seen = frames(clip(style="plain"))
    assert len(seen) == 24
    assert difference(seen[0], seen[-1]) < 1
