from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from example_count import examples
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from falmock.media import Clip, Picture
from falmock.media.drawing import caption, still

if TYPE_CHECKING:
    from collections.abc import Callable

LONG = "The camera follows a lego chef who cooks eggs in a bright kitchen. " * 20


def captioned(prompt: str, width: int = 1280, height: int = 720, model: str = "fal-ai/veo2") -> Image.Image:
    return caption(Clip(width=width, height=height, frames=120, prompt=prompt, model=model, seed=0))


def ink(image: Image.Image) -> tuple[int, int, int, int] | None:
    """Return the bounding box of all pixels that are not black."""
    return image.convert("RGB").getbbox()


@given(
    st.text(st.characters(), max_size=300), st.sampled_from([(1280, 720), (720, 1280), (2, 2), (64, 1024)])
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
    assert captioned(LONG).height == captioned(LONG[:120]).height < 720 / 3


def test_the_caption_of_a_short_prompt_is_lower() -> None:
    assert captioned("").height < captioned("A lego chef").height < captioned(LONG).height


def test_the_caption_shows_the_prompt() -> None:
    assert captioned("A lego chef").tobytes() != captioned("A lego cook").tobytes()


@pytest.mark.parametrize("change", [{"model": "fal-ai/veo3"}, {"frames": 48}])
def test_the_caption_shows_model_and_duration(clip: Callable[..., Clip], change: dict[str, object]) -> None:
    assert caption(clip(**change)).tobytes() != caption(clip()).tobytes()


@pytest.mark.parametrize(
    ("prompt", "drawn"),
    [
        ("Café \u2013 crème brûlée", "Cafe - creme brulee"),
        ("two\nlines\tand\0more", "two lines and more"),
        ("a cat 一只猫 🐱 dances", "a cat 猫 dances"),
        ("ﬁne", "fine"),
        ("zero\u200bwidth", "zero width"),
    ],
)
def test_characters_that_the_font_lacks_are_replaced(prompt: str, drawn: str) -> None:
    assert captioned(prompt) == captioned(drawn)


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
    drawn = still(clip(picture=picture_of(image)))
    assert drawn.size == clip().canvas
    square = drawn.convert("L").point(lambda level: 255 if level < 128 else 0).getbbox()
    assert square is not None
    assert abs((square[2] - square[0]) - (square[3] - square[1])) <= 2


@pytest.mark.parametrize("size", [(1, 1), (1, 8192), (8192, 1)])
def test_a_picture_with_an_extreme_ratio_fills_the_canvas(
    clip: Callable[..., Clip], picture_of: Callable[[Image.Image], Picture], size: tuple[int, int]
) -> None:
    assert still(clip(picture=picture_of(Image.new("RGB", size)))).size == clip().canvas


def test_the_seed_selects_the_colours_of_the_backdrop(clip: Callable[..., Clip]) -> None:
    assert len({still(clip(seed=seed)).tobytes() for seed in (0, 4, 8, 10**30)}) == 4


def test_a_plain_still_shows_neither_picture_nor_prompt(
    clip: Callable[..., Clip], picture_of: Callable[[Image.Image], Picture]
) -> None:
    picture = picture_of(Image.new("RGB", (8, 8), "red"))
    assert still(clip(style="plain", picture=picture, prompt="x")) == still(clip(style="plain"))
