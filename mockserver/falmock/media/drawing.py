"""Draws with Pillow what ffmpeg puts in motion: the still under the camera, and the caption.

No font is needed on the machine: Pillow carries one, Aileron, whose glyphs hardly go beyond ASCII.
"""

from __future__ import annotations

import colorsys
import re
import textwrap
import unicodedata
from typing import TYPE_CHECKING, Final

from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

if TYPE_CHECKING:
    from falmock.media.clip import Clip

Colour = tuple[int, int, int]

_PROMPT_LENGTH: Final = 400  # more than two lines of the caption can hold
_SLATE: Final = (52, 64, 84)
_GOLDEN_ANGLE: Final = 137  # degrees: neighbouring seeds get hues far apart
_BEYOND_ASCII: Final = "\u2018\u2019\u201c\u201d\u00b7"  # the font has these: quotes and the middle dot
_STAND_INS: Final = {  # for what the font lacks, by Unicode's category
    "Pd": "-",
    "Mn": "",
    "Cc": " ",
    "Cf": " ",
    "Zl": " ",
    "Zp": " ",
    "Zs": " ",
}
_LIGHTS: Final = (  # of the backdrop: left, top and radius as parts of its size, turn of the hue, brightness
    (0.12, 0.20, 0.26, 20, 0.75),
    (0.85, 0.10, 0.20, -35, 0.80),
    (0.62, 0.72, 0.30, 45, 0.60),
    (0.30, 0.88, 0.18, -20, 0.85),
    (0.95, 0.60, 0.14, 70, 0.80),
    (0.45, 0.32, 0.10, -60, 0.90),
)


def still(clip: Clip) -> Image.Image:
    """Draw all that the camera sees, the picture or a backdrop; in the plain style with the caption."""
    if clip.style == "plain":
        return _plain(clip)
    if clip.picture is None:
        return _backdrop(clip)
    picture = Image.frombytes("RGB", clip.picture.size, clip.picture.rgb)
    return ImageOps.fit(picture, clip.canvas, Image.Resampling.BICUBIC)


def caption(clip: Clip) -> Image.Image:
    """Draw the strip along the lower edge: the prompt, and under it model, duration and "placeholder".

    White on a dark veil, which makes it legible on any picture. The plain style leaves the prompt out.
    """
    unit = min(clip.width, clip.height) / 720
    large, small = (ImageFont.load_default(max(6, size * unit)) for size in (27, 19))
    margin = round(36 * unit)
    prompt = "" if clip.style == "plain" else _drawable(clip.prompt[:_PROMPT_LENGTH])
    lines = _wrapped(prompt, large, clip.width - 2 * margin)
    fade, leading = round(56 * unit), round(36 * unit)
    strip = _veil(clip.width, fade + len(lines) * leading + round(64 * unit), fade)
    draw = ImageDraw.Draw(strip)
    for row, line in enumerate(lines):
        draw.text((margin, fade + row * leading), line, "white", large)
    details = f"{_drawable(clip.model)}  ·  {clip.seconds} s  ·  placeholder"
    draw.text((margin, fade + len(lines) * leading + round(6 * unit)), details, (255, 255, 255, 200), small)
    return strip


def _plain(clip: Clip) -> Image.Image:
    frame = Image.new("RGB", clip.canvas, _SLATE)
    strip = caption(clip)
    frame.paste(strip, (0, frame.height - strip.height), strip)
    return frame


def _backdrop(clip: Clip) -> Image.Image:
    """Draw soft lights. They are blurred anyway, so a small image, enlarged, is as good as a large one."""
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


def _veil(width: int, height: int, fade: int) -> Image.Image:
    strip = Image.new("RGBA", (width, height + height % 2), (0, 0, 0, 160))  # even, as chroma asks
    alpha = Image.linear_gradient("L").resize((width, max(1, fade))).point(lambda level: level * 160 // 255)
    strip.paste(Image.merge("RGBA", (*[Image.new("L", alpha.size)] * 3, alpha)))
    return strip


def _drawable(text: str) -> str:
    """Say a text with the font's glyphs: accents go, and what is in another script shrinks to an ellipsis."""
    glyphs = "".join(_glyph(character) for character in unicodedata.normalize("NFKD", text))
    return " ".join(re.sub(r"…[…\s]*", "… ", glyphs).split())


def _glyph(character: str) -> str:
    if " " <= character <= "~" or character in _BEYOND_ASCII:
        return character
    return _STAND_INS.get(unicodedata.category(character), "…")


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> list[str]:
    """Break a text into at most two lines, as long as fits, with an ellipsis for what is left over."""
    if not text:
        return []
    average = font.getlength(text) / len(text)
    for columns in range(int(1.1 * width / average), 4, -1):
        lines = textwrap.wrap(text, columns, max_lines=2, placeholder=" …")
        if all(font.getlength(line) <= width for line in lines):
            return lines
    return []
