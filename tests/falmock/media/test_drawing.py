from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from example_count import examples
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from falmock.media import Clip, Picture, Still
from falmock.media.drawing import canvas, caption, still
from falmock.media.fonts import Library

if TYPE_CHECKING:
    from collections.abc import Callable

LONG = "The camera follows a lego chef who cooks eggs in a bright kitchen. " * 20


NONE = Library([])


def captioned(prompt: str, width: int = 1280, height: int = 720, **others: Any) -> Image.Image:
    return caption(Clip(width=width, height=height, frames=120, prompt=prompt, **others), NONE)


def ink(image: Image.Image) -> tuple[int, int, int, int] | None:
    """Return the bounding box of all pixels that are not black."""
    return image.convert("RGB").getbbox()


@given(
    st.text(st.characters(), max_size=300),
    st.sampled_from([(1280, 720), (720, 1280), (2, 2), (64, 1024), (256, 256), (60, 60), (150, 110)]),
)
@examples(60)
def test_a_caption_is_drawn_for_any_prompt_and_size(prompt: str, size: tuple[int, int]) -> None:
    assert captioned(prompt, *size, model=prompt).width == size[0]


@pytest.mark.parametrize(
    "prompt",
    ["", " ", "\0", "\n\r\t\x0b", "\ud800", "\u202eabc", "W" * 100_000, "\u0301" * 100_000, "\ufdfa" * 999],
)
def test_a_caption_is_drawn_for_unusual_prompts(prompt: str) -> None:
    assert captioned(prompt).width == 1280


@pytest.mark.parametrize("size", [(1280, 720), (720, 1280)])
@pytest.mark.parametrize("prompt", [LONG, "W" * 400, "i" * 400, "W " * 200])
def test_the_text_of_a_caption_keeps_a_margin(prompt: str, size: tuple[int, int]) -> None:
    strip = captioned(prompt, *size)
    box = ink(strip)
    assert box is not None
    left, upper, right, lower = box
    assert min(left, upper, size[0] - right, strip.height - lower) >= 16


def test_a_long_prompt_is_cut_after_two_lines() -> None:
    assert captioned(LONG).height == captioned(LONG[:90]).height < 720 / 3


def test_the_caption_of_a_short_prompt_is_lower() -> None:
    assert captioned("").height < captioned("A lego chef").height < captioned(LONG).height


def test_the_caption_shows_the_prompt() -> None:
    assert captioned("A lego chef").tobytes() != captioned("A lego cook").tobytes()


@pytest.mark.parametrize(
    "change",
    [{"model": "fal-ai/veo3"}, {"frames": 48}, {"frames_per_second": 30}, {"seed": 7}, {"height": 718}],
)
def test_the_caption_shows_model_length_rate_seed_and_size(
    clip: Callable[..., Clip], change: dict[str, object]
) -> None:
    shown = [caption(clip(**({"width": 1280, "height": 720} | each)), NONE) for each in ({}, change)]
    assert shown[0].tobytes() != shown[1].tobytes()


def test_the_plain_style_shows_neither_prompt_nor_seed() -> None:
    assert captioned("a", style="plain", seed=1) == captioned("b", style="plain", seed=2)


@pytest.mark.parametrize(
    ("size", "text"),
    [((1280, 720), True), ((256, 256), True), ((64, 64), True), ((60, 900), True), ((48, 48), False)],
)
def test_small_images_have_less_text_and_tiny_ones_none(size: tuple[int, int], text: bool) -> None:
    strip = captioned("A lego chef", *size)
    assert (ink(strip) is not None) is text
    assert strip.height <= size[1] * 0.62


