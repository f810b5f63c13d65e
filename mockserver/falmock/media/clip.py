"""What to render, as data."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import PIL

if TYPE_CHECKING:
    from falmock.media.images import Picture

RENDERER: Final = 1  # raise it when the same clip shall look different, so that caches forget the old look
_STEP: Final = 2  # even, so that luma and the half-sized chroma move together and nothing is resampled
_DIRECTIONS: Final = ((1, 0), (-1, 0), (0, 1), (0, -1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One video.

    Attributes:
        width: of the frame in pixels, even.
        height: likewise.
        seconds: how long it lasts.
        frames_per_second: how many frames each second has.
        prompt: for the caption, any text.
        model: the endpoint's id, for the caption.
        picture: what the camera moves over; None for a generated backdrop.
        style: "animate"; or "plain", for tests: a still of one colour that heeds neither picture nor prompt
            nor seed, so that it takes least time and most requests share it.
        seed: decides where the camera goes and the backdrop's colours.
    """

    width: int
    height: int
    seconds: int
    prompt: str
    model: str
    seed: int
    picture: Picture | None = None
    style: Literal["animate", "plain"] = "animate"
    frames_per_second: int = 24

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return self.seconds * self.frames_per_second

    @property
    def camera(self) -> tuple[int, int]:
        """How far the camera goes right and down from one frame to the next, in pixels."""
        if self.style == "plain":
            return 0, 0
        right, down = _DIRECTIONS[self.seed % len(_DIRECTIONS)]
        return right * _STEP, down * _STEP

    @property
    def canvas(self) -> tuple[int, int]:
        """Width and height of what the camera sees from the first to the last frame."""
        right, down = self.camera
        steps = self.frames - 1
        return self.width + abs(right) * steps, self.height + abs(down) * steps

    def key(self, ffmpeg_version: str) -> str:
        """Return a SHA-256 in hex of all that determines the video's bytes."""
        frame = [self.width, self.height, self.seconds, self.frames_per_second, self.model, self.style]
        facts = [RENDERER, ffmpeg_version, PIL.__version__, *frame]
        if self.style == "animate":
            facts += [self.prompt, self.seed, self.picture and self.picture.digest]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
