"""Checks that a rendered file is what its specification says."""

from __future__ import annotations

import wave
from typing import TYPE_CHECKING, Final

from PIL import Image

from falmock.media import mp4, webm
from falmock.media.mp4 import BrokenFile, Shape
from falmock.media.specifications import Clip, Document, Sound, Still

if TYPE_CHECKING:
    from pathlib import Path

    from falmock.media.specifications import Specification

_STREAMINFO: Final = 18  # bytes of a FLAC file before the field with rate, channels and samples
_STARTS: Final = {
    "mp3": (b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"),
    "ogg": (b"OggS",),
    "opus": (b"OggS",),
    "aac": (b"\xff\xf1", b"\xff\xf9"),
}
_BYTES: Final = {"pcm": 2, "ulaw": 1, "alaw": 1}  # of a sample


def check(path: Path, wanted: Specification) -> None:
    """Check a file.

    Raises:
        BrokenFile: it is damaged or something else.
        OSError: it cannot be read.
    """
    if isinstance(wanted, Clip):
        _check_clip(path, wanted)
    elif isinstance(wanted, Sound):
        _check_sound(path, wanted)
    elif isinstance(wanted, Still):
        _check_image(path, wanted.size, wanted.format.upper(), 1)
    elif isinstance(wanted, Document):
        if path.stat().st_size != len(wanted.data):
            raise BrokenFile("the document has another length")
    elif not path.stat().st_size:
        raise BrokenFile("the file is empty")


def _check_clip(path: Path, clip: Clip) -> None:
    if clip.container == "gif":
        _check_image(path, clip.size, "GIF", clip.frames)
        return
    shape = Shape(*clip.size, clip.frames, clip.rate, clip.has_sound)
    (webm if clip.container == "webm" else mp4).check(path, shape)


def _check_image(path: Path, size: tuple[int, int], kind: str, frames: int) -> None:
    try:
        with Image.open(path, formats=[kind]) as image:
            found = image.size, getattr(image, "n_frames", 1)
            if kind != "GIF":
                image.load()
    except FileNotFoundError:
        raise
    except Exception as error:  # the decoders' errors have no common class
        raise BrokenFile(f"not a whole {kind}: {error}") from None
    if found != (size, frames):
        raise BrokenFile(f"{found} instead of {(size, frames)}")


def _check_sound(path: Path, sound: Sound) -> None:
    found: object = None
    expected: object = None
    if sound.format == "wav":
        try:
            with wave.open(str(path), "rb") as file:
                found = file.getframerate(), file.getnchannels(), file.getnframes()
        except (wave.Error, EOFError) as error:
            raise BrokenFile(f"not a whole wav: {error}") from None
        expected = sound.rate, sound.channels, sound.samples
    elif sound.format == "flac":
        with path.open("rb") as flac:
            head = flac.read(_STREAMINFO + 8)
        field = int.from_bytes(
            head[_STREAMINFO:]
        )  # 20 bits of rate, 3 of channels, 5 of depth, 36 of samples
        found = head[:4], field >> 44, (field >> 41) % 8 + 1, field % (1 << 36)
        expected = b"fLaC", sound.rate, sound.channels, sound.samples
    elif sound.format in _BYTES:
        found = path.stat().st_size
        expected = sound.samples * sound.channels * _BYTES[sound.format]
    elif sound.format == "m4a":
        with path.open("rb") as file:
            found, expected = file.read(8)[4:], b"ftyp"
    else:
        with path.open("rb") as file:
            head = file.read(4)
        found, expected = head.startswith(_STARTS[sound.format]), True
    if found != expected:
        raise BrokenFile(f"{found!r} instead of {expected!r}")
