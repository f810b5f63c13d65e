"""Draws with Pillow: stills, the canvas that the camera of a clip moves over, and captions."""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from falmock.media.specifications import Clip, Still
from falmock.media.typesetting import ASCENT, Setter, runs

if TYPE_CHECKING:
    from falmock.media.fonts import Library
    from falmock.media.pixels import Picture

Colour = tuple[int, int, int]

_SLATE: Final = (52, 64, 84)
_AMBER: Final = (255, 193, 61, 255)
_INK: Final = (24, 24, 28, 255)
_WHITE: Final = (255, 255, 255, 255)
_GREY: Final = (255, 255, 255, 215)
_SHADE: Final = 165  # of 255: how dark the strip below the text is
_GOLDEN_ANGLE: Final = 137  # degrees, so that consecutive seeds have distant hues
_INDEX_ANGLE: Final = 79  # the same for the images of one request
_TINT: Final = 0.14  # of the colour over a picture that is not the first of its request
_LEAST_LETTERS: Final = 4  # pixels; a word in smaller ones is cut off instead
_LEADING: Final = 1.24  # from line to line, of the size of the letters
_SIZES: Final = ((200, 2, 0.063, 0.039), (100, 1, 0.105, 0.085), (60, 0, 0, 0.125))
_LIGHTS: Final = (  # left, top and radius in parts of the backdrop's size, turn of the hue, brightness
    (0.12, 0.20, 0.26, 20, 0.75),
    (0.85, 0.10, 0.20, -35, 0.80),
    (0.62, 0.72, 0.30, 45, 0.60),
    (0.30, 0.88, 0.18, -20, 0.85),
    (0.95, 0.60, 0.14, 70, 0.80),
    (0.45, 0.32, 0.10, -60, 0.90),
)


def canvas(clip: Clip) -> Image.Image:
    """Draw what the camera moves over: a picture or a backdrop. The plain style has one colour."""
    if clip.style == "plain":
        return Image.new("RGB", clip.canvas, _SLATE)
    return scene(clip.picture, clip.canvas, clip.seed)


