"""Descriptions of media to render: one class for each medium, all immutable."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, Literal

from falmock.media.pixels import Picture

if TYPE_CHECKING:
    from collections.abc import Iterable

Container = Literal["mp4", "webm", "mov", "gif"]
ImageFormat = Literal["png", "jpeg", "webp"]
AudioFormat = Literal["wav", "mp3", "flac", "ogg", "opus", "m4a", "aac", "pcm", "ulaw", "alaw"]
MeshFormat = Literal["glb", "obj", "stl", "ply"]
Style = Literal["animate", "plain"]

LOOK: Final = 3  # increased when media change, to invalidate caches
MAX_PIXELS: Final = 89_000_000  # of a still or a frame; Pillow takes more for an attack
LONGEST_SIDE: Final = 65_500  # pixels; the limit of JPEG
LONGEST_SIDES: Final = {"webp": 16_383, "mp4": 16_384, "mov": 16_384}  # where it is less
MAX_FRAMES: Final = 100_000  # more than an hour
MAX_SECONDS: Final = 2 * 3600.0  # of a sound
_STEP: Final = 2  # pixels a frame; even, so that the half-sized chroma is not resampled
_DIRECTIONS: Final = ((_STEP, 0), (-_STEP, 0), (0, _STEP), (0, -_STEP))
_TRAVEL: Final = 3  # the camera moves at most a third of the frame, then back
_NTSC: Final = Fraction(1000, 1001)
_NOT_SHOWN: Final = {"prompt", "seed", "picture", "last_picture"}  # in the plain style

_TYPES: Final = {  # by the suffix of a file; the others have no registered type
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".mov": "video/quicktime",
    ".gif": "image/gif",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".m4a": "audio/mp4",
    ".aac": "audio/aac",
    ".pcm": "audio/pcm",
    ".ulaw": "audio/basic",
    ".alaw": "audio/x-alaw-basic",
    ".glb": "model/gltf-binary",
    ".obj": "model/obj",
    ".stl": "model/stl",
    ".json": "application/json",
    ".txt": "text/plain",
    ".srt": "application/x-subrip",
    ".vtt": "text/vtt",
    ".csv": "text/csv",
    ".html": "text/html",
    ".zip": "application/zip",
}
_AAC_RATES: Final = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_RATES: Final[dict[str, tuple[int, ...]]] = {  # that a format can have; the others take any
    "mp3": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    "opus": (8000, 12000, 16000, 24000, 48000),
    "m4a": _AAC_RATES,
    "aac": _AAC_RATES,
}


class _File:
    """What all media have. The format is the suffix, unless a class says otherwise."""

    __slots__ = ()
    format: str

    @property
    def suffix(self) -> str:
        return f".{self.format}"

    @property
    def content_type(self) -> str:
        return _TYPES.get(self.suffix, "application/octet-stream")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip(_File):
    """One video. The seed decides the direction of the camera, the colours of the backdrop and the tones."""

    width: int  # as the input asks for it, see `size`
    height: int
    frames: int
    # 23.976, 29.97 and 59.94 stand for 24000/1001 and so on. A GIF counts in hundredths of a second.
    frames_per_second: float = 24
    sound: bool = False  # a soft one; a GIF has none
    container: Container = "mp4"
    picture: Picture | None = None  # in the first frame, and the camera moves over it; None for a backdrop
    last_picture: Picture | None = None  # the video fades into it and ends with it
    prompt: str = ""  # for the caption
    model: str = ""  # the endpoint id, for the caption
    seed: int = 0
    # "plain" is for tests: a still of one colour that does not depend on pictures, prompt and seed, so that
    # it is fast to make and most requests share it.
    style: Style = "animate"

    def __post_init__(self) -> None:
        _check_size(self.width, self.height, self.container)
        if not (1 <= self.frames <= MAX_FRAMES and 0 < self.frames_per_second <= 1000):  # noqa: PLR2004
            raise ValueError("a video needs a frame and a rate")

    @property
    def suffix(self) -> str:
        return f".{self.container}"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the video. x264 needs even ones, so an odd side gets one pixel more."""
        return self.width + self.width % 2, self.height + self.height % 2

    @property
    def rate(self) -> Fraction:
        """The exact number of frames a second."""
        whole = round(self.frames_per_second / float(_NTSC))
        is_ntsc = abs(whole * float(_NTSC) - self.frames_per_second) < 0.005  # noqa: PLR2004 - as 23.976 is
        if is_ntsc and whole >= 20 and self.frames_per_second != round(self.frames_per_second):  # noqa: PLR2004
            return whole * _NTSC
        return Fraction(self.frames_per_second).limit_denominator(1000)

    @property
    def seconds(self) -> float:
        return float(self.frames / self.rate)

    @property
    def has_sound(self) -> bool:
        return self.sound and self.container != "gif"

    @property
    def camera(self) -> tuple[int, int]:
        """Movement of the camera to the right and down, in pixels a frame."""
        return (0, 0) if self.style == "plain" else _DIRECTIONS[self.seed % len(_DIRECTIONS)]

    @property
    def travel(self) -> tuple[int, int]:
        """How far the camera moves in each direction before it turns round, in pixels."""
        (right, down), (width, height) = self.camera, self.size
        return self._travel(right, width), self._travel(down, height)

    def _travel(self, step: int, side: int) -> int:
        return min(abs(step) * (self.frames - 1), side // _TRAVEL // _STEP * _STEP) if step else 0

    @property
    def canvas(self) -> tuple[int, int]:
        """Width and height of the area that the camera moves over."""
        (width, height), (right, down) = self.size, self.travel
        return width + right, height + down


@dataclass(frozen=True, slots=True, kw_only=True)
class Still(_File):
    """One image. The seed decides the colours of the backdrop."""

    width: int
    height: int
    format: ImageFormat = "png"
    transparent: bool = False  # a subject with soft edges, as from a background remover; on white in a JPEG
    picture: Picture | None = None  # the image shows it, cut to its own ratio; None for a backdrop
    prompt: str = ""  # for the caption
    model: str = ""  # the endpoint id, for the caption
    seed: int = 0
    index: int = 0  # of several images of one request; each looks different, also in the plain style
    style: Style = "animate"

    def __post_init__(self) -> None:
        _check_size(self.width, self.height, self.format)

    @property
    def suffix(self) -> str:
        return ".jpg" if self.format == "jpeg" else f".{self.format}"

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound(_File):
    """Quiet tones, which the seed decides."""

    seconds: float
    format: AudioFormat = "wav"  # "ogg" is Vorbis, "pcm" has 16 bits and no header, "ulaw" and "alaw" have 8
    sample_rate: int = 44100  # as the input asks for it, see `rate`
    channels: int = 1  # or 2
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0 < self.seconds <= MAX_SECONDS and 4000 <= self.sample_rate <= 192_000):  # noqa: PLR2004
            raise ValueError("a sound needs a length and a rate")
        if self.channels not in {1, 2}:
            raise ValueError("a sound has one or two channels")

    @property
    def rate(self) -> int:
        """The nearest sample rate that the format can have."""
        rates = _RATES.get(self.format, (self.sample_rate,))
        return min(rates, key=lambda rate: abs(rate - self.sample_rate))

    @property
    def samples(self) -> int:
        """Their number in each channel."""
        return max(1, round(self.seconds * self.rate))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh(_File):
    """An icosahedron; the seed decides its colour."""

    format: MeshFormat = "glb"
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights(_File):
    """A small LoRA in the format of safetensors; the seed decides its numbers."""

    seed: int = 0
    rank: int = 4  # of the matrices

    @property
    def suffix(self) -> str:
        return ".safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document(_File):
    """Bytes as they are; `archive` makes those of a zip. The suffix of the name decides the content type."""

    name: str
    data: bytes

    @property
    def suffix(self) -> str:
        _, dot, suffix = self.name.rpartition(".")
        return f".{suffix.lower()}" if dot and suffix.isascii() and suffix.isalnum() else ".bin"


Specification = Clip | Still | Sound | Mesh | Weights | Document


def key(specification: Specification, tools: Iterable[str] = ()) -> str:
    """Return a SHA-256 in hex of everything that the bytes of a medium depend on.

    `tools` are names and versions of the programs and fonts that make it.
    """
    plain = isinstance(specification, Clip | Still) and specification.style == "plain"
    facts = [
        None if plain and each.name in _NOT_SHOWN else _fact(getattr(specification, each.name))
        for each in fields(specification)
    ]
    whole = [LOOK, type(specification).__name__, *tools, facts]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()


def _fact(value: Any) -> Any:
    if isinstance(value, Picture):
        return value.digest
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else value


def can_have(width: int, height: int, kind: str = "") -> bool:
    """Return whether media can have a size, those of a container or format, or those of any."""
    longest = LONGEST_SIDES.get(kind, LONGEST_SIDE)
    return min(width, height) >= 1 and max(width, height) <= longest and width * height <= MAX_PIXELS


def _check_size(width: int, height: int, kind: str) -> None:
    if not can_have(width, height, kind):
        raise ValueError(f"{width}x{height} pixels are none or too many for this format")
