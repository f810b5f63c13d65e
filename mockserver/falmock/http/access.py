"""Callers at the door: which 401 or 403 a host gives, in that host's words (PROTOCOL.md 2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from falmock.engine.keys import Caller, Keyring, Problem
from falmock.protocol.errors import (
    AccessDenied,
    ApplicationNotFound,
    AuthorizationRequired,
    MalformedKey,
    UnknownKey,
    UserLocked,
)

if TYPE_CHECKING:
    from starlette.requests import Request

    from falmock.models import Catalogue
    from falmock.protocol.endpoints import Endpoint


def existing(catalogue: Catalogue, endpoint: Endpoint | None, text: str) -> Endpoint:
    """Return the endpoint if its application exists: looked at before everything else.

    Raises:
        ApplicationNotFound: it does not. Where the owner exists fal names the alias alone.
    """
    if endpoint is None:
        raise ApplicationNotFound(text)
    if not catalogue.has_application(endpoint.application):
        known_owner = catalogue.has_owner(endpoint.owner)
        raise ApplicationNotFound(endpoint.alias if known_owner else endpoint.application)
    return endpoint


def caller_of_application(request: Request, keyring: Keyring, application: str) -> Caller:
    """Return who calls an application on the queue or run host.

    Raises:
        AccessDenied, UnknownKey: nobody, or nobody that is known.
    """
    authorization = request.headers.get("authorization")
    if authorization is None and (token := request.query_params.get("fal_jwt_token")) is not None:
        authorization = f"Bearer {token}"
    found = keyring.identify(authorization, application.rpartition("/")[2])
    if found is Problem.UNKNOWN:
        raise UnknownKey
    if isinstance(found, Problem):
        raise AccessDenied(application)
    return found


def caller_of_rest(request: Request, keyring: Keyring) -> Caller:
    """Return who calls the rest host; locked accounts are turned away here too.

    Raises:
        AuthorizationRequired, MalformedKey, UnknownKey, UserLocked: it says which.
    """
    found = known_to_rest(request, keyring)
    if found.locked:
        raise UserLocked
    return found


def known_to_rest(request: Request, keyring: Keyring) -> Caller:
    """Return who calls the rest host, locked or not.

    Raises:
        AuthorizationRequired, MalformedKey, UnknownKey: it says which.
    """
    found = keyring.identify(request.headers.get("authorization"))
    if found is Problem.MISSING:
        raise AuthorizationRequired
    if found is Problem.UNREADABLE:
        raise MalformedKey
    if isinstance(found, Problem):
        raise UnknownKey
    return found
