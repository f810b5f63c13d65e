"""Figures about all requests, in tables. The script of the page draws plots from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlencode

from falmock.http.listing import completed
from falmock.inspection.figures import MOST_REQUESTS, Cost, counting
from falmock.protocol.errors import PlatformError
from falmock.web.answers import Rejected
from falmock.web.live import Page, Regions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup
    from starlette.requests import Request
    from starlette.responses import Response

    from falmock.inspection.figures import Figures

PATH: Final = "/ui/overview"
SPANS: Final = {"": "All", "86400": "Last day", "3600": "Last hour", "600": "Last 10 min"}  # by their seconds
LINES: Final = 10  # of a table; the others are summed


class Line(NamedTuple):
    """A line of a table with bars."""

    name: str  # a model, a test or a type of error; empty for requests without one
    link: str  # address of its requests, or empty
    share: float  # length of the bar, in percent
    requests: int
    usd: float | None = None  # None if it is not known


class OverviewPage(Page):
    """The page of figures. The length of time is in its address."""

    path = PATH

    async def show(self, request: Request) -> Response:
        last = request.query_params.get("last", "")
        return self.page(
            request,
            "overview.html",
            title="Overview",
            regions=await self.look(request),
            spans=SPANS,
            last=last,
        )

    async def look(self, request: Request) -> Regions:
        now = self._emulator.advance()
        last = _last(request)
        figures = await completed(
            counting(self._emulator.store, self._price, since=None if last is None else now - last, now=now)
        )
        render = self._site.render
        total = self._emulator.store.count_requests()[0]
        parts = {
            "clock": self._site.clock(),
            "totals": render("overview_totals.html", figures=figures),
            "nothing": render(
                "overview_nothing.html",
                shown=figures.counts.total,
                total=total,
                cut=MOST_REQUESTS if last is None and total > MOST_REQUESTS else None,
            ),
            "width": render("overview_width.html", width=figures.width),
            "models": render("overview_models.html", **_spent(figures.models, "endpoint")),
            "tests": render("overview_tests.html", **_spent(figures.tests, "test")),
            "errors": render("overview_errors.html", **_failed(figures.errors)),
        }
        return Regions(parts, {"buckets": self._buckets(figures)}, moving=last is not None)

    def _price(self, endpoint: str) -> float | None:
        model = self._emulator.catalogue.get(endpoint)
        return model.entry.price.usd if model and model.entry.price else None

    def _buckets(self, figures: Figures) -> dict[str, Markup]:
        shown = figures.buckets if figures.counts.total else ()
        return {
            f"b-{bucket.at}": self._site.render("overview_bucket.html", bucket=bucket) for bucket in shown
        }


def _last(request: Request) -> float | None:
    last = request.query_params.get("last", "")
    if last not in SPANS:
        raise Rejected(422, "There is no such length of time.")
    return float(last) if last else None


def _spent(costs: Sequence[tuple[str | None, Cost]], filtered_by: str) -> dict[str, Any]:
    """Return the lines of a table of costs, and the sum of the costs that are left out."""
    longest = max((cost.usd or 0.0 for _, cost in costs), default=0.0)
    lines = [
        Line(
            name or "",
            f"/?{urlencode({filtered_by: name})}" if name else "",
            _percent(cost.usd or 0.0, longest),
            cost.requests,
            cost.usd,
        )
        for name, cost in costs[:LINES]
    ]
    others = Cost()
    for _, cost in costs[LINES:]:
        others.add(cost)
    return {"lines": lines, "others": others, "left_out": len(costs) - len(lines)}


def _failed(errors: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """Return the lines of the table of errors, and the number of the requests that are left out."""
    longest = max((count for _, count in errors), default=0)
    lines = [
        Line(
            name,
            f"/?{urlencode({'state': 'failed', 'text': name})}" if name in PlatformError.STATUS else "",
            _percent(count, longest),
            count,
        )
        for name, count in errors[:LINES]
    ]
    others = sum(count for _, count in errors[LINES:])
    return {"lines": lines, "others": others, "left_out": len(errors) - len(lines)}


def _percent(part: float, whole: float) -> float:
    return round(100 * part / whole, 1) if whole else 0.0