@pytest.mark.parametrize("size", [(1280, 720), (720, 1280), (1024, 1024), (2048, 858)])
def test_the_prompt_is_legible_in_a_thumbnail_of_320_pixels(size: tuple[int, int]) -> None:
    strip = captioned("HHHH", *size).convert("RGB")
    scale = 320 / max(size)
    thumbnail = strip.resize([round(side * scale) for side in strip.size], Image.Resampling.BOX)
    bright = thumbnail.convert("L").point(lambda level: 255 if level > 100 else 0)
    box = bright.crop((0, 0, thumbnail.width, thumbnail.height // 2)).getbbox()
    assert box is not None
    assert box[3] - box[1] in range(6, 13)  # the height of capital letters


def test_the_caption_is_legible_on_white() -> None:
    strip = captioned("A lego chef")
    frame = Image.new("RGBA", strip.size, "white")
    frame.alpha_composite(strip)
    box = ink(strip)
    assert box is not None
    darkest, brightest = frame.convert("L").crop(box).getextrema()
    assert contrast(darkest, brightest) > 4.5  # what WCAG asks of text


def contrast(dark: object, bright: object) -> float:
    darker, brighter = (float(str(level)) / 255 for level in (dark, bright))
    return (math.pow(brighter, 2.2) + 0.05) / (math.pow(darker, 2.2) + 0.05)


def test_a_picture_fills_the_canvas_without_distortion(
    clip: Callable[..., Clip], picture_of: Callable[[Image.Image], Picture]
) -> None:
    image = Image.new("RGB", (400, 400), "white")
    image.paste("black", (150, 150, 250, 250))
    drawn = canvas(clip(picture=picture_of(image)))
    assert drawn.size == clip().canvas
    square = drawn.convert("L").point(lambda level: 255 if level < 128 else 0).getbbox()
    assert square is not None
    assert abs((square[2] - square[0]) - (square[3] - square[1])) <= 2


@pytest.mark.parametrize("size", [(1, 1), (1, 8192), (8192, 1)])
def test_a_picture_with_an_extreme_ratio_fills_the_canvas(
    clip: Callable[..., Clip], picture_of: Callable[[Image.Image], Picture], size: tuple[int, int]
) -> None:
    assert canvas(clip(picture=picture_of(Image.new("RGB", size)))).size == clip().canvas


def test_the_seed_selects_the_colours_of_the_backdrop(clip: Callable[..., Clip]) -> None:
    assert len({canvas(clip(seed=seed)).tobytes() for seed in (0, 4, 8, 10**30)}) == 4


def test_a_plain_still_shows_neither_picture_nor_prompt(
    clip: Callable[..., Clip], picture_of: Callable[[Image.Image], Picture]
) -> None:
    picture = picture_of(Image.new("RGB", (8, 8), "red"))
    assert canvas(clip(style="plain", picture=picture, prompt="x")) == canvas(clip(style="plain"))


STILL = Still(width=200, height=120, prompt="A lego chef", model="fal-ai/flux")


def test_several_stills_of_a_request_differ(picture_of: Callable[[Image.Image], Picture]) -> None:
    picture = picture_of(Image.new("RGB", (80, 80), "white"))
    for base in (STILL, replace(STILL, picture=picture), replace(STILL, style="plain")):
        assert len({still(replace(base, index=index), NONE).tobytes() for index in range(4)}) == 4


def test_a_still_shows_the_picture_in_its_own_ratio(picture_of: Callable[[Image.Image], Picture]) -> None:
    image = Image.new("RGB", (400, 400), "white")
    image.paste("red", (150, 150, 250, 250))
    drawn = still(replace(STILL, width=400, height=200, picture=picture_of(image)), NONE)
    assert drawn.getpixel((200, 100)) == (255, 0, 0)
    assert drawn.getpixel((10, 190)) == (255, 255, 255)


def test_a_transparent_still_has_a_subject_with_soft_edges_on_nothing() -> None:
    drawn = still(replace(STILL, transparent=True), NONE)
    alpha = drawn.getchannel("A")
    assert [alpha.getpixel(corner) for corner in ((0, 0), (199, 0), (0, 119), (199, 119))] == [0] * 4
    assert alpha.getpixel((100, 60)) == 255
    assert len(alpha.getcolors() or []) > 50


def test_a_transparent_jpeg_has_white_instead() -> None:
    drawn = still(replace(STILL, transparent=True, format="jpeg"), NONE)
    assert drawn.mode == "RGB"
    assert drawn.getpixel((0, 0)) == (255, 255, 255)
