"""Reads the width and height that an input asks for."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from falmock.catalogue.reading import as_number

if TYPE_CHECKING:
    from falmock.catalogue.reading import Fields

Size = tuple[int, int]

_SIZES: Final = ("image_size", "video_size", "size", "frame_size", "output_size", "target_size", "shot_size")
_SIDES: Final = (("width", "height"), ("output_width", "output_height"), ("target_width", "target_height"))
_RATIOS: Final = ("aspect_ratio", "ratio", "image_aspect_ratio", "video_aspect_ratio", "resolution_mode")
_RESOLUTIONS: Final = ("resolution", "video_resolution", "output_resolution", "image_resolution")
# The shorter side in pixels, by the words for a resolution
_NAMED_SIDES: Final = {
    "sd": 480,
    "hd": 720,
    "fhd": 1080,
    "full_hd": 1080,
    "2k": 1440,
    "qhd": 1440,
    "4k": 2160,
    "1k": 1080,
    "uhd": 2160,
    "8k": 4320,
}
_PRESETS: Final = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}


def size(fields: Fields, *, like: Size | None, video: bool) -> Size | None:
    """Return the width and height that an input asks for; None if it leaves both to the model.

    Args:
        like: the size of the input picture or video, which automatic ratios follow.
        video: sizes by the shorter side, as 720p; else by the area, as 1K.
    """
    for name in _SIZES:
        if (found := _stated(fields.values.get(name), like)) is not None:
            return found
        if fields.values.get(name) == "auto" and (options := _options(fields, name)):
            return _nearest(options, like, usual=(16, 9) if video else (1, 1))
    for pair in _SIDES:
        width, height = (fields.number([name]) for name in pair)
        if width and height:
            return round(width), round(height)
    usual = (16, 9) if video else (1, 1)
    ratio, resolution = _ratio(fields, like, usual), fields.first(_RESOLUTIONS)
    if (found := _stated(resolution, like)) is not None and "x" in str(resolution):
        return found
    side = _side(resolution, video=video)
    if ratio is None and side is None:
        return None
    ratio = ratio or (like[0] / like[1] if like else (16 / 9 if video else 1.0))
    return fit_side(ratio, side or 720) if video else _fit_area(ratio, (side or 1024) ** 2)


def gave_size(fields: Fields) -> bool:
    """Check whether the caller chose a size."""
    sides = [name for pair in _SIDES for name in pair]
    return fields.gave((*_SIZES, *sides, *_RATIOS, *_RESOLUTIONS))


def target_side(fields: Fields) -> int | None:
    """Return the shorter side that an upscaler is asked for, if it is not asked for a factor."""
    if fields.values.get("upscale_mode") == "factor":
        return None
    return _side(fields.values.get("target_resolution"), video=True)


def fit_side(ratio: float, side: int) -> Size:
    """Return even sides of which the shorter is given: 1280 and 720 for 16:9."""
    longer = _even(side * max(ratio, 1 / ratio))
    return (longer, _even(side)) if ratio >= 1 else (_even(side), longer)


def _fit_area(ratio: float, area: float) -> Size:
    """Return sides that are multiples of 32, as image models have them."""
    width, height = math.sqrt(area * ratio), math.sqrt(area / ratio)
    return max(32, round(width / 32) * 32), max(32, round(height / 32) * 32)


def _even(side: float) -> int:
    return max(2, round(side / 2) * 2)


def _stated(value: object, like: Size | None) -> Size | None:
    """Return the size that one value states: an object, a pair, a preset, "1024x768" or "auto_2K"."""
    if isinstance(value, dict):
        value = [value.get("width"), value.get("height")]
    if isinstance(value, list):
        sides = [as_number(side) for side in value]
        return (round(sides[0]), round(sides[1])) if len(sides) == 2 and sides[0] and sides[1] else None  # noqa: PLR2004
    text = value.lower() if isinstance(value, str) else ""
    if text in _PRESETS:
        return _PRESETS[text]
    if found := re.fullmatch(r"(\d{2,5})\s*[x*\u00d7]\s*(\d{2,5})", text):
        return int(found[1]), int(found[2])
    if found := re.fullmatch(r"auto_([1-9])k", text):
        return _fit_area(like[0] / like[1] if like else 1.0, (1024 * int(found[1])) ** 2)
    if found := re.fullmatch(r"(portrait|landscape)(?:_(\d+)_(\d+))?", text):
        ratio = int(found[2]) / int(found[3]) if found[2] and int(found[3]) else 1.5
        ratio = max(ratio, 1 / ratio) if ratio else 1.5
        return _fit_area(ratio if found[1] == "landscape" else 1 / ratio, 1024 * 1024)
    return None


def _ratio(fields: Fields, like: Size | None, usual: Size) -> float | None:
    for name in _RATIOS:
        value = fields.values.get(name)
        text = value.lower() if isinstance(value, str) else ""
        if text.startswith("auto"):
            options = _options(fields, name)
            usual = usual[::-1] if "portrait" in text else usual
            nearest = _nearest(options, like, usual=usual) if options else like
            return nearest[0] / nearest[1] if nearest else None
        if (found := _ratio_of(text)) is not None:
            return found[0] / found[1]
    return None


def _ratio_of(text: str) -> Size | None:
    """Return width and height, times a thousand, of "16:9" or "landscape"."""
    named = {"square": "1:1", "landscape": "16:9", "portrait": "9:16"}
    found = re.match(r"(\d{1,4}(?:\.\d{1,3})?)\s*[:/]\s*(\d{1,4}(?:\.\d{1,3})?)", named.get(text, text))
    sides = [round(1000 * float(side)) for side in found.groups()] if found else [0, 0]
    return (sides[0], sides[1]) if all(sides) else None


def _options(fields: Fields, name: str) -> list[Size]:
    """Return the sizes or ratios that a field can have apart from automatic ones."""
    texts = [value.lower() for value in fields.choices(name) if isinstance(value, str)]
    found = [_ratio_of(text) or _stated(text, None) for text in texts if not text.startswith("auto")]
    return [each for each in found if each is not None]


def _nearest(options: list[Size], like: Size | None, *, usual: Size) -> Size:
    """Return the option nearest to the ratio of a picture; for a square or none, to the usual one."""
    if like is not None and like[0] == like[1] and any(each[0] == each[1] for each in options):
        return next(each for each in options if each[0] == each[1])
    width, height = like if like is not None and like[0] != like[1] else usual
    return min(options, key=lambda each: abs(math.log(each[0] / each[1]) - math.log(width / height)))


def _side(value: object, *, video: bool) -> int | None:
    """Return the shorter side of a video, or the side of a square of an image's area."""
    text = str(value).strip().lower() if isinstance(value, str | int | float) else ""
    if video and (side := _NAMED_SIDES.get(text.replace(" ", "_"))) is not None:
        return side
    if found := re.match(r"(\d{2,5})p?\b", text):
        return min(max(int(found[1]), 64), 8192)
    if found := re.fullmatch(r"(\d{1,2}(?:\.\d+)?)\s*(k|mp)", text):
        number = float(found[1])
        return min(round(1024 * number if found[2] == "k" else 1000 * math.sqrt(number)), 8192) or None
    return None
