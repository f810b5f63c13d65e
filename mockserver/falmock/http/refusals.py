"""Turns exceptions into responses. No other module does."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from falmock.engine.transitions import unavailable
from falmock.http.context import context_of
from falmock.http.replies import Reply, encoded
from falmock.protocol.errors import PlatformError, Refusal, Unrouted
from falmock.protocol.hosts import HEADERS, ROUTER_HEADERS
from falmock.system import transient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.types import ExceptionHandler


def refusal_response(refusal: Refusal) -> Response:
    """Return a refusal as fal's hosts send it."""
    if isinstance(refusal, Unrouted):
        return Response(None, refusal.status, refusal.headers)
    return Reply(refusal.status, refusal.content(), encoded(refusal.headers))


def explained(status: int, why: str) -> Response:
    """Return a refusal that fal does not have.

    fal's JavaScript client shows `message`, others show the body or `detail`.
    """
    return JSONResponse({"detail": why, "message": why}, status)


async def refuse(request: Request, error: Exception) -> Response:
    """Answer a call that ended with an exception.

    Raises:
        Exception: the error itself, if it is a bug in falmock.
    """
    del request
    return _response_to(error)


def _response_to(error: Exception) -> Response:
    if isinstance(error, Refusal):
        return refusal_response(error)
    if isinstance(error, HTTPException):  # Starlette's: an unknown path, a wrong method
        return JSONResponse({"detail": error.detail}, error.status_code, error.headers)
    if isinstance(error, ClientDisconnect):  # the response is discarded
        return Response(status_code=PlatformError.STATUS["client_disconnected"])
    reason = transient.reason(error) if isinstance(error, OSError | sqlite3.OperationalError) else None
    if reason is None:
        raise error
    return refusal_response(unavailable(reason))


async def refuse_call(request: Request, error: Exception) -> Response:
    """See `response_of_host`."""
    return response_of_host(error, context_of(request).call.host)


def response_of_host(error: Exception, host: str) -> Response:
    """Return the response to a call to a fal host that ended with an exception, with the host's headers.

    Raises:
        Exception: the error itself, if it is a bug in falmock.
    """
    response = _response_to(error)
    response.headers.update(ROUTER_HEADERS if isinstance(error, Unrouted) else HEADERS.get(host, {}))
    return response


async def fail(request: Request, error: Exception) -> Response:
    """Answer a call that failed because of a bug in falmock. The server logs the traceback."""
    del request, error
    return failure()


def failure() -> Response:
    """Return the 500 for a bug in falmock."""
    return JSONResponse({"detail": "Internal Server Error", "error_type": "internal_error"}, 500)


EXPECTED: Final = (Refusal, HTTPException, ClientDisconnect, OSError, sqlite3.OperationalError)
HANDLERS: Final[Mapping[type[Exception], ExceptionHandler]] = dict.fromkeys(EXPECTED, refuse)
FAL_HANDLERS: Final[Mapping[type[Exception], ExceptionHandler]] = dict.fromkeys(EXPECTED, refuse_call)
