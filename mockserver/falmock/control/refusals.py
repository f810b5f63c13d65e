"""Errors of the control API, and time limits on its answers."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from falmock.protocol.errors import AlreadyCompleted, RequestNotFound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@asynccontextmanager
async def time_limit(seconds: float, state: str) -> AsyncIterator[None]:
    """Answer 408 with `state` after so many real seconds."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise HTTPException(408, f"{state} after {seconds:g} s") from None


@contextmanager
def refusals_of(request_id: str, which: str = "") -> Iterator[None]:
    """Translate the emulator's exceptions about a request."""
    try:
        yield
    except RequestNotFound:
        raise no_request(request_id, which) from None
    except AlreadyCompleted:
        raise HTTPException(409, f"{request_id} is completed and cannot change any more") from None


def no_request(request_id: str, which: str = "") -> HTTPException:
    """Return the 404 for an unknown request id."""
    return HTTPException(404, f"there is no request {request_id} {which}".rstrip())
