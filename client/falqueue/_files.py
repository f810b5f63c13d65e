"""Files on their way to fal: from a path, bytes, an open file or a Pillow image."""

from __future__ import annotations

import base64
import mimetypes
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Final, Protocol, TypeAlias

from falqueue._errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PIECE: Final = 1 << 20
PILLOW_FORMATS: Final = frozenset({"PNG", "JPEG", "WEBP", "GIF"})
SIGNATURES: Final = (
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"GIF8", 0, "image/gif"),
    (b"WEBP", 8, "image/webp"),
    (b"ftypavif", 4, "image/avif"),
    (b"ftyp", 4, "video/mp4"),
)


class PillowImage(Protocol):
    """As much of `PIL.Image.Image` as is needed; Pillow itself is never imported."""

    @property
    def mode(self) -> str:
        """The kind of pixels."""

    def save(self, fp: IO[bytes], format: str | None = None) -> None:  # noqa: A002 - Pillow's own name
        """Write the image."""


Picture: TypeAlias = "str | bytes | PathLike[str] | PillowImage"
Uploadable: TypeAlias = "bytes | PathLike[str] | BinaryIO"


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes that can be read more than once, from any offset: `size` of them."""

    name: str
    content_type: str
    size: int
    opened: Callable[[], AbstractContextManager[IO[bytes]]] = field(repr=False)

    def pieces(self, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield `length` bytes from `start`, all by default, a mebibyte at a time."""
        left = self.size - start if length is None else length
        with self.opened() as file:
            file.seek(start)
            while left > 0 and (piece := file.read(min(left, PIECE))):
                left -= len(piece)
                yield piece

    def data_uri(self) -> str:
        """Return it all as a base64 data URI."""
        return f"data:{self.content_type};base64,{base64.b64encode(b''.join(self.pieces())).decode()}"


def source_of(value: object, *, name: str | None = None, content_type: str | None = None) -> Source:
    """Return `value` as a source. It may block: look at the disk, encode a picture.

    Raises:
        UsageError: nothing that can be read, or an open file that cannot seek.
        OSError: the file is not there.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        return _from_bytes(bytes(value), name, content_type)
    if isinstance(value, PathLike):
        path = Path(value)
        found = content_type or _type_of_name(path.name) or sniff(_head(path))
        return Source(name or path.name, found, path.stat().st_size, lambda: path.open("rb"))
    if is_pillow(value):
        return _from_pillow(value, name)
    return _from_file(value, name, content_type)


def is_file(value: object) -> bool:
    """Whether `value`, somewhere in an input, stands for a file that has to be sent along."""
    return isinstance(value, bytes | bytearray | memoryview | PathLike) or is_pillow(value)


def is_pillow(value: object) -> bool:
    """Whether `value` is a picture of Pillow's."""
    return hasattr(value, "save") and hasattr(value, "mode") and hasattr(value, "getbands")


def sniff(head: bytes) -> str:
    """Return the content type that the first bytes tell.

    >>> sniff(b"\\xff\\xd8\\xff\\xe0")
    'image/jpeg'
    """
    for mark, offset, content_type in SIGNATURES:
        if head[offset : offset + len(mark)] == mark:
            return content_type
    return "application/octet-stream"


def _from_bytes(content: bytes, name: str | None, content_type: str | None) -> Source:
    content_type = content_type or _type_of_name(name) or sniff(content[:16])
    name = name or f"file{mimetypes.guess_extension(content_type) or '.bin'}"
    return Source(name, content_type, len(content), partial(BytesIO, content))


def _from_pillow(image: Any, name: str | None) -> Source:
    own: str | None = getattr(image, "format", None)
    buffer = BytesIO()
    image.save(buffer, format=own if own in PILLOW_FORMATS else "PNG")
    return _from_bytes(buffer.getvalue(), name, None)


def _from_file(file: Any, name: str | None, content_type: str | None) -> Source:
    if not hasattr(file, "read"):
        raise UsageError(f"cannot read a file from {type(file).__name__}")
    if not file.seekable():
        raise UsageError("an open file has to be seekable: a broken upload starts again")
    name = name or Path(str(getattr(file, "name", "file.bin"))).name
    size = file.seek(0, 2)
    file.seek(0)
    found = content_type or _type_of_name(name) or sniff(file.read(16))
    return Source(name, found, size, lambda: nullcontext(file))


def _type_of_name(name: str | None) -> str | None:
    return mimetypes.guess_type(name)[0] if name else None


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)
