"""The live page as an application. `http.guard` decides which calls are allowed."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route, Router
from starlette.staticfiles import StaticFiles

from falmock.protocol.errors import AlreadyCompleted, RequestNotFound, StorageUnavailable
from falmock.web import answers
from falmock.web.answers import STATIC, Done, Rejected
from falmock.web.detail import RequestPage
from falmock.web.live import Page, Regions
from falmock.web.models import ModelPage, ModelsPage
from falmock.web.overview import OverviewPage
from falmock.web.requests import RequestsPage
from falmock.web.site import Site
from falmock.web.steer import SteerPage
from falmock.web.webhooks import WebhooksPage

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Scope

    from falmock.engine.emulator import Emulator
    from falmock.inspection.ledger import Ledger
    from falmock.web.answers import Action

PAGES: Final = (
    RequestsPage,
    RequestPage,
    WebhooksPage,
    OverviewPage,
    ModelsPage,
    ModelPage,
    SteerPage,
)
FOREVER: Final = "public, max-age=31536000, immutable"  # a file with other content has another address


def page(emulator: Emulator, ledger: Ledger) -> ASGIApp:
    site = Site(emulator, ledger)
    pages = [make(site) for make in PAGES]
    routes = [
        Mount(STATIC.rstrip("/"), _Static(directory=Path(__file__).parent / "static")),
        Route("/ui", _to_first_page),
    ]
    for each in pages:
        routes += [
            Route(f"/ui/live{each.path}", each.stream),
            *(Route(path, part) for path, part in each.parts.items()),
            *(Route(path, partial(_act, act), methods=["POST"]) for path, act in each.actions.items()),
            Route(each.path, each.show),
        ]
    problem = partial(_problem, site)
    handlers = dict.fromkeys(
        (Rejected, HTTPException, RequestNotFound, AlreadyCompleted, StorageUnavailable), problem
    )
    return ExceptionMiddleware(Router(routes, redirect_slashes=False), handlers=handlers)


async def _to_first_page(request: Request) -> Response:
    return RedirectResponse("/", 308, answers.headers(request))


async def _act(act: Action, request: Request) -> Response:
    outcome = await act(request)
    return answers.done(request, outcome) if isinstance(outcome, Done) else outcome


async def _problem(site: Site, request: Request, error: Exception) -> Response:
    """Return a response that says why a page or an action is not possible."""
    status, text = _explanation(error)
    if answers.wants_part(request):
        return answers.html(request, answers.note(text, "bad"), status)
    return Page(site).page(request, "problem.html", title=text, regions=Regions(), status=status, text=text)


def _explanation(error: Exception) -> tuple[int, str]:
    if isinstance(error, RequestNotFound):
        return 404, "There is no such request: it was reset, or it has expired."
    if isinstance(error, AlreadyCompleted):
        return 409, "The request is completed and cannot change any more."
    if isinstance(error, StorageUnavailable):
        return 503, "The emulator cannot write: see its log."
    if isinstance(error, Rejected):
        return error.status, str(error)
    status = error.status_code if isinstance(error, HTTPException) else 500
    return status, "There is no such page." if status == 404 else "That is not possible here."  # noqa: PLR2004


class _Static(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        kept = FOREVER if scope["query_string"] else "no-cache"
        response.headers.update({**answers.FIXED, "cache-control": kept})
        return response
