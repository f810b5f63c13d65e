"""Heads of pictures and sounds are read; other files are refused."""

from __future__ import annotations

import base64

import pytest

from falcontract.programs.inputs import picture as png
from falcontract.programs.models import sound
from falcontract.properties.pictures import Picture, picture, seconds

# The smallest files that Pillow writes for 3 by 2 pixels.
JPEG = b"\xff\xd8\xff\xe0\x00\x04\x00\x00\xff\xc0\x00\x0b\x08\x00\x02\x00\x03\x01\x01\x11\x00"
LOSSY = b"RIFF\x20\x00\x00\x00WEBPVP8 \x10\x00\x00\x00\x30\x01\x00\x9d\x01\x2a\x03\x00\x02\x00"
LOSSLESS = b"RIFF\x20\x00\x00\x00WEBPVP8L\x10\x00\x00\x00\x2f\x02\x40\x00\x10"
EXTENDED = b"RIFF\x20\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x10\x00\x00\x00\x02\x00\x00\x01\x00\x00"


def decoded(uri: str) -> bytes:
    return base64.b64decode(uri.partition(",")[2])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (decoded(png(100, 3, 2)), Picture("png", 3, 2, alpha=False)),
        (JPEG, Picture("jpeg", 3, 2, alpha=False)),
        (LOSSY, Picture("webp", 3, 2, alpha=False)),
        (LOSSLESS, Picture("webp", 3, 2, alpha=True)),
        (EXTENDED, Picture("webp", 3, 2, alpha=True)),
    ],
    ids=["png", "jpeg", "lossy webp", "lossless webp", "extended webp"],
)
def test_the_head_of_a_picture_is_read(data: bytes, expected: Picture) -> None:
    assert picture(data) == expected


@pytest.mark.parametrize("data", [b"", b"x" * 100, JPEG[:10], b"\x89PNG\r\n\x1a\n", LOSSY[:22]])
def test_what_is_not_a_whole_head_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a picture"):
        picture(data)


def test_the_length_of_a_sound_is_read() -> None:
    assert seconds(decoded(sound(2))) == 2


@pytest.mark.parametrize("data", [b"", b"RIFF", b"x" * 100])
def test_what_is_not_a_sound_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a wav file"):
        seconds(data)
