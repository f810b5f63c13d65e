"""Responses: JSON with encoded headers, and those to exceptions, which no other module makes."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from falmock.engine.transitions import unavailable
from falmock.http.context import context_of
from falmock.inspection.recorded import join_headers
from falmock.protocol.errors import PlatformError, Refusal, Unrouted
from falmock.protocol.hosts import HEADERS, ROUTER_HEADERS
from falmock.system import transient

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.types import ASGIApp, ExceptionHandler, Message, Receive, Scope, Send

    RawHeaders = Sequence[tuple[bytes, bytes]]


class Reply(Response):
    """A JSON response with its headers in the recorded order (PROTOCOL.md 11.2).

    Args:
        headers: they follow those about the body.
    """

    def __init__(self, status: int, body: bytes, headers: RawHeaders) -> None:
        self.status_code = status
        self.background = None
        self.body = body
        self.raw_headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            *headers,
        ]
        self.head: bytes | None = None  # the joined headers, made at the first use


def head_of(response: Response) -> bytes:
    """Return the headers of a response, joined; nothing if one contains a line break."""
    if not isinstance(response, Reply):
        return join_headers(response.raw_headers)
    if response.head is None:
        response.head = join_headers(response.raw_headers)
    return response.head


def encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Return headers as bytes."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def with_headers(app: ASGIApp, headers: Mapping[str, str]) -> ASGIApp:
    """Return an application that adds headers to each response of another."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_more(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        await app(scope, receive, send_more)

    return application


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


def failure() -> Response:
    """Return the 500 for a bug in falmock."""
    return JSONResponse({"detail": "Internal Server Error", "error_type": "internal_error"}, 500)


def response_of_host(error: Exception, host: str) -> Response:
    """Return the response to a call to a fal host that ended with an exception, with the host's headers.

    Raises:
        Exception: the error itself, if it is a bug in falmock.
    """
    response = _response_to(error)
    response.headers.update(ROUTER_HEADERS if isinstance(error, Unrouted) else HEADERS.get(host, {}))
    return response


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


async def refuse(_: Request, error: Exception) -> Response:
    """Answer a call to the emulator itself that ended with an exception; see `response_of_host`."""
    return _response_to(error)


async def refuse_call(request: Request, error: Exception) -> Response:
    """Answer a call to a fal host that ended with an exception."""
    return response_of_host(error, context_of(request).call.host)


async def fail(_: Request, __: Exception) -> Response:
    """Answer a call that failed because of a bug in falmock. The server logs the traceback."""
    return failure()


EXPECTED: Final = (Refusal, HTTPException, ClientDisconnect, OSError, sqlite3.OperationalError)
HANDLERS: Final[Mapping[type[Exception], ExceptionHandler]] = dict.fromkeys(EXPECTED, refuse)
FAL_HANDLERS: Final[Mapping[type[Exception], ExceptionHandler]] = dict.fromkeys(EXPECTED, refuse_call)
