"""A page, and the stream of server-sent events that keeps it up to date with the parts that have changed.

A page is checked a few times a second, not at every change, so a burst of requests costs as much as one. If a
check takes long, the next one comes later.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from starlette.responses import StreamingResponse

from falmock.protocol.errors import RequestNotFound
from falmock.web.answers import Rejected, headers, note
from falmock.web.regions import Regions, changes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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
