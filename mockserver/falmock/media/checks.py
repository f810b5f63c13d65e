"""Checks without decoding that a rendered file is complete and what its specification says."""

from __future__ import annotations

import wave
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from itertools import repeat
from typing import TYPE_CHECKING, BinaryIO, Final

from PIL import Image

from falmock.media.specifications import Clip, Document, Sound, Still

if TYPE_CHECKING:
    from collections.abc import Iterator
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

_HEADER: Final = 8  # bytes of a box of an mp4 before its content: size and name
_SAMPLE_ENTRY: Final = 24  # bytes of an avc1 entry before its width
_MAX_INDEX: Final = 16 * 1024 * 1024  # bytes; the index of a clip has a few thousand
_MAX_FRAMES: Final = 100_000  # more than an hour
_SOUND_BLOCK: Final = Fraction(3, 20)  # seconds; AAC adds up to three blocks of 1024 samples
_LENGTH: Final = 4  # bytes before each NAL unit, as x264 writes them

# Elements of a WebM
_EBML: Final = 0x1A45DFA3
_SEGMENT: Final = 0x18538067
_TRACKS: Final = 0x1654AE6B
_NUMBER: Final = 0xD7
_KIND: Final = 0x83
_VIDEO: Final = 0xE0
_WIDTH: Final = 0xB0
_HEIGHT: Final = 0xBA
_CLUSTER: Final = 0x1F43B675
_SIMPLE_BLOCK: Final = 0xA3
_GROUP: Final = 0xA0
_BLOCK: Final = 0xA1
_IS_VIDEO: Final = 1
_IS_SOUND: Final = 2


class BrokenFile(ValueError):
    """The file is not a complete medium. The text says why."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The facts of a video that are checked."""

    width: int
    height: int
    frames: int
    rate: Fraction
    sound: bool = False


def check(path: Path, wanted: Specification) -> None:
    """Check a file.

    Raises:
        BrokenFile: it is damaged or something else.
        OSError: it cannot be read.
    """
    if isinstance(wanted, Clip) and wanted.container == "gif":
        _check_image(path, wanted.size, "GIF", wanted.frames)
    elif isinstance(wanted, Clip):
        shape = Shape(*wanted.size, wanted.frames, wanted.rate, wanted.has_sound)
        (check_webm if wanted.container == "webm" else check_mp4)(path, shape)
    elif isinstance(wanted, Sound):
        _check_sound(path, wanted)
    elif isinstance(wanted, Still):
        _check_image(path, wanted.size, wanted.format.upper(), 1)
    elif isinstance(wanted, Document):
        if path.stat().st_size != len(wanted.data):
            raise BrokenFile("the document has another length")
    elif not path.stat().st_size:
        raise BrokenFile("the file is empty")


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
    with path.open("rb") as file:
        head = file.read(_STREAMINFO + 8)
    found: object
    expected: object
    if sound.format == "wav":
        try:
            with wave.open(str(path), "rb") as file:
                found = file.getframerate(), file.getnchannels(), file.getnframes()
        except (wave.Error, EOFError) as error:
            raise BrokenFile(f"not a whole wav: {error}") from None
        expected = sound.rate, sound.channels, sound.samples
    elif sound.format == "flac":
        field = int.from_bytes(
            head[_STREAMINFO:]
        )  # 20 bits of rate, 3 of channels, 5 of depth, 36 of samples
        found = head[:4], field >> 44, (field >> 41) % 8 + 1, field % (1 << 36)
        expected = b"fLaC", sound.rate, sound.channels, sound.samples
    elif sound.format in _BYTES:
        found, expected = path.stat().st_size, sound.samples * sound.channels * _BYTES[sound.format]
    elif sound.format == "m4a":
        found, expected = head[4:8], b"ftyp"
    else:
        found, expected = head.startswith(_STARTS[sound.format]), True
    if found != expected:
        raise BrokenFile(f"{found!r} instead of {expected!r}")


# The sample tables of an mp4 (ISO/IEC 14496-12) and the length before each NAL unit (14496-15), which exclude
# truncated files and noise.


def check_mp4(path: Path, expected: Shape) -> None:
    """Check that a file is a complete H.264 video of the expected shape. Raises as `check` does."""
    with path.open("rb") as file:
        try:
            moov = dict(_outer_boxes(file))[b"moov"]
            traks = [_Track(box) for name, box in _boxes(moov) if name == b"trak"]
            tracks = {track.kind: track for track in traks}
            video, sound = tracks[b"vide"], tracks.get(b"soun")
            found = Shape(*video.size, len(video.sizes), len(video.sizes) / video.seconds, sound is not None)
            if found != expected:
                raise BrokenFile(f"{found} instead of {expected}")
            for offset, size in video.samples():
                file.seek(offset)
                _check_sample(file.read(size), size)
            if sound is not None:
                _check_sound_track(sound, file, expected)
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


