"""Length and frame of an mp4, read from its index without a decoder."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl"}


@dataclass(frozen=True, slots=True)
class Facts:
    """Length in seconds, frame in pixels, numbers of frames and tracks; whether `moov` is before `mdat`."""

    seconds: float
    width: int
    height: int
    frames: int
    tracks: int
    index_first: bool


def facts(data: bytes) -> Facts:
    """Read the index of an mp4.

    Raises:
        ValueError: the index is missing or broken.
    """
    boxes = list(_boxes(data))
    found = dict(boxes)
    if not data[4:8] == b"ftyp" or not {b"mvhd", b"tkhd", b"stsz"} <= found.keys():
        raise ValueError("not an mp4: no index")
    try:
        header = found[b"mvhd"]
        wide = header[0] == 1  # 64-bit times
        scale, length = struct.unpack_from(">IQ" if wide else ">II", header, 20 if wide else 12)
        names = [name for name, _ in boxes]
        sizes = [struct.unpack_from(">II", box, len(box) - 8) for name, box in boxes if name == b"tkhd"]
        counts = [struct.unpack_from(">I", box, 8)[0] for name, box in boxes if name == b"stsz"]
        # the track with a frame: a sound has none
        (width, height), frames = max(zip(sizes, counts, strict=True))
        first = b"mdat" in names and names.index(b"mvhd") < names.index(b"mdat")
        return Facts(length / scale, width >> 16, height >> 16, frames, names.count(b"tkhd"), first)
    except (struct.error, ZeroDivisionError) as error:
        raise ValueError(f"not an mp4: {error}") from error


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        if size < 8:
            return
        content = data[at + 8 : at + size]
        if name in CONTAINERS:
            yield from _boxes(content)
        else:
            yield name, content
        at += size
