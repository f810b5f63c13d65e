"""Sends one POST of a webhook and reads the answer, with limits of time and size."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from typing import TYPE_CHECKING, Final

import httpx

from falmock.engine.delivery import Answer, parsed
from falmock.system.descriptors import with_descriptors
from falmock.system.dialler import AddressRefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ACCEPTED: Final = {"Accept": "*/*", "accept-encoding": "gzip"}  # as recorded (PROTOCOL.md 9.3)
BEGINNING: Final = 4096  # bytes of a receiver's answer that are kept
BODY_TIMEOUT: Final = 0.5  # real seconds to wait for them


async def post(
    http: httpx.AsyncBaseTransport,
    url: str,
    *,
    body: bytes,
    headers: dict[str, str],
    limit: float,
    pause: float = 0.0,
) -> Answer:
    """Post a body and return the answer.

    Args:
        http: a transport, because it follows no redirect and keeps no cookie.
        headers: all headers, `Content-Length` included.
        limit: real seconds until the status and the headers must have arrived.
        pause: real seconds between the first and the second half of the body.
    """

    async def attempt() -> Answer:
        request = httpx.Request(
            "POST",
            parsed(url),
            content=_in_halves(body, pause) if pause else body,
            headers=ACCEPTED | headers,
            extensions={"timeout": httpx.Timeout(limit).as_dict()},
        )
        _authorize(request)
        async with asyncio.timeout(limit):
            response = await http.handle_async_request(request)
        try:
            return Answer(response.status_code, response.headers.raw, await _beginning(response))
        finally:
            await response.aclose()

    try:
        return await with_descriptors(attempt)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        return Answer(error=_reason(error))


def _authorize(request: httpx.Request) -> None:
    """Send the user and the password in the URL as Basic credentials, as HTTP libraries do."""
    url = request.url
    if url.userinfo:
        next(httpx.BasicAuth(url.username, url.password).auth_flow(request))


REASONS: Final[tuple[tuple[type[BaseException], str], ...]] = (  # the first that applies
    (socket.gaierror, "name not found"),
    (UnicodeError, "name not found"),
    (ConnectionRefusedError, "connection refused"),
    (ConnectionResetError, "connection reset"),
    (BrokenPipeError, "connection reset"),
    (httpx.ConnectTimeout, "timed out while connecting"),
    (httpx.TimeoutException, "timed out"),
    (TimeoutError, "timed out"),
    (ssl.SSLError, "no TLS connection"),
    (httpx.RemoteProtocolError, "no HTTP answer"),
    (httpx.ConnectError, "cannot connect"),
    (httpx.NetworkError, "connection lost"),
)
UNREACHABLE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN})


def _reason(error: BaseException) -> str:
    """Return a text why an attempt has no usable answer, from an error and its causes."""
    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None and inner not in chain:
        chain.append(inner)
    for each in chain:
        if isinstance(each, AddressRefusedError):
            return str(each)
        if isinstance(each, ssl.SSLCertVerificationError):
            return f"certificate not trusted ({each.verify_message})"
        if isinstance(each, OSError) and each.errno in UNREACHABLE:
            return "no route to that address"
    for kind, words in REASONS:
        if any(isinstance(each, kind) for each in chain):
            return words
    return str(error) or type(error).__name__


async def _beginning(response: httpx.Response) -> bytes:
    """Return the first bytes of the body. The verdict does not need them."""
    body = b""
    assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - for the type checker
    with contextlib.suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(BODY_TIMEOUT):
            async for chunk in response.stream:
                body += chunk
                if len(body) >= BEGINNING:
                    break
    return body[:BEGINNING]


async def _in_halves(body: bytes, pause: float) -> AsyncIterator[bytes]:
    half = len(body) // 2
    yield body[:half]
    await asyncio.sleep(pause)
    yield body[half:]
