"""Format, size and transparency of a picture, and the length of a sound, read from their heads."""

from __future__ import annotations

import io
import struct
import wave
from dataclasses import dataclass

SIZED = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of a JPEG that have its size


@dataclass(frozen=True, slots=True)
class Picture:
    """Format ("png", "jpeg" or "webp"), size in pixels, and whether it has an alpha channel."""

    format: str
    width: int
    height: int
    alpha: bool


def picture(data: bytes) -> Picture:
    """Read the head of a PNG, JPEG or WebP.

    Raises:
        ValueError: it is none of them, or cut off.
    """
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            width, height, _, colour = struct.unpack_from(">IIBB", data, 16)
            return Picture("png", width, height, colour in {4, 6} or b"tRNS" in data[:1000])
        if data.startswith(b"\xff\xd8"):
            return _jpeg(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
    except (struct.error, IndexError) as error:
        raise ValueError(f"not a picture: {error}") from error
    raise ValueError(f"not a picture: {data[:12]!r}")


def _jpeg(data: bytes) -> Picture:
    at = 2
    while data[at + 1] not in SIZED:
        at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    height, width = struct.unpack_from(">HH", data, at + 5)
    return Picture("jpeg", width, height, alpha=False)


def _webp(data: bytes) -> Picture:
    kind, body = data[12:16], data[20:]
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(body[at : at + 3], "little") for at in (4, 7))
        return Picture("webp", width, height, bool(body[0] & 0x10))
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return Picture("webp", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), bool(bits >> 28 & 1))
    width, height = struct.unpack_from("<HH", body, 6)
    return Picture("webp", width & 0x3FFF, height & 0x3FFF, alpha=False)


def seconds(data: bytes) -> float:
    """Return the length of a wav file.

    Raises:
        ValueError: it is none.
    """
    try:
        with wave.open(io.BytesIO(data)) as sound:
            return float(sound.getnframes() / sound.getframerate())
    except (wave.Error, EOFError, ZeroDivisionError) as error:
        raise ValueError(f"not a wav file: {error}") from error
