"""Files of every kind, which can be read more than once."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

import falqueue
from falqueue._files import CHUNK, sniff, source_of

if TYPE_CHECKING:
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("head", "content_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"\0\0\0\x20ftypavif", "image/avif"),
        (b"\0\0\0\x20ftypisom", "video/mp4"),
        (b"", "application/octet-stream"),
        (b"RIFF", "application/octet-stream"),
    ],
)
def test_the_content_type_is_recognised_by_the_first_bytes(head: bytes, content_type: str) -> None:
    assert sniff(head) == content_type


def test_bytes_get_a_name_that_fits_their_type() -> None:
    source = source_of(PNG)
    assert (source.name, source.content_type, source.size) == ("file.png", "image/png", 8)


def test_a_file_keeps_the_name_and_type_of_its_path(png: Path) -> None:
    source = source_of(png)
    assert (source.name, source.content_type, source.size) == ("frame.png", "image/png", 108)


def test_a_file_without_a_suffix_is_recognised_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "frame"
    path.write_bytes(PNG)
    assert source_of(path).content_type == "image/png"


def test_an_open_file_is_read_from_its_start() -> None:
    file = io.BytesIO(b"0123456789")
    file.seek(5)
    assert b"".join(source_of(file).chunks()) == b"0123456789"


def test_the_name_and_type_of_a_file_can_be_given() -> None:
    source = source_of(io.BytesIO(b"x"), name="a.txt", content_type="text/x")
    assert (source.name, source.content_type) == ("a.txt", "text/x")


@pytest.mark.parametrize(
    ("mode", "form", "content_type"),
    [
        ("RGB", "JPEG", "image/jpeg"),
        ("RGB", "WEBP", "image/webp"),
        ("RGBA", "PNG", "image/png"),
        ("RGB", "BMP", "image/png"),
        ("RGB", None, "image/png"),
    ],
)
def test_a_pillow_image_keeps_its_format_if_it_is_a_web_format(
    mode: str, form: str | None, content_type: str
) -> None:
    image = Image.new(mode, (4, 4))
    if form:
        buffer = io.BytesIO()
        image.save(buffer, form)
        image = Image.open(buffer)
    source = source_of(image)
    assert source.content_type == content_type
    assert Image.open(io.BytesIO(b"".join(source.chunks()))).size == (4, 4)


def test_a_file_is_read_in_chunks() -> None:
    pieces = list(source_of(bytes(CHUNK + 1)).chunks())
    assert [len(piece) for piece in pieces] == [CHUNK, 1]


def test_a_file_can_be_read_in_part() -> None:
    assert b"".join(source_of(b"0123456789").chunks(3, 4)) == b"3456"


def test_a_file_can_be_written_as_a_data_uri() -> None:
    assert source_of(PNG).data_uri() == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


class Pipe(io.BytesIO):
    def seekable(self) -> bool:
        return False


@pytest.mark.parametrize("value", [Pipe(), 7, None, "name.png"])
def test_a_value_that_cannot_be_read_twice_is_rejected(value: Any) -> None:
    with pytest.raises(falqueue.UsageError):
        source_of(value)
