"""The models that the emulator serves, in pages."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from falmock.http.listing import in_turns
from falmock.web.answers import Rejected
from falmock.web.live import Page

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from falmock.catalogue import Entry, Price
    from falmock.web.site import Site

PATH: Final = "/ui/models"
ROWS: Final = 50  # on a page
LONGEST_TEXT: Final = 200  # characters of a search
FILTERS: Final = ("text", "medium", "certainty")
SHOWN: Final = 4  # names of fields in a row
# Where the facts about a model are from, the most certain first.
SOURCES: Final[Mapping[str, str]] = {
    "page": "from fal's page of the model",
    "document": "from an OpenAPI document of fal",
    "schema": "from JSON Schemas that were made of fal's OpenAPI documents",
    "types": "from the types in a package of fal, which have no bounds",
    "guess": "guessed from the name: any input is valid",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A model in the list.

    Attributes:
        needs: names of the first required fields.
        more: how many other fields the input has.
        words: text that a search looks in.
    """

    endpoint: str
    medium: str
    certainty: str
    date: str
    retired: str | None
    price: Price | None
    needs: tuple[str, ...]
    more: int
    words: str


class ModelsPage(Page):
    """The list of models. Its filters and its place in the list are in its address."""

    path = PATH

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._rows: tuple[Row, ...] | None = None

    async def show(self, request: Request) -> Response:
        """Return the whole page. The models stay as they are while the emulator runs."""
        rows = await self._all()
        filters = {name: request.query_params.get(name, "") for name in FILTERS}
        found = list(matching(rows, filters))
        number = _number(request.query_params.get("page", "1"))
        start = (number - 1) * ROWS
        if number > 1 and start >= len(found):
            raise Rejected(404, f"The list of models has no page {number}.")
        media = Counter(row.medium for row in rows)
        certainties = Counter(row.certainty for row in rows)
        return self._site.page(
            request,
            "models.html",
            title="Models",
            regions=await self.look(request),
            filters=filters,
            media=media.most_common(),
            certainties=[(name, certainties[name]) for name in SOURCES if certainties[name]],
            sources=SOURCES,
            total=len(rows),
            found=len(found),
            start=start,
            rows=found[start : start + ROWS],
            before=_address(request, number - 1) if number > 1 else None,
            after=_address(request, number + 1) if start + ROWS < len(found) else None,
            advice=self._advice(filters["text"].strip()) if not found else None,
        )

    async def _all(self) -> tuple[Row, ...]:
        """Return all rows. The first call reads the catalogue, and other tasks run in between."""
        if self._rows is None:
            self._rows = tuple([_row(entry) async for entry in in_turns(self._emulator.catalogue.entries())])
        return self._rows

    def _advice(self, text: str) -> Mapping[str, Any] | None:
        """Return the model with the most similar name."""
        if not text:
            return None
        guessed = self._emulator.catalogue.get(text)
        name = self._emulator.catalogue.nearest(text) if guessed is None else guessed.endpoint
        return None if name is None else {"endpoint": name, "guessed": guessed is not None}


def matching(rows: Iterable[Row], filters: Mapping[str, str]) -> Iterable[Row]:
    """Yield the rows that have all words of the text and match the other filters.

    Raises:
        Rejected: the text is too long.
    """
    if len(filters["text"]) > LONGEST_TEXT:
        raise Rejected(422, "A filter is too long.")
    words = filters["text"].lower().split()
    return (
        row
        for row in rows
        if filters["medium"] in {"", row.medium}
        and filters["certainty"] in {"", row.certainty}
        and all(word in row.words for word in words)
    )


def _row(entry: Entry) -> Row:
    required = entry.schemas.get(entry.input, {}).get("required", ())
    needs = tuple(name for name in entry.fields if name in required)[:SHOWN]
    return Row(
        entry.endpoint,
        entry.medium,
        entry.certainty,
        entry.date,
        entry.retired,
        entry.price,
        needs,
        len(entry.fields) - len(needs),
        f"{entry.endpoint} {entry.category} {entry.medium}".lower(),
    )


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 9 and int(text)):  # noqa: PLR2004 - digits
        raise Rejected(404, "The list of models has no such page.")
    return int(text)


def _address(request: Request, number: int) -> str:
    url = (
        request.url.include_query_params(page=number)
        if number > 1
        else request.url.remove_query_params("page")
    )
    return f"{PATH}?{url.query}" if url.query else PATH
