"""Reads JSON bodies and the headers of uploads, for all hosts."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final, TypeVar

from pydantic import BaseModel

from falmock.engine.files import DEFAULT_TYPE, Lifecycle, LifecycleError
from falmock.http.submission import read_body
from falmock.protocol import validation
from falmock.protocol.errors import PlatformError
from falmock.protocol.limits import Limits

if TYPE_CHECKING:
    from starlette.requests import Request

Body = TypeVar("Body", bound=BaseModel)

LONGEST_BODY: Final = 64 * 1024  # bytes
BODY_LIMITS: Final = Limits(members=40_000)  # 10,000 parts of a multipart upload have three members each
CONTENT_TYPE: Final = r"^[\x20-\x7e]{1,255}$"  # printable ASCII, which is safe in a header
LIFECYCLE_HEADERS: Final = ("x-fal-object-lifecycle", "x-fal-object-lifecycle-preference")


async def read_model(request: Request, kind: type[Body], *, limit: int = LONGEST_BODY) -> Body:
    """Return a JSON body of at most `limit` bytes that fits a schema; see `validation.read`."""
    body = await read_body(request, limit)
    content_type = request.headers.get("content-type")
    if len(body) > LONGEST_BODY:  # parsing takes so long that other calls would wait
        return await asyncio.to_thread(validation.read, kind, body, content_type, BODY_LIMITS)
    return validation.read(kind, body, content_type, BODY_LIMITS)


def lifecycle_of(request: Request) -> str | None:
    """Return the JSON of the object lifecycle header of an upload, or None.

    Raises:
        PlatformError: `bad_request`: the header is invalid.
    """
    for name in LIFECYCLE_HEADERS:
        if (text := request.headers.get(name)) is not None:
            try:
                Lifecycle.parse(text)
            except LifecycleError:
                raise PlatformError("bad_request", f"Invalid {name} header") from None
            return text
    return None


def content_type_of(request: Request) -> str:
    """Return the content type of an upload.

    Raises:
        PlatformError: `bad_request`: it is not safe in the header of a response.
    """
    content_type = request.headers.get("content-type") or DEFAULT_TYPE
    if not re.fullmatch(CONTENT_TYPE, content_type):
        raise PlatformError("bad_request", "Invalid content-type header")
    return content_type
