"""Reads JSON bodies, the headers of uploads, and forms with files, for all hosts."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from pydantic import BaseModel
from starlette.formparsers import MultiPartParser

from falmock.engine.files import DEFAULT_TYPE, Lifecycle, LifecycleError
from falmock.http.context import limited, read_body
from falmock.protocol import validation
from falmock.protocol.errors import PlatformError
from falmock.protocol.limits import Limits
from falmock.system import disk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.datastructures import FormData
    from starlette.requests import Request

Body = TypeVar("Body", bound=BaseModel)

LONGEST_BODY: Final = 64 * 1024  # bytes
BODY_LIMITS: Final = Limits(members=40_000)  # 10,000 parts of a multipart upload have three members each
CONTENT_TYPE: Final = r"^[\x20-\x7e]{1,255}$"  # printable ASCII, which is safe in a header
FORM: Final = "multipart/form-data"
MOST_FILES: Final = 100
MOST_FIELDS: Final = 1000
LIFECYCLE_HEADERS: Final = ("x-fal-object-lifecycle", "x-fal-object-lifecycle-preference")


async def read_model(request: Request, kind: type[Body], *, limit: int = LONGEST_BODY) -> Body:
    """Return a JSON body of at most `limit` bytes that fits a schema; see `validation.read`."""
    body = await read_body(request, limit)
    parse = partial(validation.read, kind, body, request.headers.get("content-type"), BODY_LIMITS)
    # A large body is parsed in a thread, so that other calls need not wait
    return await asyncio.to_thread(parse) if len(body) > LONGEST_BODY else parse()


def lifecycle_of(request: Request) -> str | None:
    """Return the JSON of the object lifecycle header of an upload, or None; an invalid one is refused."""
    for name in LIFECYCLE_HEADERS:
        if (text := request.headers.get(name)) is not None:
            try:
                Lifecycle.parse(text)
            except LifecycleError:
                raise PlatformError("bad_request", f"Invalid {name} header") from None
            return text
    return None


def content_type_of(request: Request) -> str:
    """Return the content type of an upload; one that is not safe in a response's header is refused."""
    content_type = request.headers.get("content-type") or DEFAULT_TYPE
    if not re.fullmatch(CONTENT_TYPE, content_type):
        raise PlatformError("bad_request", "Invalid content-type header")
    return content_type


@asynccontextmanager
async def with_files(request: Request, *, most: int, longest: int) -> AsyncIterator[FormData]:
    """Read a form of the type `FORM`; its files are temporary and deleted after the block.

    Args:
        most: the limit on the whole form, in bytes.
        longest: the limit on a field that is not a file, in bytes.

    Raises:
        MultiPartException: it is not such a form, has too many fields or files, or a field is too long.
        BodyTooLarge: it has more than `most` bytes. The rest is not read.
        StorageFull: the disk is full.
    """
    parser = MultiPartParser(
        request.headers,
        limited(request, most),
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
