"""Checks without decoding that an mp4 is complete and has the expected size, frames, rate and sound.

It reads the sample tables (ISO/IEC 14496-12) and the length before each NAL unit (14496-15), which excludes
truncated files and noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import repeat
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEADER: Final = 8  # bytes of a box before its content: size and name
_SAMPLE_ENTRY: Final = 24  # bytes of an avc1 entry before its width
_MAX_INDEX: Final = 16 * 1024 * 1024  # bytes; the index of a clip has a few thousand
_MAX_FRAMES: Final = 100_000  # more than an hour
_SOUND_BLOCK: Final = Fraction(3, 20)  # seconds; AAC adds up to three blocks of 1024 samples
_LENGTH: Final = 4  # bytes before each NAL unit, as x264 writes them


class BrokenFile(ValueError):
    """The file is not a complete medium. The text says why."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Width and height in pixels, the number of frames, the frames a second, and whether there is sound."""

    width: int
    height: int
    frames: int
    rate: Fraction
    sound: bool = False


def check(path: Path, expected: Shape) -> None:
    """Check that a file is a complete H.264 video of the expected shape.

    Raises:
        BrokenFile: it is not.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        try:
            boxes = dict(_outer_boxes(file))
            tracks = _tracks(boxes[b"moov"])
            video, sound = tracks[b"vide"], tracks.get(b"soun")
            found = Shape(*video.size, video.count, video.rate, sound is not None)
            if found != expected:
                raise BrokenFile(f"{found} instead of {expected}")
            for offset, size in video.samples:
                file.seek(offset)
                _check_sample(file.read(size), size)
            if sound is not None:
                _check_sound(sound, file, expected)
        except (KeyError, IndexError, OverflowError, ZeroDivisionError) as error:
            raise BrokenFile(f"not a whole mp4: {error!r}") from None


def _outer_boxes(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and content of each top-level box; the content is empty except for the index (moov).

    Boxes with 64-bit or open-ended sizes are refused: ffmpeg does not write them for short videos.
    """
    first = True
    while header := file.read(_HEADER):
        size, name = int.from_bytes(header[:4]) - _HEADER, header[4:]
        if size < 0 or (first and name != b"ftyp") or (name == b"moov" and size > _MAX_INDEX):
            raise BrokenFile("not an mp4")
        first = False
        content = file.read(size) if name == b"moov" else b""
        yield name, content
        file.seek(size - len(content), 1)


def _tracks(moov: bytes) -> dict[bytes, _Track]:
    """Return the tracks of a moov box by kind: "vide" or "soun"."""
    media = [dict(_boxes(dict(_boxes(box))[b"mdia"])) for name, box in _boxes(moov) if name == b"trak"]
    return {each[b"hdlr"][8:12]: _Track(each) for each in media}


class _Track:
    """The sample tables of a track, from its mdia box."""

    def __init__(self, media: dict[bytes, bytes]) -> None:
        boxes = dict(_boxes(dict(_boxes(media[b"minf"]))[b"stbl"]))
        self._timescale = int.from_bytes(media[b"mdhd"][12:16])
        self._times = _numbers(boxes[b"stts"], 4)
        self._entries = boxes[b"stsd"][8:]
        self._sizes = self._sample_sizes(boxes[b"stsz"])
        self._chunks = _numbers(boxes[b"stco"], 4)
        self._runs = _numbers(boxes[b"stsc"], 4)

    @staticmethod
    def _sample_sizes(box: bytes) -> list[int]:
        every, count = int.from_bytes(box[4:8]), int.from_bytes(box[8:12])
        if count > _MAX_FRAMES or (4 * count != len(box) - 12 and not every):
            raise BrokenFile("its table of frames is broken")
        return list(repeat(every, count)) if every else _split(box[12:], 4)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of a video."""
        entry = dict(_boxes(self._entries))[b"avc1"]
        width, height = entry[_SAMPLE_ENTRY : _SAMPLE_ENTRY + 2], entry[_SAMPLE_ENTRY + 2 : _SAMPLE_ENTRY + 4]
        return int.from_bytes(width), int.from_bytes(height)

    @property
    def count(self) -> int:
        return len(self._sizes)

    @property
    def seconds(self) -> Fraction:
        return Fraction(
            sum(count * length for count, length in zip(self._times[::2], self._times[1::2], strict=True)),
            self._timescale,
        )

    @property
    def rate(self) -> Fraction:
        """Samples a second."""
        return self.count / self.seconds

    @property
    def samples(self) -> Iterator[tuple[int, int]]:
        """Offset and size of each sample in the file."""
        sizes = iter(self._sizes)
        for offset, count in zip(self._chunks, self._samples_per_chunk(), strict=False):
            for _ in range(count):
                size = next(sizes, None)
                if size is None:
                    return
                yield offset, size
                offset += size  # noqa: PLW2901 - the next sample starts where this one ends
        if next(sizes, None) is not None:
            raise BrokenFile("its index has samples without a chunk")

    def _samples_per_chunk(self) -> Iterator[int]:
        """Yield the number of samples in each chunk. The table has first chunk, samples, description."""
        runs = [self._runs[start : start + 3] for start in range(0, len(self._runs), 3)]
        for (first, count, _), (end, *_) in zip(runs, [*runs[1:], [len(self._chunks) + 1]], strict=True):
            yield from repeat(count, end - first)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    start = 0
    while start + _HEADER <= len(data):
        size = int.from_bytes(data[start : start + 4])
        if size < _HEADER or start + size > len(data):
            raise BrokenFile("a box in its index is cut off")
        yield data[start + 4 : start + _HEADER], data[start + _HEADER : start + size]
        start += size


def _numbers(box: bytes, width: int) -> list[int]:
    """Return the numbers of a table that begins with version, flags and the number of entries."""
    return _split(box[8:], width)


def _split(data: bytes, width: int) -> list[int]:
    return [int.from_bytes(data[start : start + width]) for start in range(0, len(data), width)]


def _check_sound(track: _Track, file: BinaryIO, expected: Shape) -> None:
    """Check that a sound is as long as its video, but for the codec's blocks, and complete."""
    seconds = expected.frames / expected.rate
    if abs(track.seconds - seconds) > _SOUND_BLOCK:
        raise BrokenFile(f"{float(track.seconds)} s of sound instead of {float(seconds)}")
    end = file.seek(0, 2)
    if any(offset + size > end or not size for offset, size in track.samples):
        raise BrokenFile("a part of the sound is missing")


def _check_sample(data: bytes, size: int) -> None:
    """Check that a sample is complete and that its NAL units fill it."""
    position = 0
    while position < len(data):
        position += _LENGTH + int.from_bytes(data[position : position + _LENGTH])
    if len(data) != size or position != size or not size:
        raise BrokenFile("a frame is missing or damaged")
