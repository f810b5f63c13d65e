"""Files to send: paths, bytes, open files and Pillow images."""

from __future__ import annotations

import base64
import mimetypes
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from falqueue._handle import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK: Final = 1 << 20
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
    """The part of `PIL.Image.Image` that is needed, so that Pillow is not imported."""

    @property
    def mode(self) -> str: ...

    def save(self, fp: IO[bytes], format: str | None = None) -> None: ...  # noqa: A002 - Pillow's name


Picture: TypeAlias = "str | bytes | PathLike[str] | PillowImage"


@dataclass(frozen=True, slots=True)
class Source:
    """`size` bytes that can be read several times and from any offset."""

    name: str
    content_type: str
    size: int
    opened: Callable[[], AbstractContextManager[IO[bytes]]] = field(repr=False)

    def chunks(self, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield `length` bytes from `start` (by default all), at most 1 MiB at a time."""
        left = self.size - start if length is None else length
        with self.opened() as file:
            file.seek(start)
            while left > 0 and (chunk := file.read(min(left, CHUNK))):
                left -= len(chunk)
                yield chunk

    def data_uri(self) -> str:
        return f"data:{self.content_type};base64,{base64.b64encode(b''.join(self.chunks())).decode()}"


def source_of(value: object, *, name: str | None = None, content_type: str | None = None) -> Source:
    """Return `value` as a source. This may block: it reads files and encodes images."""
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
    """Whether `value`, found in an input, is a file to send."""
    return isinstance(value, bytes | bytearray | memoryview | PathLike) or is_pillow(value)


def is_pillow(value: object) -> bool:
    return hasattr(value, "save") and hasattr(value, "mode") and hasattr(value, "getbands")


def sniff(head: bytes) -> str:
    """Return the content type of a file that starts with these bytes.

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
    given: str | None = getattr(image, "format", None)
    buffer = BytesIO()
    image.save(buffer, format=given if given in PILLOW_FORMATS else "PNG")
    return _from_bytes(buffer.getvalue(), name, None)


def _from_file(file: Any, name: str | None, content_type: str | None) -> Source:
    if not hasattr(file, "read"):
        raise UsageError(f"cannot read a file from {type(file).__name__}")
    if not file.seekable():
        raise UsageError("an open file must be seekable, because a failed upload starts again")
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
