"""Files of every kind become sources that can be read more than once."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

import falqueue
from falqueue._files import PIECE, sniff, source_of

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
def test_the_first_bytes_tell_the_type(head: bytes, content_type: str) -> None:
    assert sniff(head) == content_type


def test_bytes_get_a_name_that_fits() -> None:
    source = source_of(PNG)
    assert (source.name, source.content_type, source.size) == ("file.png", "image/png", 8)


def test_a_path_gives_its_name_and_type(png: Path) -> None:
    source = source_of(png)
    assert (source.name, source.content_type, source.size) == ("frame.png", "image/png", 108)


def test_a_path_without_a_telling_name_is_looked_into(tmp_path: Path) -> None:
    path = tmp_path / "frame"
    path.write_bytes(PNG)
    assert source_of(path).content_type == "image/png"


def test_an_open_file_is_read_from_its_start() -> None:
    file = io.BytesIO(b"0123456789")
    file.seek(5)
    assert b"".join(source_of(file).pieces()) == b"0123456789"


def test_name_and_type_can_be_given() -> None:
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
def test_a_pillow_image_keeps_its_format_where_the_web_knows_it(
    mode: str, form: str | None, content_type: str
) -> None:
    image = Image.new(mode, (4, 4))
    if form:
        buffer = io.BytesIO()
        image.save(buffer, form)
        image = Image.open(buffer)
    source = source_of(image)
    assert source.content_type == content_type
    assert Image.open(io.BytesIO(b"".join(source.pieces()))).size == (4, 4)


def test_a_source_is_read_piece_by_piece() -> None:
    pieces = list(source_of(bytes(PIECE + 1)).pieces())
    assert [len(piece) for piece in pieces] == [PIECE, 1]


def test_a_source_can_be_read_in_part() -> None:
    assert b"".join(source_of(b"0123456789").pieces(3, 4)) == b"3456"


def test_a_source_becomes_a_data_uri() -> None:
    assert source_of(PNG).data_uri() == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


class Pipe(io.BytesIO):
    def seekable(self) -> bool:
        return False


@pytest.mark.parametrize("value", [Pipe(), 7, None, "name.png"])
def test_what_cannot_be_read_again_is_refused(value: Any) -> None:
    with pytest.raises(falqueue.UsageError):
        source_of(value)
