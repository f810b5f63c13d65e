"""Reads forms with files, as a browser sends them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from starlette.formparsers import MultiPartParser

from falmock.protocol.errors import BodyTooLarge
from falmock.system import disk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from starlette.datastructures import FormData
    from starlette.requests import Request

TYPE: Final = "multipart/form-data"
MOST_FILES: Final = 100
MOST_FIELDS: Final = 1000


@asynccontextmanager
async def with_files(request: Request, *, most: int, longest: int) -> AsyncIterator[FormData]:
    """Read a form of the type `TYPE`; its files are temporary and deleted after the block.

    Args:
        request: the call.
        most: the limit on the whole form, in bytes.
        longest: the limit on a field that is not a file, in bytes.

    Raises:
        MultiPartException: it is not such a form, has too many fields or files, or a field is too long.
        BodyTooLarge: it has more than `most` bytes. The rest is not read.
        StorageFull: the disk is full.
    """
    parser = MultiPartParser(
        request.headers,
        _limited(request, most),
        max_files=MOST_FILES,
        max_fields=MOST_FIELDS,
        max_part_size=longest,
    )
    with disk.room():
        form = await parser.parse()
    try:
        yield form
    finally:
        await form.close()


async def _limited(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise BodyTooLarge(most)
        yield chunk
