"""Splits long work and long responses into pieces, so that other calls are answered in between."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping, Sequence

PIECE: Final = 100  # items that are converted in one go

Item = TypeVar("Item")
Result = TypeVar("Result")
View = TypeVar("View")


async def in_turns(pieces: Iterable[Item]) -> AsyncIterator[Item]:
    """Yield the pieces; other tasks run after each."""
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)


async def through(steps: Iterable[object]) -> None:
    """Run an iterable to its end; other tasks run after each step."""
    async for _ in in_turns(steps):
        pass


async def completed(steps: Generator[None, None, Result]) -> Result:
    """Run a generator to its end and return its result; other tasks run after each step."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
        await asyncio.sleep(0)


async def in_pieces(items: Sequence[Item], convert: Callable[[Item], Any]) -> AsyncIterator[list[Any]]:
    """Yield the converted items, `PIECE` at a time."""
    pieces = (items[start : start + PIECE] for start in range(0, len(items), PIECE))
    async for piece in in_turns(pieces):
        yield [convert(item) for item in piece]


async def newest(
    pages: Iterable[list[Item]],
    limit: int,
    *,
    view: Callable[[Item], View],
    matches: Callable[[Item], bool] = lambda _: True,
) -> tuple[list[View], bool]:
    """Return views of the newest items that match, at most `limit`, and whether there are older ones.

    The first page has the newest items. Other tasks run between two pages.
    """
    found: list[View] = []
    async for page in in_turns(pages):
        found += [view(item) for item in page if matches(item)]
        if len(found) > limit:
            break
    return found[:limit], len(found) > limit


async def document(
    members: Mapping[str, Any], arrays: Mapping[str, AsyncIterator[list[Any]]]
) -> AsyncIterator[str]:
    """Yield the text of a JSON object in pieces: first the plain members, then the arrays."""
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
