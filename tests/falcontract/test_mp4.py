"""The index of an mp4 is read without a decoder."""

from __future__ import annotations

import struct

import pytest

from falcontract.properties import mp4


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, name) + content


def video(seconds: int, width: int, height: int, *, index_first: bool = True) -> bytes:
    header = box(b"mvhd", bytes(12) + struct.pack(">II", 1000, seconds * 1000) + bytes(80))
    frame = box(b"tkhd", bytes(76) + struct.pack(">II", width << 16, height << 16))
    sizes = box(b"stsz", bytes(8) + struct.pack(">I", 24 * seconds))
    track = box(b"trak", frame + box(b"mdia", box(b"minf", box(b"stbl", sizes))))
    parts = [box(b"moov", header + track), box(b"mdat", b"x")]
    return box(b"ftyp", b"isom") + b"".join(parts if index_first else reversed(parts))


@pytest.mark.parametrize("index_first", [True, False])
def test_the_facts_of_a_video_are_read_from_its_index(index_first: bool) -> None:
    data = video(6, 720, 1280, index_first=index_first)

    assert mp4.facts(data) == mp4.Facts(6.0, 720, 1280, 144, 1, index_first)


@pytest.mark.parametrize("data", [b"", b"not a video at all", box(b"ftyp", b"isom"), video(5, 1, 1)[20:]])
def test_a_file_without_an_index_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not an mp4"):
        mp4.facts(data)
