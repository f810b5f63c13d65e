"""Counts the billable units of a run.

fal bills units of a unit price, and tiers are in the number of units (PROTOCOL.md 16): a model that costs
more with sound or at a higher resolution has more units.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from falmock.catalogue.reading import Fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel

    from falmock.catalogue.entries import Entry, Json, Price

MEGAPIXEL: Final = 1_000_000
_MEASURED: Final = {"seconds", "second", "minutes", "1000 characters", "1m tokens"}
_TOKEN: Final = 1024  # pixels of a frame, as Seedance counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The facts of a run that prices depend on."""

    images: tuple[tuple[int, int], ...] = ()  # width and height of each
    pictures: tuple[tuple[int, int], ...] = ()  # of each input image
    seconds: float = 0.0  # the length of the video or sound, or of the recording that was transcribed
    width: int = 0  # of the video; the next four fields are of the video too
    height: int = 0
    frames: int = 0
    frames_per_second: float = 0.0
    sound: bool = False
    files: int = 1  # main ones
    characters: int = 0  # number of them in the spoken text, or else in the answer
    words: int = 0  # number of them that a language model has read and written


def units(entry: Entry, model_input: BaseModel, made: Made) -> float | None:
    """Return the number of billable units; None if the price is unknown or by time."""
    fields, price = Fields.of(entry, model_input), entry.price
    if price is None or price.usd <= 0:
        return None
    if entry.price_rule:
        dollars = _by_rule(entry.price_rule, price, fields, made)
        return None if dollars is None else _plain(dollars / price.usd, price.unit)
    count = _COUNTS.get(price.unit)
    return None if count is None else _plain(count(made), price.unit)


def megapixels(made: Made) -> float:
    """Return the megapixels of the images, rounded up for each."""
    return sum(map(_megapixels, made.images))


def _megapixels(size: tuple[int, int]) -> int:
    return math.ceil(size[0] * size[1] / MEGAPIXEL)


def _tokens(made: Made) -> float:
    return made.height * made.width * made.frames / _TOKEN


_COUNTS: Final[dict[str, Callable[[Made], float]]] = {
    "seconds": lambda made: made.seconds,
    "second": lambda made: made.seconds,
    "images": lambda made: len(made.images) or made.files,
    "megapixels": lambda made: megapixels(made) or made.width * made.height * made.frames / MEGAPIXEL,
    "processed megapixels": lambda made: megapixels(made) + sum(map(_megapixels, made.pictures)),
    "videos": lambda made: made.files,
    "audios": lambda made: made.files,
    "generations": lambda made: made.files,
    "requests": lambda _: 1,
    "video segments": lambda made: math.ceil(made.seconds / 5),
    "5 seconds": lambda made: math.ceil(made.seconds / 5),
    "30 seconds": lambda made: math.ceil(made.seconds / 30),
    "minutes": lambda made: made.seconds / 60,
    "1000 characters": lambda made: made.characters / 1000,
    "characters": lambda made: made.characters,
    "1m tokens": lambda made: _tokens(made) / MEGAPIXEL if made.frames else made.words / MEGAPIXEL,
    "16 frames": lambda made: math.ceil(made.frames / 16),
    "frames": lambda made: made.frames,
}

_TIMES: Final[dict[str, Callable[[Made], float]]] = {  # by the keys of price rules
    "per second": lambda made: made.seconds,
    "per second, rounded up": lambda made: math.ceil(made.seconds),
    "per second at 16 fps": lambda made: made.frames / 16,  # however fast they are shown
    "per minute of video": lambda made: made.seconds / 60,
    "per image": lambda made: len(made.images) or made.files,
    "per mesh": lambda made: made.files,
    "per megapixel, each image rounded up": megapixels,
    "per processed megapixel (input and output)": _COUNTS["processed megapixels"],
}


def _by_rule(rule: Json, price: Price, fields: Fields, made: Made) -> float | None:
    """Return the price in dollars by a rule in the words of fal's price texts.

    A key names the count, as "per second". A key of the tables below them is a choice of the caller,
    as "4K" or "720p,1080p"; "audio" or "silent"; the height or area of the output, as "to 720p".
    """
    if "tokens" in rule:
        return _by_tokens(rule, price, fields, made)
    if "each further second" in rule:
        first, base = next((found, rule[key]) for key in rule if (found := _seconds_of(key)) is not None)
        return float(base + max(made.seconds - first, 0) * rule["each further second"])
    for key, tiers in rule.items():
        amount, times = _choose(tiers, fields, made), _times(key, rule, made)
        if amount is not None and times is not None:
            is_double = rule.get("60 fps") == "double" and made.frames_per_second >= 60  # noqa: PLR2004
            searches = fields.values.get("enable_web_search") is True
            search = rule.get("web search", 0.0) if searches else 0.0
            return amount * times * (2 if is_double else 1) + search
    return None


def _times(key: str, rule: Json, made: Made) -> float | None:
    """Return how often a price counts: the seconds for "per second"."""
    if key in _TIMES:
        return _TIMES[key](made)
    length = _seconds_of(key)
    if length is None:
        return None
    # "6 s" and "10 s" are whole prices; a single length is that of a segment
    is_only = sum(_seconds_of(other) is not None for other in rule) == 1
    return math.ceil(made.seconds / length) if is_only else (1 if round(made.seconds) <= length else None)


def _by_tokens(rule: Json, price: Price, fields: Fields, made: Made) -> float | None:
    for key, size in (("per million", 1_000_000), ("per thousand", 1000)):
        amount = _choose(rule.get(key), fields, made)
        if amount is not None:
            is_4k = str(fields.values.get("resolution")).lower() in {"4k", "2160p"}
            at_4k = rule.get("per thousand at 4k") if is_4k else None
            return _tokens(made) / size * (at_4k or amount)
    # The rule of a sibling has the price of a thousand, which is that of its unit
    return _tokens(made) / 1000 * price.usd if price.unit == "units" else None


def _choose(tiers: Any, fields: Fields, made: Made) -> float | None:
    """Return the price of the tier that an input is in."""
    if isinstance(tiers, int | float):
        return float(tiers)
    if not isinstance(tiers, dict):
        return None
    chosen = next((tier for key, tier in tiers.items() if _applies(key, fields, made)), None)
    return None if chosen is None else _choose(chosen, fields, made)


def _applies(key: str, fields: Fields, made: Made) -> bool:
    if key in {"audio", "silent"}:
        return made.sound == (key == "audio")
    if key in {"above", "other"}:  # the last of its table
        return True
    if found := re.fullmatch(r"(?:to )?(\d+)p", key):
        if key.startswith("to "):
            return min(made.width, made.height) <= int(found[1])
    elif found := re.fullmatch(r"(?:to )?(\d+) MP", key):
        return all(width * height <= int(found[1]) * MEGAPIXEL for width, height in made.images)
    elif found := re.fullmatch(r"(\d+)x(\d+)", key):
        return bool(made.images) and made.images[0] == (int(found[1]), int(found[2]))
    choices = {str(value).lower() for value in fields.values.values() if isinstance(value, str | int)}
    return any(choice.strip().lower() in choices for choice in key.split(","))


def _seconds_of(key: str) -> int | None:
    """Return 5 for "5 s"."""
    found = re.fullmatch(r"(\d+) s", key)
    return int(found[1]) if found else None


def _plain(number: float, unit: str) -> float:
    """Return a number of units without the noise of a division, whole where one counts things."""
    plain = float(f"{number:.9g}")
    return plain if unit in _MEASURED or plain != round(plain) else round(plain)