def still(wanted: Still, library: Library) -> Image.Image:
    """Draw an image with its caption."""
    size = wanted.size
    if wanted.style == "plain":
        image = Image.new("RGB", size, _colour(218 + _INDEX_ANGLE * wanted.index, 0.33))
    else:
        image = scene(wanted.picture, size, wanted.seed + _INDEX_ANGLE * wanted.index)
        if wanted.picture is not None and wanted.index:
            tint = Image.new("RGB", size, _colour(_INDEX_ANGLE * wanted.index, 0.8))
            image = Image.blend(image, tint, _TINT)
    if not wanted.transparent:
        strip = caption(wanted, library)
        image.paste(strip, (0, 0), strip)
        return image
    strip = caption(wanted, library, width=round(size[0] * 0.64))
    image.paste(strip, ((size[0] - strip.width) // 2, (size[1] - strip.height) // 2), strip)
    image.putalpha(_subject(size))
    if wanted.format == "jpeg":
        return Image.alpha_composite(Image.new("RGBA", size, "white"), image).convert("RGB")
    return image


def caption(wanted: Clip | Still, library: Library, *, width: int | None = None) -> Image.Image:
    """Draw the strip along the upper edge: the prompt, then "placeholder", model, size and seed.

    At the lower edge a browser draws its controls. The text is white on a dark gradient, to be legible on any
    picture. The plain style has no prompt and no seed. Small images have less text, tiny ones none.
    """
    width = width or wanted.size[0]
    layout = _Layout.of(wanted)
    column = max(1, width - 2 * layout.margin)
    prompt = Setter(_prompt(wanted) if layout.prompt_lines else "", layout.large, library)
    lines = prompt.lines(column, layout.prompt_lines)
    badge = _badge(layout.small, column) if layout.small else Image.new("RGBA", (1, 1))
    indent = badge.width + round(layout.small * 0.6)
    beside = column - indent >= (4 if layout.brief else 6) * layout.small  # room for a few letters
    details = Setter(_details(wanted, layout) if layout.small else "", layout.small, library)
    rows = details.lines(column - indent if beside else column, 2 if layout.prompt_lines or not beside else 1)
    text = round(len(lines) * layout.large * _LEADING + layout.small * 0.3) if lines else 0
    small = round(layout.small * _LEADING)
    below = 0 if beside else badge.height + round(layout.small * 0.3)
    end = layout.margin + text + below + max(len(rows) * small, badge.height)
    strip = _gradient(width, end + layout.fade, layout.fade)
    top = float(layout.margin)
    for line in lines:
        prompt.draw(strip, (layout.margin, top + ASCENT * layout.large), line, column, _WHITE)
        top += layout.large * _LEADING
    top = layout.margin + text
    if layout.small:
        strip.alpha_composite(badge, (layout.margin, round(top)))
    left = layout.margin + (indent if beside else 0)
    for row in rows:
        upper = top + below
        baseline = upper + badge.height * 0.5 + layout.small * 0.36 if beside else upper + layout.small
        details.draw(strip, (left, baseline), row, column, _GREY)
        top += small
    return strip


def used_fonts(wanted: Clip | Still, library: Library) -> tuple[str, ...]:
    """Return names and versions of the fonts that the caption is drawn in, beside Pillow's own."""
    texts = (_prompt(wanted), wanted.model)
    used = {run.font.identity for text in texts for run in runs(text, library)}
    return tuple(sorted(used - {""}))


@dataclass(frozen=True, slots=True)
class _Layout:
    """Sizes of a caption in pixels."""

    prompt_lines: int  # the prompt has at most this many
    large: float  # size of the prompt's letters
    small: float  # size of the other letters; 0 for a picture that is too small for text
    margin: int  # around the text
    fade: int  # height of the gradient's end
    brief: bool  # only the most important facts have room

    @classmethod
    def of(cls, wanted: Clip | Still) -> _Layout:
        side, area = min(wanted.size), wanted.size[0] * wanted.size[1]
        unit = min(1.3 * side, 0.75 * math.sqrt(area))  # as a thumbnail has much of the same area
        for least, lines, large, small in _SIZES:
            if side >= least:
                margin, fade, brief = round(unit * 0.045), round(unit * 0.06), least < _SIZES[0][0]
                return cls(lines, large * unit, max(8, small * unit), margin, fade, brief)
        return cls(0, 1, 0, 0, 0, brief=True)


def _prompt(wanted: Clip | Still) -> str:
    return "" if wanted.style == "plain" else wanted.prompt


def _details(wanted: Clip | Still, layout: _Layout) -> str:
    size = "x".join(map(str, wanted.size))
    if layout.brief:
        return size if not layout.prompt_lines else f"{wanted.model.rpartition('/')[2]} · {size}"
    facts = [wanted.model, size]
    if isinstance(wanted, Clip):
        facts += [f"{wanted.seconds:.3g} s", f"{wanted.frames_per_second:.5g} fps"]
    elif wanted.index:
        facts.append(f"image {wanted.index + 1}")
    if wanted.style != "plain":
        facts.append(f"seed {wanted.seed}")
    return " · ".join(fact for fact in facts if fact)


def _badge(size: float, column: int) -> Image.Image:
    """Draw the word "placeholder" in letters of a size, or smaller ones if the column is narrow."""
    font = ImageFont.load_default(size * 0.86)
    left, upper, right, lower = font.getbbox("PLACEHOLDER")
    across, down = round(size * 0.5), round(size * 0.28)
    width, height = round(right - left) + 2 * across, round(lower - upper) + 2 * down
    if width > column and size > _LEAST_LETTERS:
        return _badge(size * max(0.5, column / width - 0.02), column)
    badge = Image.new("RGBA", (width, height))
    draw = ImageDraw.Draw(badge)
    draw.rounded_rectangle((0, 0, width - 1, height - 1), round(size * 0.28), _AMBER)
    draw.text((across - left, down - upper), "PLACEHOLDER", _INK, font)
    return badge


def scene(picture: Picture | None, size: tuple[int, int], seed: int) -> Image.Image:
    """Draw a picture cut to a size, or a backdrop."""
    if picture is None:
        return _backdrop(size, seed)
    image = Image.frombytes("RGB", picture.size, picture.rgb)
    return ImageOps.fit(image, size, Image.Resampling.BICUBIC)


def _backdrop(size: tuple[int, int], seed: int) -> Image.Image:
    """Draw blurred lights, in an eighth of the size if it is large: the blur hides that it is enlarged."""
    hue = seed * _GOLDEN_ANGLE
    part = min(8, max(1, min(size) // 32))
    width, height = (max(1, side // part) for side in size)
    image = Image.new("RGB", (width, height), _colour(hue, 0.28))
    draw = ImageDraw.Draw(image)
    for left, top, radius, turn, brightness in _LIGHTS:
        centre = left * width, top * height
        draw.circle(centre, radius * min(width, height), _colour(hue + turn, brightness))
    blurred = image.filter(ImageFilter.GaussianBlur(min(width, height) / 16))
    return blurred.resize(size, Image.Resampling.BICUBIC)


def _subject(size: tuple[int, int]) -> Image.Image:
    """Draw the opacity of a subject: an ellipse with soft edges, in at most a quarter of the size."""
    width, height = (max(8, side // 4) for side in size)
    mask = Image.new("L", (width, height))
    box = (width * 0.08, height * 0.08, width * 0.92, height * 0.92)
    ImageDraw.Draw(mask).ellipse(box, 255)
    blurred = mask.filter(ImageFilter.GaussianBlur(min(width, height) / 50))
    return blurred.resize(size, Image.Resampling.BICUBIC)


def _colour(hue: int, brightness: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 360 / 360, 0.62, brightness)
    return round(red * 255), round(green * 255), round(blue * 255)


def _gradient(width: int, height: int, fade: int) -> Image.Image:
    strip = Image.new("RGBA", (width, max(2, height + height % 2)), (0, 0, 0, _SHADE))  # even, for the chroma
    ramp = Image.linear_gradient("L").resize((width, max(1, fade)))
    alpha = ramp.point(lambda level: _SHADE - level * _SHADE // 255)
    black = Image.new("L", alpha.size)
    strip.paste(Image.merge("RGBA", (black, black, black, alpha)), (0, strip.height - alpha.height))
    return strip
