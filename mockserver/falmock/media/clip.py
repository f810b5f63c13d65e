"""The description of a video to render."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import PIL

if TYPE_CHECKING:
    from falmock.media.pixels import Picture

LOOK: Final = 2  # increased when clips change their look, to invalidate caches
_STEP: Final = 2  # pixels a frame; even, so that the half-sized chroma is not resampled
_DIRECTIONS: Final = ((1, 0), (-1, 0), (0, 1), (0, -1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One video.

    Attributes:
        width: in pixels, even.
        height: in pixels, even.
        seconds: the length.
        frames_per_second: the frame rate.
        prompt: for the caption.
        model: the endpoint id, for the caption.
        picture: the camera moves over it; None for a generated backdrop.
        style: "animate"; or "plain" for tests, a still of one colour that does not depend on picture, prompt
            and seed, so that it is fast to make and most requests share it.
        seed: decides the direction of the camera and the colours of the backdrop.
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
        return self.seconds * self.frames_per_second

    @property
    def camera(self) -> tuple[int, int]:
        """Movement of the camera to the right and down, in pixels a frame."""
        if self.style == "plain":
            return 0, 0
        right, down = _DIRECTIONS[self.seed % len(_DIRECTIONS)]
        return right * _STEP, down * _STEP

    @property
    def canvas(self) -> tuple[int, int]:
        """Width and height of the area that the camera moves over."""
        right, down = self.camera
        steps = self.frames - 1
        return self.width + abs(right) * steps, self.height + abs(down) * steps

    def key(self, ffmpeg_version: str) -> str:
        """Return a SHA-256 in hex of everything that the bytes of the video depend on."""
        frame = [self.width, self.height, self.seconds, self.frames_per_second, self.model, self.style]
        facts = [LOOK, ffmpeg_version, PIL.__version__, *frame]
        if self.style == "animate":
            facts += [self.prompt, self.seed, self.picture and self.picture.digest]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
