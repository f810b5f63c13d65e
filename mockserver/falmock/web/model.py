"""A page for each model: its facts, its schema, and a form that submits a request to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from falmock.catalogue import comparing
from falmock.engine.delivery import without_secrets
from falmock.faults.matching import OF_A_REQUEST
from falmock.faults.vocabulary import FAULTS
from falmock.protocol import endpoints
from falmock.protocol.errors import TimeEnded
from falmock.web import fields, schemas
from falmock.web.answers import Done, Rejected, origin
from falmock.web.live import Page
from falmock.web.models import SOURCES
from falmock.web.playground import CALLER, Draft, Playground
from falmock.web.regions import Regions
from falmock.web.schemas import dump
from falmock.web.site import dollars
from falmock.web.snippets import snippets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from falmock.catalogue import Entry, Model
    from falmock.web.fields import Field
    from falmock.web.site import Site

PATH: Final = "/ui/models/{endpoint:path}"
# The faults that the form offers, by their heading in the documents.
OFFERED: Final = {
    group: names
    for group in dict.fromkeys(kind.group for kind in FAULTS.values())
    if (
        names := [
            kind.name
            for kind in FAULTS.values()
            if kind.group == group and not set(kind.on).isdisjoint(OF_A_REQUEST)
        ]
    )
}


class ModelPage(Page):
    """The page of one model. Its address may name a request that the form repeats."""

    path = PATH

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._playground = Playground(site)
        self.actions = {PATH: self._submit}

    async def show(self, request: Request) -> Response:
        entry = self._found(request).entry
        source = request.query_params.get("request")
        draft = Draft() if source is None else self._playground.repeating(source, fields.fields(entry))
        return self._page(request, entry, draft)

    async def look(self, request: Request) -> Regions:
        self._found(request)
        return Regions({"clock": self._site.clock()})

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
        start = dump({each.name: each.start for each in known if each.required})
        webhook = draft.source.webhook if draft.source is not None else None
        return self._site.page(
            request,
            "model.html",
            title=entry.endpoint,
            regions=Regions({"clock": self._site.clock()}),
            status=status,
            entry=entry,
            address=f"/ui/models/{quote(entry.endpoint)}",
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
