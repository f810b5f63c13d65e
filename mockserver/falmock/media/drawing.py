"""Draws the two images of a clip with Pillow: the still that the camera moves over, and the caption.

The font is Aileron, which Pillow includes. It has little more than ASCII.
"""

from __future__ import annotations

import colorsys
import re
import textwrap
import unicodedata
from typing import TYPE_CHECKING, Final

from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

if TYPE_CHECKING:
    from falmock.media.specifications import Clip

Colour = tuple[int, int, int]

_PROMPT_LENGTH: Final = 400  # characters; more than two lines can hold
_SLATE: Final = (52, 64, 84)
_GOLDEN_ANGLE: Final = 137  # degrees, so that consecutive seeds have distant hues
_BEYOND_ASCII: Final = "\u2018\u2019\u201c\u201d\u00b7"  # the font has these quotes and the middle dot
_REPLACEMENTS: Final = {  # of characters that the font lacks, by Unicode category
    "Pd": "-",
    "Mn": "",
    "Cc": " ",
    "Cf": " ",
    "Zl": " ",
    "Zp": " ",
    "Zs": " ",
}
_LIGHTS: Final = (  # left, top and radius in parts of the backdrop's size, turn of the hue, brightness
    (0.12, 0.20, 0.26, 20, 0.75),
    (0.85, 0.10, 0.20, -35, 0.80),
    (0.62, 0.72, 0.30, 45, 0.60),
    (0.30, 0.88, 0.18, -20, 0.85),
    (0.95, 0.60, 0.14, 70, 0.80),
    (0.45, 0.32, 0.10, -60, 0.90),
)


def still(clip: Clip) -> Image.Image:
    """Draw the picture or a backdrop, as large as the canvas. The plain style includes the caption."""
    if clip.style == "plain":
        return _plain(clip)
    if clip.picture is None:
        return _backdrop(clip)
    picture = Image.frombytes("RGB", clip.picture.size, clip.picture.rgb)
    return ImageOps.fit(picture, clip.canvas, Image.Resampling.BICUBIC)


def caption(clip: Clip) -> Image.Image:
    """Draw the strip along the upper edge: the prompt, then model, duration and "placeholder".

    At the lower edge a browser draws its controls. The text is white on a dark gradient, to be legible on any
    picture. The plain style has no prompt.
    """
    unit = min(clip.width, clip.height) / 720
    large, small = (ImageFont.load_default(max(6, size * unit)) for size in (27, 19))
    margin = round(36 * unit)
    prompt = "" if clip.style == "plain" else _drawable(clip.prompt[:_PROMPT_LENGTH])
    lines = _wrapped(prompt, large, clip.width - 2 * margin)
    top, fade, leading = round(24 * unit), round(56 * unit), round(36 * unit)
    strip = _gradient(clip.width, top + len(lines) * leading + round(40 * unit) + fade, fade)
    draw = ImageDraw.Draw(strip)
    for row, line in enumerate(lines):
        draw.text((margin, top + row * leading), line, "white", large)
    details = f"{_drawable(clip.model)}  ·  {clip.seconds:g} s  ·  placeholder"
    draw.text((margin, top + len(lines) * leading + round(6 * unit)), details, (255, 255, 255, 200), small)
    return strip


def _plain(clip: Clip) -> Image.Image:
    frame = Image.new("RGB", clip.canvas, _SLATE)
    strip = caption(clip)
    frame.paste(strip, (0, 0), strip)
    return frame


def _backdrop(clip: Clip) -> Image.Image:
    """Draw blurred lights, in an eighth of the size: the blur hides that it is enlarged."""
    hue = clip.seed * _GOLDEN_ANGLE
    width, height = (max(1, side // 8) for side in clip.canvas)
    image = Image.new("RGB", (width, height), _colour(hue, 0.28))
    draw = ImageDraw.Draw(image)
    for left, top, radius, turn, brightness in _LIGHTS:
        centre = left * width, top * height
        draw.circle(centre, radius * min(width, height), _colour(hue + turn, brightness))
    blurred = image.filter(ImageFilter.GaussianBlur(min(width, height) / 16))
    return blurred.resize(clip.canvas, Image.Resampling.BICUBIC)


def _colour(hue: int, brightness: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 360 / 360, 0.62, brightness)
    return round(red * 255), round(green * 255), round(blue * 255)


def _gradient(width: int, height: int, fade: int) -> Image.Image:
    strip = Image.new("RGBA", (width, height + height % 2), (0, 0, 0, 160))  # even, for the chroma
    alpha = (
        Image.linear_gradient("L").resize((width, max(1, fade))).point(lambda level: 160 - level * 160 // 255)
    )
    strip.paste(
        Image.merge("RGBA", (*[Image.new("L", alpha.size)] * 3, alpha)), (0, strip.height - alpha.height)
    )
    return strip


def _drawable(text: str) -> str:
    """Reduce a text to the font's glyphs: without accents, and with an ellipsis for other scripts."""
    glyphs = "".join(_glyph(character) for character in unicodedata.normalize("NFKD", text))
    return " ".join(re.sub(r"…[…\s]*", "… ", glyphs).split())


def _glyph(character: str) -> str:
    if " " <= character <= "~" or character in _BEYOND_ASCII:
        return character
    return _REPLACEMENTS.get(unicodedata.category(character), "…")


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> list[str]:
    """Break a text into at most two lines of this width in pixels, with an ellipsis if it is longer."""
    if not text:
        return []
    average = font.getlength(text) / len(text)
    for columns in range(int(1.1 * width / average), 4, -1):
        lines = textwrap.wrap(text, columns, max_lines=2, placeholder=" …")
        if all(font.getlength(line) <= width for line in lines):
            return lines
    return []
