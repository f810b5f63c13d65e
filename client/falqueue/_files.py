"""Files to send: paths, bytes, open files and Pillow images."""

from __future__ import annotations

import base64
import mimetypes
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from io import SEEK_END, BytesIO
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
    if is_pillow(value):
        value, content_type = _encoded(value), None
    own_name, opened = _opener(value)
    name = name or own_name
    typed = own_name if isinstance(value, PathLike) else name  # the own name of a path decides its type
    with opened() as file:
        size = file.seek(0, SEEK_END)
        file.seek(0)
        found = content_type or mimetypes.guess_type(typed or "")[0] or sniff(file.read(16))
    return Source(name or f"file{mimetypes.guess_extension(found) or '.bin'}", found, size, opened)


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


def _encoded(image: Any) -> bytes:
    given: str | None = getattr(image, "format", None)
    buffer = BytesIO()
    image.save(buffer, format=given if given in PILLOW_FORMATS else "PNG")
    return buffer.getvalue()


def _opener(value: Any) -> tuple[str | None, Callable[[], AbstractContextManager[IO[bytes]]]]:
    """Return the name of a file, None if it has none, and the function that opens it."""
    if isinstance(value, bytes | bytearray | memoryview):
        return None, partial(BytesIO, bytes(value))
    if isinstance(value, PathLike):
        path = Path(value)
        return path.name, lambda: path.open("rb")
    if not hasattr(value, "read"):
        raise UsageError(f"cannot read a file from {type(value).__name__}")
    if not value.seekable():
        raise UsageError("an open file must be seekable, because a failed upload starts again")
    return Path(str(getattr(value, "name", "file.bin"))).name, lambda: nullcontext(value)
