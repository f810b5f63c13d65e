"""The list of requests, the newest first."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from falmock.engine.lifecycle import State
from falmock.engine.pages import Condition, Selection
from falmock.engine.submission import parse_input
from falmock.http.listing import newest
from falmock.protocol.patterns import LONGEST
from falmock.web.answers import Rejected, origin
from falmock.web.live import Page, Regions

if TYPE_CHECKING:
    from markupsafe import Markup
    from starlette.requests import Request
    from starlette.responses import Response

    from falmock.engine.rows import Request as Stored
    from falmock.web.site import Site

ROWS: Final = 50  # on a page
LONGEST_TEXT: Final = 200  # characters of a search
EXCERPT: Final = 160  # characters of a prompt
FILTERS: Final = ("state", "endpoint", "test", "caller", "text")
STATES: Final = {
    Condition.IN_QUEUE: "In queue",
    Condition.IN_PROGRESS: "In progress",
    Condition.HELD: "Held",
    Condition.COMPLETED: "Completed",
    Condition.SUCCEEDED: "Succeeded",
    Condition.FAILED: "Failed",
}


class RequestsPage(Page):
    """The first page. Its filters and its place in the list are in its address."""

    path = "/"

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._row = lru_cache(maxsize=1000)(self._render_row)

    async def show(self, request: Request) -> Response:
        query = request.query_params
        return self.page(
            request,
            "requests.html",
            title="Requests",
            regions=await self.look(request),
            filters={name: query.get(name, "") for name in FILTERS},
            states=STATES,
            before=query.get("before"),
        )

    async def look(self, request: Request) -> Regions:
        total, waiting = self._emulator.store.count_requests()
        found, more = await self._find(selection(request), request.query_params.get("before"))
        rows = self._as_now(found)
        parts = {
            "clock": self._site.clock(),
            "count": self._site.render("requests_count.html", total=total, waiting=waiting),
            "empty": self._site.render(
                "requests_empty.html", shown=not rows, total=total, origin=origin(request)
            ),
            "pages": self.pager(request, found[-1].id if more else None),
        }
        return Regions(parts, {"rows": {f"r-{row.id}": self._shown(row) for row in rows}})

    async def _find(self, wanted: Selection, before: str | None) -> tuple[list[Stored], bool]:
        """Return the requests of a page, and whether there are older ones."""
        store = self._emulator.store
        if wanted == EVERYTHING:
            pages = store.request_pages_before(before)
        else:
            pages = store.selected_pages_before(wanted, before)
        try:
            return await newest(pages, ROWS, view=lambda row: row)
        except KeyError:
            raise Rejected(404, f"There is no request {before}: it was reset, or it has expired.") from None

    def _as_now(self, rows: list[Stored]) -> list[Stored]:
        """Return the rows without those that are gone: other calls were answered while they were read."""
        current = (self._emulator.store.request(row.id) for row in rows)
        return [row for row in current if row is not None]

    def _shown(self, row: Stored) -> Markup:
        position = self._emulator.position(row) if row.state == State.IN_QUEUE else None
        body = self._emulator.store.payload(row.id, "input")
        return self._row(row, position, body is not None)

    def _render_row(self, row: Stored, position: int | None, has_input: bool) -> Markup:  # noqa: FBT001
        """Return a row; the arguments are all that can change in it."""
        body = self._emulator.store.payload(row.id, "input") if has_input else None
        prompt = self._site.redact.text(excerpt(body or b""))
        return self._site.render("request_row.html", row=row, position=position, prompt=prompt)


EVERYTHING: Final = Selection()


def selection(request: Request) -> Selection:
    query = {name: value for name, value in request.query_params.items() if value}
    state, endpoint = query.get("state"), query.get("endpoint")
    if state is not None and state not in set(Condition):
        raise Rejected(422, f"There is no state {state!r}.")
    if len(endpoint or "") > LONGEST or len(query.get("text", "")) > LONGEST_TEXT:
        raise Rejected(422, "A filter is too long.")
    return Selection(
        condition=None if state is None else Condition(state),
        endpoint=f"*{endpoint}*" if endpoint and "*" not in endpoint else endpoint,
        caller=query.get("caller"),
        test=query.get("test"),
        text=query.get("text"),
    )


def excerpt(body: bytes) -> str:
    """Return the beginning of an input's prompt, or of its first text; empty without one."""
    given = parse_input(body)
    texts = [given.get("prompt"), *given.values()]
    text = next((each for each in texts if isinstance(each, str) and not each.startswith("data:")), "")
    return text[:EXCERPT] + ("…" if len(text) > EXCERPT else "")
