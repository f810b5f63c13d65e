"""Identifies the callers of each host (PROTOCOL.md 2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from falmock.engine.keys import Caller, Keyring, Problem
from falmock.engine.observer import warn_of_model
from falmock.http.context import query_of
from falmock.protocol.errors import (
    AccessDenied,
    ApplicationNotFound,
    AuthorizationRequired,
    MalformedKey,
    PlatformApiError,
    UnknownKey,
    UserLocked,
)

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Scope

    from falmock.engine.emulator import Emulator
    from falmock.http.context import CallContext
    from falmock.protocol.endpoints import Endpoint


def existing(emulator: Emulator, endpoint: Endpoint | None, text: str) -> Endpoint:
    """Return the endpoint if its application exists. fal checks this before everything else.

    Raises:
        ApplicationNotFound: there is none. If the owner exists, fal's text has the alias only.
    """
    if endpoint is None:
        raise ApplicationNotFound(text)
    catalogue = emulator.catalogue
    if not catalogue.has_application(endpoint.application):
        hint = warn_of_model(emulator.observer, catalogue, text)
        known_owner = catalogue.has_owner(endpoint.owner)
        raise ApplicationNotFound(endpoint.alias if known_owner else endpoint.application, headers=hint)
    return endpoint


def has_credentials(context: CallContext, scope: Scope) -> bool:
    """Return whether a call to the queue or run host has credentials, usable or not."""
    return _credentials(context, scope) is not None


def caller_of_application(context: CallContext, scope: Scope, keyring: Keyring, application: str) -> Caller:
    """Return the caller of an application on the queue or run host.

    Raises:
        AccessDenied: the key is missing or malformed, or the token is not for this application.
        UnknownKey: the key is unknown.
    """
    found = keyring.identify(_credentials(context, scope), application.rpartition("/")[2])
    if found is Problem.UNKNOWN:
        raise UnknownKey
    if isinstance(found, Problem):
        raise AccessDenied(application)
    return found


def caller_of_rest(request: Request, keyring: Keyring, *, may_be_locked: bool = False) -> Caller:
    """Return the caller of the rest host; `may_be_locked` accepts a locked account."""
    found = keyring.identify(request.headers.get("authorization"))
    if found is Problem.MISSING:
        raise AuthorizationRequired
    if found is Problem.UNREADABLE:
        raise MalformedKey
    if isinstance(found, Problem):
        raise UnknownKey
    if found.locked and not may_be_locked:
        raise UserLocked
    return found


def caller_of_platform(request: Request, keyring: Keyring, refusal: str | None = None) -> Caller:
    """Return the caller of the platform API; `refusal` replaces the text for a call without a usable key."""
    found = keyring.identify(request.headers.get("authorization"))
    if not isinstance(found, Caller):
        raise PlatformApiError("authorization_error", refusal)
    return found


def _credentials(context: CallContext, scope: Scope) -> str | None:
    authorization = context.headers.get("authorization")
    if authorization is None and (token := query_of(scope).get("fal_jwt_token")) is not None:
        return f"Bearer {token}"
    return authorization
