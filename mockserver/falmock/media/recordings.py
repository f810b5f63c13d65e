"""Measures input videos and sounds with ffmpeg, within limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from falmock.media.pixels import Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What is known of a video or a sound.

    Attributes:
        width: of the video, upright, in pixels; 0 without one.
        height: the same.
        seconds: the length of the longer of the two.
        frames_per_second: of the video; 0 without one.
        has_video: whether there is one; the cover of a song is none.
        has_sound: whether there is a sound.
        first: the first frame, or None.
        last: the last frame, or None.
    """

    width: int = 0
    height: int = 0
    seconds: float
    frames_per_second: float = 0
    has_video: bool = False
    has_sound: bool = False
    first: Picture | None = None
    last: Picture | None = None
