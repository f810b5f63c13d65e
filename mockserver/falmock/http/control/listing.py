"""Long answers, made in pieces: between two pieces other calls are answered."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterable, Mapping

Item = TypeVar("Item")
Result = TypeVar("Result")


async def in_turns(pieces: Iterable[Item]) -> AsyncIterator[Item]:
    """Yield what `pieces` does, and let other tasks run after each."""
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)


async def completed(steps: Generator[None, None, Result]) -> Result:
    """Return what a generator returns, and let other tasks run after each of its steps."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
        await asyncio.sleep(0)


async def document(
    members: Mapping[str, Any], arrays: Mapping[str, AsyncIterator[list[Any]]]
) -> AsyncIterator[str]:
    """Yield a JSON object: first its short members, then its arrays, in pieces."""
    text = json.dumps(members)[:-1]
    comma = ", " if members else ""
    for name, pieces in arrays.items():
        yield f"{text}{comma}{json.dumps(name)}: ["
        text, comma, separator = "]", ", ", ""
        async for piece in pieces:
            if piece:
                yield separator + ", ".join(map(json.dumps, piece))
                separator = ", "
    yield f"{text}}}"
