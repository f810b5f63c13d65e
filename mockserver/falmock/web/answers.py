"""Responses of the live page, with its security headers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from markupsafe import Markup
from starlette.responses import HTMLResponse, RedirectResponse, Response

from falmock.http.context import CONTEXT, CallContext, read_body
from falmock.protocol.errors import BodyTooLarge

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

    Action = Callable[[Request], Awaitable["Done | Response"]]
    Part = Callable[[Request], Awaitable[Response]]

STATIC: Final = "/ui/static/"
LONGEST_FORM: Final = 1024 * 1024  # bytes
MOST_FIELDS: Final = 1000
FIXED: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # without it, the origin of a form would be opaque
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}


@dataclass(frozen=True, slots=True)
class Done:
    """The outcome of an action: one sentence for the user, and the address of the page that shows it."""

    text: str
    page: str


class Rejected(Exception):
    """An action or a page that is not possible; the text is one sentence for the user."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(text)


def origin(request: Request) -> str:
    """Return the emulator's own address, as the browser has it."""
    context: CallContext = request.scope[CONTEXT]
    return f"{request.scope['scheme']}://{context.authority}"


def headers(request: Request) -> dict[str, str]:
    """Return the security headers of a page.

    Scripts and styles may come from the page's folder only, because files of the CDN have the same origin.
    """
    files = origin(request) + STATIC
    policy = (
        f"default-src 'none'; script-src {files}; style-src {files}; img-src 'self' data:; "
        "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return {**FIXED, "content-security-policy": policy, "cache-control": "no-store"}


def html(request: Request, text: str, status: int = 200) -> Response:
    return HTMLResponse(text, status, headers(request))


def wants_part(request: Request) -> bool:
    """Return whether the script of the page made the call, and so needs only a part of it."""
    return "hx-request" in request.headers


def note(text: str, kind: str) -> Markup:
    """Return a message for the notice of the page; `kind` is "good" or "bad"."""
    return Markup(
        '<hx-partial hx-target="#notice" hx-swap="innerHTML"><p class="note {}">{}</p></hx-partial>'
    ).format(kind, text)


def done(request: Request, outcome: Done) -> Response:
    """Answer an action: a message for the script, a redirection without it."""
    if wants_part(request):
        return html(request, note(outcome.text, "good"))
    return RedirectResponse(outcome.page, 303, headers(request))


async def form(request: Request) -> Mapping[str, str]:
    """Return the fields of a form, empty ones left out; of several with one name the last."""
    try:
        body = await read_body(request, LONGEST_FORM)
        pairs = parse_qsl(body.decode(errors="replace"), max_num_fields=MOST_FIELDS)
    except BodyTooLarge:
        raise Rejected(413, f"A form has at most {LONGEST_FORM:,} bytes.") from None
    except ValueError:
        raise Rejected(413, f"A form has at most {MOST_FIELDS:,} fields.") from None
    return {name: value for name, value in pairs if value}