class _Track:
    """The sample tables of a track, from its trak box."""

    def __init__(self, trak: bytes) -> None:
        media = dict(_boxes(dict(_boxes(trak))[b"mdia"]))
        boxes = dict(_boxes(dict(_boxes(media[b"minf"]))[b"stbl"]))
        times = _numbers(boxes[b"stts"][8:])
        ticks = sum(count * length for count, length in zip(times[::2], times[1::2], strict=True))
        self.kind = media[b"hdlr"][8:12]  # "vide" or "soun"
        self.seconds = Fraction(ticks, int.from_bytes(media[b"mdhd"][12:16]))
        self.sizes = _sample_sizes(boxes[b"stsz"])
        self._entries = boxes[b"stsd"][8:]
        self._chunks = _numbers(boxes[b"stco"][8:])
        self._runs = _numbers(boxes[b"stsc"][8:])

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of a video."""
        entry = dict(_boxes(self._entries))[b"avc1"][_SAMPLE_ENTRY : _SAMPLE_ENTRY + 4]
        return int.from_bytes(entry[:2]), int.from_bytes(entry[2:])

    def samples(self) -> Iterator[tuple[int, int]]:
        """Yield offset and size of each sample in the file."""
        sizes = iter(self.sizes)
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


def _sample_sizes(box: bytes) -> list[int]:
    every, count = int.from_bytes(box[4:8]), int.from_bytes(box[8:12])
    if count > _MAX_FRAMES or (4 * count != len(box) - 12 and not every):
        raise BrokenFile("its table of frames is broken")
    return [every] * count if every else _numbers(box[12:])


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    start = 0
    while start + _HEADER <= len(data):
        size = int.from_bytes(data[start : start + 4])
        if size < _HEADER or start + size > len(data):
            raise BrokenFile("a box in its index is cut off")
        yield data[start + 4 : start + _HEADER], data[start + _HEADER : start + size]
        start += size


def _numbers(data: bytes) -> list[int]:
    """Return the numbers of 32 bits in a table."""
    return [int.from_bytes(data[start : start + 4]) for start in range(0, len(data), 4)]


def _check_sound_track(track: _Track, file: BinaryIO, expected: Shape) -> None:
    """Check that a sound is as long as its video, but for the codec's blocks, and complete."""
    seconds = expected.frames / expected.rate
    if abs(track.seconds - seconds) > _SOUND_BLOCK:
        raise BrokenFile(f"{float(track.seconds)} s of sound instead of {float(seconds)}")
    end = file.seek(0, 2)
    if any(offset + size > end or not size for offset, size in track.samples()):
        raise BrokenFile("a part of the sound is missing")


def _check_sample(data: bytes, size: int) -> None:
    """Check that a sample is complete and that its NAL units fill it."""
    position = 0
    while position < len(data):
        position += _LENGTH + int.from_bytes(data[position : position + _LENGTH])
    if len(data) != size or position != size or not size:
        raise BrokenFile("a frame is missing or damaged")


# The elements of EBML (RFC 8794) that Matroska has for tracks and blocks (RFC 9559).


def check_webm(path: Path, expected: Shape) -> None:
    """Check that a file is a complete WebM of the expected shape, but for its rate. Raises as `check`."""
    whole = memoryview(path.read_bytes())
    try:
        top = list(_elements(whole))
        if [name for name, _ in top[:2]] != [_EBML, _SEGMENT]:
            raise BrokenFile("not a WebM")
        segment = list(_elements(top[1][1]))
        tracks = [
            dict(_elements(track)) for name, box in segment if name == _TRACKS for _, track in _elements(box)
        ]
        kinds = {int.from_bytes(track[_KIND]): track for track in tracks if _KIND in track}
        blocks = Counter(number for name, box in segment if name == _CLUSTER for number in _blocks(box))
        video = kinds[_IS_VIDEO]
        frame = dict(_elements(video[_VIDEO]))
        size = int.from_bytes(frame[_WIDTH]), int.from_bytes(frame[_HEIGHT])
        found = (*size, blocks[int.from_bytes(video[_NUMBER])], _IS_SOUND in kinds)
        silent = _IS_SOUND in kinds and not blocks[int.from_bytes(kinds[_IS_SOUND][_NUMBER])]
    except (KeyError, IndexError) as error:
        raise BrokenFile(f"not a whole WebM: {error!r}") from None
    if found != (expected.width, expected.height, expected.frames, expected.sound):
        raise BrokenFile(f"{found} instead of {expected}")
    if silent:
        raise BrokenFile("the sound is missing")


def _blocks(cluster: memoryview) -> Iterator[int]:
    """Yield the number of the track of each block."""
    for name, content in _elements(cluster):
        if name == _SIMPLE_BLOCK:
            yield _number(content, 0, keep_marker=False)[0]
        elif name == _GROUP:
            yield _number(dict(_elements(content))[_BLOCK], 0, keep_marker=False)[0]


def _elements(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield name and content of each element. One that is cut off or of unknown size is refused."""
    start = 0
    while start < len(data):
        name, start = _number(data, start, keep_marker=True)
        size, start = _number(data, start, keep_marker=False)
        if start + size > len(data):
            raise BrokenFile("an element is cut off")
        yield name, data[start : start + size]
        start += size


def _number(data: memoryview, start: int, *, keep_marker: bool) -> tuple[int, int]:
    """Read a number of variable length; return it and where it ends. Its first bits say how long it is."""
    length = 9 - data[start].bit_length()
    end = start + length
    if length > 8 or end > len(data):  # noqa: PLR2004 - bytes
        raise BrokenFile("a number is cut off")
    number = int.from_bytes(data[start:end])
    return number if keep_marker else number ^ (1 << (7 * length)), end
