"""The list of models, and a page for each: its facts, its schema, and a form that submits a request to it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from falmock.catalogue import comparing
from falmock.engine.delivery import without_secrets
from falmock.faults.vocabulary import FAULTS, OF_A_REQUEST
from falmock.http.listing import in_turns
from falmock.protocol import endpoints
from falmock.protocol.errors import TimeEnded
from falmock.web import fields, schemas
from falmock.web.answers import Done, Rejected, origin
from falmock.web.live import Page, Regions
from falmock.web.playground import CALLER, Draft, Playground
from falmock.web.site import dollars
from falmock.web.snippets import snippets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from falmock.catalogue import Entry, Model, Price
    from falmock.web.fields import Field
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
# The faults that the form offers, by their heading in the documents.
OFFERED: Final = {
    group: [kind.name for kind in kinds]
    for group, kinds in groupby(
        (kind for kind in FAULTS.values() if not set(kind.on).isdisjoint(OF_A_REQUEST)), attrgetter("group")
    )
}


@dataclass(frozen=True, slots=True)
class Row:
    """A model in the list."""

    endpoint: str
    medium: str
    certainty: str
    date: str
    retired: str | None
    price: Price | None
    needs: tuple[str, ...]  # names of the first required fields
    more: int  # how many other fields the input has
    words: str  # text that a search looks in


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
        return self.page(
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
        if not text:
            return None
        guessed = self._emulator.catalogue.get(text)
        name = self._emulator.catalogue.nearest(text) if guessed is None else guessed.endpoint
        return None if name is None else {"endpoint": name, "guessed": guessed is not None}


def matching(rows: Iterable[Row], filters: Mapping[str, str]) -> Iterable[Row]:
    """Yield the rows that have all words of the text and match the other filters."""
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


class ModelPage(Page):
    """The page of one model. Its address may name a request that the form repeats."""

    path = f"{PATH}/{{endpoint:path}}"

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._playground = Playground(site)
        self.actions = {self.path: self._submit}

    async def show(self, request: Request) -> Response:
        entry = self._found(request).entry
        source = request.query_params.get("request")
        draft = Draft() if source is None else self._playground.repeating(source, fields.fields(entry))
        return self._page(request, entry, draft)

    async def look(self, request: Request) -> Regions:
        self._found(request)
        return await super().look(request)

    async def _submit(self, request: Request) -> Done | Response:
        """Submit the request in the form, or show the form again with its problems."""
        model = self._found(request)
        endpoint = endpoints.parse(model.endpoint)
        draft, value = await self._playground.received(request, fields.fields(model.entry))
        if endpoint is None:
            raise Rejected(404, "There is no such model.")
        submission = await self._playground.submission(request, endpoint, draft, value)
        if draft.problems:
            return self._page(request, model.entry, draft, 422)
        if self._emulator.locks.is_locked(CALLER):
            raise Rejected(403, f"The account of {CALLER!r} is locked, so fal refuses the request with 403.")
        try:
            stored = self._emulator.submit(submission)
        except TimeEnded:
            raise Rejected(
                503, "Emulated time is about to end, and the request would not end before."
            ) from None
        return Done("The request is submitted.", f"/ui/requests/{stored.id}")

    def _found(self, request: Request) -> Model:
        name = str(request.path_params["endpoint"])
        model = self._emulator.catalogue.get(name)
        if model is None:
            near = self._emulator.catalogue.nearest(name)
            raise Rejected(404, f"There is no model {name}{f', did you mean {near}?' if near else '.'}")
        return model

    def _page(self, request: Request, entry: Entry, draft: Draft, status: int = 200) -> Response:
        known = fields.fields(entry)
        start = schemas.dump({each.name: each.start for each in known if each.required})
        webhook = draft.source.webhook if draft.source is not None else None
        return self.page(
            request,
            "model.html",
            title=entry.endpoint,
            regions=Regions({"clock": self._site.clock()}),
            status=status,
            entry=entry,
            address=f"{PATH}/{quote(entry.endpoint)}",
            source=SOURCES[entry.certainty],
            rules=list(_rules(entry.price_rule or {})),
            known=known,
            groups=_groups(known),
            draft=draft,
            webhook=None if webhook is None else without_secrets(webhook),
            tables={part: schemas.lines(entry, part) for part in comparing.PARTS},
            faults=OFFERED,
            snippets=snippets(entry.endpoint, start.encode(), origin=origin(request), input_address=""),
        )


def _groups(known: Sequence[Field]) -> dict[str, list[Field]]:
    """Return the fields by the part of the form that has them."""
    first = [
        each for each in known if each.required or each.control in {"file", "files"} or each.name == "prompt"
    ]
    written = [each for each in known if each.control in {"json", "long"} and each not in first]
    return {
        "first": first,
        "settings": [each for each in known if each not in first and each not in written],
        "written": written,
    }


def _rules(rule: Mapping[str, Any], start: str = "") -> Iterator[tuple[str, str]]:
    """Yield the amounts of a price rule, each with its options as text."""
    for name, value in rule.items():
        words = f"{start}, {name}" if start else name
        if isinstance(value, dict):
            yield from _rules(value, words)
        else:
            yield words, dollars(value) if isinstance(value, int | float) else str(value)
