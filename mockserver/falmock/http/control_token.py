"""The control token: reads it from a call, and has a browser ask for it."""

from __future__ import annotations

import base64
import hmac
from typing import TYPE_CHECKING, Final

from falmock.http.refusals import explained

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

CHALLENGE: Final = 'Basic realm="The control token is the password", charset="UTF-8"'


def has_token(headers: Mapping[str, str], token: str | None) -> bool:
    """Return whether a call has the control token: as Bearer, or as the password of any user."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    scheme = scheme.lower()
    if token is None or scheme not in {"bearer", "basic"}:
        return False
    given = _password(given) if scheme == "basic" else given.strip()
    return hmac.compare_digest(given.encode(), token.encode())


def ask_for_token(why: str) -> Response:
    """Return a refusal that makes a browser ask for the token."""
    response = explained(401, why)
    response.headers["www-authenticate"] = CHALLENGE
    return response


def _password(credentials: str) -> str:
    """Return the password in Basic credentials; empty if they are malformed."""
    try:
        return base64.b64decode(credentials.strip()).decode().partition(":")[2]
    except ValueError:
        return ""
