"""Long work and long answers in pieces: between two pieces other calls are answered."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping, Sequence

PIECE: Final = 100  # items that are written in one go

Item = TypeVar("Item")
Result = TypeVar("Result")


async def in_turns(pieces: Iterable[Item]) -> AsyncIterator[Item]:
    """Yield the pieces, and let other tasks run after each."""
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)


async def through(steps: Iterable[object]) -> None:
    """Go through steps, and let other tasks run after each."""
    async for _ in in_turns(steps):
        pass


async def completed(steps: Generator[None, None, Result]) -> Result:
    """Run a generator to its end, let other tasks run after each step, and return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
        await asyncio.sleep(0)


async def in_pieces(items: Sequence[Item], tell: Callable[[Item], Any]) -> AsyncIterator[list[Any]]:
    """Yield the items, each converted by `tell`, `PIECE` at a time."""
    pieces = (items[start : start + PIECE] for start in range(0, len(items), PIECE))
    async for piece in in_turns(pieces):
        yield [tell(item) for item in piece]


async def document(
    members: Mapping[str, Any], arrays: Mapping[str, AsyncIterator[list[Any]]]
) -> AsyncIterator[str]:
    """Yield a JSON object: first its short members, then its arrays, in pieces."""
    text = _json(members)[:-1]
    comma = "," if members else ""
    for name, pieces in arrays.items():
        yield f"{text}{comma}{_json(name)}:["
        text, comma, separator = "]", ",", ""
        async for piece in pieces:
            if piece:
                yield separator + ",".join(map(_json, piece))
                separator = ","
    yield f"{text}}}"


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
