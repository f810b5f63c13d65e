"""A page, the parts of it that change, and the stream of server-sent events that keeps these up to date.

A page is checked a few times a second, not at every change, so a burst of requests costs as much as one. If a
check takes long, the next one comes later.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from markupsafe import Markup
from starlette.responses import StreamingResponse

from falmock.protocol.errors import RequestNotFound
from falmock.web.answers import Rejected, headers, html, note, origin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.requests import Request
    from starlette.responses import Response

    from falmock.web.answers import Action, Part
    from falmock.web.site import Site

PAUSE: Final = 0.3  # real seconds between two checks
SHARE: Final = 0.05  # of one core that checks of all open pages may take
HEARTBEAT: Final = 15.0  # real seconds after which a silent stream sends a comment
BLANK: Final = "\n"  # an event without a text
GONE: Final = "What this page shows is gone: it was reset, or it has expired."
END: Final = "event: end\ndata: \n\n"  # see `hx-sse:close`: the page does not open the stream again


Rows = Mapping[str, Markup]


@dataclass(frozen=True, slots=True)
class Regions:
    """The parts of a page that change, as HTML."""

    parts: Mapping[str, Markup] = field(default_factory=dict)  # one element each, by its id
    lists: Mapping[str, Rows] = field(default_factory=dict)  # rows by their ids, in order, by the list's id
    moving: bool = False  # whether a part changes as time passes, without an event

    def rows(self, name: str) -> Markup:
        return Markup("").join(self.lists[name].values())


def changes(before: Regions, after: Regions) -> Markup:
    """Return the differences as htmx reads them, empty for none.

    All parts and lists of `after` are on the page.
    """
    changed = [
        _swap(name, "outerMorph", part)
        for name, part in after.parts.items()
        if part != before.parts.get(name)
    ]
    for name, rows in after.lists.items():
        changed += _row_changes(name, before.lists.get(name), rows)
    return Markup("").join(changed)


def _row_changes(name: str, before: Rows | None, after: Rows) -> Iterator[Markup]:
    kept = [] if before is None else [key for key in before if key in after]
    if before is None or not kept or kept != [key for key in after if key in before]:
        if before is None or list(before.items()) != list(after.items()):
            yield _swap(name, "innerMorph", Markup("").join(after.values()))
        return
    yield from (_swap(key, "delete", Markup("")) for key in before if key not in after)
    yield from (_swap(key, "outerMorph", after[key]) for key in kept if before[key] != after[key])
    last: str | None = None
    for known, keys in groupby(after, before.__contains__):
        run = list(keys)
        if not known:
            rows = Markup("").join(after[key] for key in run)
            yield _swap(name, "afterbegin", rows) if last is None else _swap(last, "afterend", rows)
        last = run[-1]


def _swap(target: str, how: str, content: Markup) -> Markup:
    return Markup('<hx-partial hx-target="#{}" hx-swap="{}">{}</hx-partial>').format(target, how, content)


class Page:
    """One page.

    Attributes:
        path: such as "/ui/webhooks".
        actions: the handlers of its forms, by path.
        parts: handlers of the parts that are loaded later, by path.
    """

    path: str

    def __init__(self, site: Site) -> None:
        self._site = site
        self._emulator = site.emulator
        self.actions: dict[str, Action] = {}
        self.parts: dict[str, Part] = {}

    async def show(self, request: Request) -> Response:
        """Return the whole page."""
        raise NotImplementedError

    async def look(self, request: Request) -> Regions:  # noqa: ARG002
        """Return the parts that change."""
        return Regions({"clock": self._site.clock()})

    def page(
        self,
        request: Request,
        template: str,
        /,
        *,
        title: str,
        regions: Regions,
        status: int = 200,
        **values: Any,
    ) -> Response:
        """Return a whole page. Its template extends `layout.html` and shows the regions."""
        query = f"?{request.url.query}" if request.url.query else ""
        path = request.scope["path"]
        text = self._site.render(
            template,
            title=title,
            regions=regions,
            path=path,
            live=f"/ui/live{quote(path)}{query}",
            origin=origin(request),
            clock=self._site.clock(),
            **values,
        )
        return html(request, text, status)

    def pager(self, request: Request, last: str | None) -> Markup:
        """Return the links of a list to its older and to its newest rows.

        `last` is the id of the last row that is shown, if there are older ones.
        """
        older = None if last is None else request.url.include_query_params(before=last)
        newest = request.url.remove_query_params("before") if request.query_params.get("before") else None
        return self._site.render(
            "pages.html",
            older=older and f"{self.path}?{older.query}",
            newest=newest and (f"{self.path}?{newest.query}" if newest.query else self.path),
        )

    async def stream(self, request: Request) -> Response:
        """Answer with events while the page is open. The first one has all parts that can change."""
        mark = self._site.mark()
        events = self._events(request, mark, await self.look(request))
        return StreamingResponse(events, headers=headers(request), media_type="text/event-stream")

    async def _events(self, request: Request, mark: object, shown: Regions) -> AsyncIterator[str]:
        site = self._site
        site.open_pages += 1
        try:
            yield event(changes(Regions(), shown))
            due = sent_at = time.monotonic()
            while not site.emulator.closing:
                began = time.monotonic()
                if began >= due and (shown.moving or mark != site.mark()):
                    mark, worked = site.mark(), time.thread_time()
                    try:
                        regions = await self.look(request)
                    except (RequestNotFound, Rejected):
                        yield event(note(GONE, "bad"))
                        yield END
                        return
                    text = event(changes(shown, regions))
                    due = began + pause(time.thread_time() - worked, site.open_pages)
                    if text != BLANK:
                        yield text
                        sent_at = began
                    shown = regions
                if began - sent_at >= HEARTBEAT:
                    yield ": nothing has changed\n\n"
                    sent_at = began
                await asyncio.sleep(PAUSE)
        finally:
            site.open_pages -= 1


def pause(worked: float, pages: int) -> float:
    """Return the seconds between two looks at a page, if each takes `worked` seconds."""
    return worked * pages / SHARE


def event(text: str) -> str:
    """Return a text as one server-sent event."""
    return "".join(f"data: {line}\n" for line in text.splitlines()) + "\n"
