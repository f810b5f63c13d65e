"""What all parts of the control API share: how they are asked, how long they wait, how they say no."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.exceptions import HTTPException

from falmock.protocol.errors import AlreadyCompleted, RequestNotFound
from falmock.protocol.validation import check_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

Patience = Annotated[float, Field(gt=0, le=60, description="real seconds to wait")]


class Query(BaseModel):
    """What can be asked; a field that there is not is a mistake."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _is_json(cls, value: Any) -> Any:
        check_json(value)
        return value


@asynccontextmanager
async def patience(seconds: float, what: str) -> AsyncIterator[None]:
    """Let no answer take longer than so many real seconds."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise HTTPException(408, f"{what} after {seconds:g} s") from None


@contextmanager
def plainly(request_id: str, which: str = "") -> Iterator[None]:
    """Say in words of its own what fal would say in others."""
    try:
        yield
    except RequestNotFound:
        raise no_request(request_id, which) from None
    except AlreadyCompleted:
        raise HTTPException(409, f"{request_id} is completed: nothing can happen to it any more") from None


def no_request(request_id: str, which: str = "") -> HTTPException:
    """Return the refusal for an id that nobody has."""
    return HTTPException(404, f"there is no request {request_id} {which}".rstrip())
