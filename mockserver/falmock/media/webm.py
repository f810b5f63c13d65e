"""Checks without decoding that a WebM file is complete and has the expected size, frames and sound.

It reads the elements of EBML (RFC 8794) that Matroska has for tracks and blocks (RFC 9559).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from falmock.media.mp4 import BrokenFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from falmock.media.mp4 import Shape

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


def check(path: Path, expected: Shape) -> None:
    """Check that a file is a complete WebM of the expected shape; its rate is not in the file.

    Raises:
        BrokenFile: it is not.
        OSError: it cannot be read.
    """
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
