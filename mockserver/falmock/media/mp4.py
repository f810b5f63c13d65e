"""Checks without decoding that an mp4 is complete and has the expected size and number of frames.

It reads the sample tables (ISO/IEC 14496-12) and the length before each NAL unit (14496-15), which excludes
truncated files and noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEADER: Final = 8  # bytes of a box before its content: size and name
_SAMPLE_ENTRY: Final = 24  # bytes of an avc1 entry before its width
_MAX_INDEX: Final = 16 * 1024 * 1024  # bytes; the index of a clip has a few thousand
_MAX_FRAMES: Final = 100_000  # more than an hour
_LENGTH: Final = 4  # bytes before each NAL unit, as x264 writes them


class BrokenVideo(ValueError):
    """The file is not a complete video. The text says why."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Width and height in pixels, and the number of frames."""

    width: int
    height: int
    frames: int


def check(path: Path, expected: Shape) -> None:
    """Check that a file is a complete H.264 video of the expected shape.

    Raises:
        BrokenVideo: it is not.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        try:
            boxes = dict(_outer_boxes(file))
            index = _Index(boxes[b"moov"])
            if (found := index.shape) != expected:
                raise BrokenVideo(f"{found} instead of {expected}")
            for offset, size in index.samples:
                file.seek(offset)
                _check_sample(file.read(size), size)
        except (KeyError, IndexError, OverflowError) as error:
            raise BrokenVideo(f"not a whole mp4: {error!r}") from None


def _outer_boxes(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and content of each top-level box; the content is empty except for the index (moov).

    Boxes with 64-bit or open-ended sizes are refused: ffmpeg does not write them for short videos.
    """
    first = True
    while header := file.read(_HEADER):
        size, name = int.from_bytes(header[:4]) - _HEADER, header[4:]
        if size < 0 or (first and name != b"ftyp") or (name == b"moov" and size > _MAX_INDEX):
            raise BrokenVideo("not an mp4")
        first = False
        content = file.read(size) if name == b"moov" else b""
        yield name, content
        file.seek(size - len(content), 1)


class _Index:
    """The sample tables of the first track in a moov box."""

    def __init__(self, moov: bytes) -> None:
        table = moov
        for name in (b"trak", b"mdia", b"minf", b"stbl"):
            table = dict(_boxes(table))[name]
        boxes = dict(_boxes(table))
        entries = dict(_boxes(boxes[b"stsd"][8:]))
        self._avc = entries[b"avc1"]
        self._sizes = self._sample_sizes(boxes[b"stsz"])
        self._chunks = _numbers(boxes[b"stco"], 4)
        self._runs = _numbers(boxes[b"stsc"], 4)

    @staticmethod
    def _sample_sizes(box: bytes) -> list[int]:
        every, count = int.from_bytes(box[4:8]), int.from_bytes(box[8:12])
        if count > _MAX_FRAMES or (4 * count != len(box) - 12 and not every):
            raise BrokenVideo("its table of frames is broken")
        return list(repeat(every, count)) if every else _split(box[12:], 4)

    @property
    def shape(self) -> Shape:
        return Shape(
            int.from_bytes(self._avc[_SAMPLE_ENTRY : _SAMPLE_ENTRY + 2]),
            int.from_bytes(self._avc[_SAMPLE_ENTRY + 2 : _SAMPLE_ENTRY + 4]),
            len(self._sizes),
        )

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
            raise BrokenVideo("its index has samples without a chunk")

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
            raise BrokenVideo("a box in its index is cut off")
        yield data[start + 4 : start + _HEADER], data[start + _HEADER : start + size]
        start += size


def _numbers(box: bytes, width: int) -> list[int]:
    """Return the numbers of a table that begins with version, flags and the number of entries."""
    return _split(box[8:], width)


def _split(data: bytes, width: int) -> list[int]:
    return [int.from_bytes(data[start : start + width]) for start in range(0, len(data), width)]


def _check_sample(data: bytes, size: int) -> None:
    """Check that a sample is complete and that its NAL units fill it."""
    position = 0
    while position < len(data):
        position += _LENGTH + int.from_bytes(data[position : position + _LENGTH])
    if len(data) != size or position != size or not size:
        raise BrokenVideo("a frame is missing or damaged")
