"""Checks an input file against the limits of its field, `x-fal` in fal's documents (PROTOCOL.md 14.2)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from falmock.protocol.model_errors import ModelError

if TYPE_CHECKING:
    from falmock.catalogue.entries import Json
    from falmock.media import Picture, Recording


def check_picture(limits: Json, picture: Picture, *, loc: tuple[str | int, ...], value: str) -> None:
    """Check the size and the aspect ratio of an image.

    Raises:
        ModelError: `image_too_small`, `image_too_large` or `image_aspect_ratio_error`.
    """
    least = {name: limits.get(name, 1) for name in ("min_height", "min_width")}
    most = {name: limits.get(name, math.inf) for name in ("max_height", "max_width")}
    ratios = {"min_aspect_ratio": limits.get("min_aspect_ratio", 0)}
    ratios["max_aspect_ratio"] = limits.get("max_aspect_ratio", math.inf)
    if picture.width < least["min_width"] or picture.height < least["min_height"]:
        raise _refusal("image_too_small", loc, value, least)
    if picture.width > most["max_width"] or picture.height > most["max_height"]:
        raise _refusal("image_too_large", loc, value, most)
    if not ratios["min_aspect_ratio"] <= picture.width / picture.height <= ratios["max_aspect_ratio"]:
        raise _refusal("image_aspect_ratio_error", loc, value, ratios)


def check_recording(
    limits: Json, recording: Recording, *, kind: str, loc: tuple[str | int, ...], value: str
) -> None:
    """Check the length of a video or a sound.

    Raises:
        ModelError: `video_duration_too_short`, `audio_duration_too_long` and so on.
    """
    seconds = round(recording.seconds, 3)
    if seconds < limits.get("min_duration", 0):
        facts = {"min_duration": limits["min_duration"], "provided_duration": seconds}
        raise _refusal(f"{kind}_duration_too_short", loc, value, facts)
    if seconds > limits.get("max_duration", math.inf):
        facts = {"max_duration": limits["max_duration"], "provided_duration": seconds}
        raise _refusal(f"{kind}_duration_too_long", loc, value, facts)


def _refusal(error_type: str, loc: tuple[str | int, ...], value: str, facts: dict[str, Any]) -> ModelError:
    known = {name: fact for name, fact in facts.items() if fact != math.inf}
    return ModelError(error_type, loc, value, known)
