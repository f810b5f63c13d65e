"""The index of an mp4 is read without a decoder."""

from __future__ import annotations

import struct

import pytest

from falcontract.properties import mp4


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, name) + content


def video(seconds: int, width: int, height: int) -> bytes:
    header = box(b"mvhd", bytes(12) + struct.pack(">II", 1000, seconds * 1000) + bytes(80))
    sizes = box(b"stsz", bytes(4) + struct.pack(">II", 0, seconds * 24))
    media = box(b"mdia", box(b"minf", box(b"stbl", sizes)))
    track = box(b"trak", box(b"tkhd", bytes(76) + struct.pack(">II", width << 16, height << 16)) + media)
    return box(b"ftyp", b"isom") + box(b"moov", header + track) + box(b"mdat", b"x")


def test_length_and_frame_are_read_from_the_index() -> None:
    assert mp4.facts(video(6, 720, 1280)) == mp4.Facts(6.0, 720, 1280, 144, 1, index_first=True)


@pytest.mark.parametrize("data", [b"", b"not a video at all", box(b"ftyp", b"isom"), video(5, 1, 1)[20:]])
def test_a_file_without_an_index_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not an mp4"):
        mp4.facts(data)
