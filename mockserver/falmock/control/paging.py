"""Pages of a listing."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from falmock.http.listing import in_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Row = TypeVar("Row")
View = TypeVar("View")


async def newest(
    pages: Iterable[list[Row]], matches: Callable[[Row], bool], view: Callable[[Row], View], limit: int
) -> tuple[list[View], bool]:
    """Return views of the newest rows that match, the oldest first, and whether there are older ones.

    Args:
        pages: the newest rows first. Other tasks run between two pages.
    """
    found: list[View] = []
    async for page in in_turns(pages):
        found += [view(row) for row in page if matches(row)]
        if len(found) > limit:
            break
    return found[:limit][::-1], len(found) > limit
