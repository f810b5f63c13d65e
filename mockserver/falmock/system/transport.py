"""HTTP/1.1 calls of httpx clients, to addresses that a dialler has checked.

httpcore's own implementation takes a millisecond of processor time for a call, and may leave the connection
open if the call is cancelled.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import httpcore
import httptools
import httpx

from falmock.system.dialler import AddressRefusedError

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    from falmock.protocol.addresses import IPAddress
    from falmock.system.dialler import Dialler

log = logging.getLogger("falmock.system.transport")

IDLE: Final = 20  # connections that are kept for later calls
IDLE_SECONDS: Final = 5.0
LONGEST_HEAD: Final = 100 * 1024  # bytes of a status line with headers
PIECE: Final = 64 * 1024  # bytes of one read
SWITCHING_PROTOCOLS: Final = 101
FINAL: Final = 200  # the first status of an answer that is not informational
DELIMITERS: Final = frozenset({b"content-length", b"transfer-encoding"})


class CheckedTransport(httpx.AsyncHTTPTransport):
    """An httpx transport that connects only to addresses checked by a dialler.

    The length of a body must be known.
    """

    def __init__(
        self,
        dialler: Dialler,
        *,
        verify: ssl.SSLContext,
        tcp: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        super().__init__(verify=verify, trust_env=False)
        self._dialler = dialler
        self._tcp = tcp or httpcore.AnyIOBackend()
        self._pool: Any = Pool(self._connect, verify)  # httpx has no parameter for a pool

    async def _connect(self, host: str, port: int, timeout: float | None) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that accepts. Each gets an equal share of the remaining time."""
        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        untried = await self._checked(host, port, timeout)
        while True:
            address, *untried = untried
            share = None if end is None else max(0.0, end - loop.time()) / (1 + len(untried))
            try:
                return await self._tcp.connect_tcp(str(address), port, share)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if not untried:
                    raise

    async def _checked(self, host: str, port: int, timeout: float | None) -> list[IPAddress]:
        try:
            async with asyncio.timeout(timeout):
                return await self._dialler.addresses(host, port)
        except AddressRefusedError as refusal:
            log.warning("not connected: %s", refusal)
            raise httpcore.ConnectError(str(refusal)) from refusal
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"no address for {host} in time") from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"no address for {host} ({error})") from error


class Pool:
    """Makes calls, and keeps idle connections for later ones. httpx uses it instead of httpcore's pool."""

    def __init__(
        self,
        connect: Callable[[str, int, float | None], Awaitable[httpcore.AsyncNetworkStream]],
        tls: ssl.SSLContext,
    ) -> None:
        self._connect = connect
        self._tls = tls
        self._tls.set_alpn_protocols(["http/1.1"])
        self._idle: list[Connection] = []  # in the order in which they became idle

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Make a call, and return when the headers of the answer have arrived.

        Raises:
            httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException: there is no answer.
        """
        if request.url.scheme not in {b"http", b"https"}:
            raise httpcore.UnsupportedProtocol("not an http(s) URL")
        timeouts = request.extensions.get("timeout", {})
        connection = await self._take(request.url.origin)
        if connection is None:
            connection = await self._open(request.url.origin, timeouts.get("connect"))
        try:
            await connection.call(request)
        except BaseException:
            await connection.close()
            raise
        answer = connection.answer
        body = _Body(self, connection, timeouts.get("read"))
        return httpcore.Response(answer.status, headers=answer.headers, content=body)

    async def _take(self, origin: httpcore.Origin) -> Connection | None:
        """Return an idle connection that the other side has not closed."""
        while self._idle and self._idle[0].idle_since < time.monotonic() - IDLE_SECONDS:
            await self._idle.pop(0).close()
        while found := [each for each in self._idle if each.origin == origin]:
            connection = found[-1]
            self._idle.remove(connection)
            if not connection.is_readable:
                return connection
            await connection.close()
        return None

    async def _open(self, origin: httpcore.Origin, timeout: float | None) -> Connection:
        host = origin.host.decode("ascii")
        stream = await self._connect(host, origin.port, timeout)
        if origin.scheme == b"https":
            try:
                stream = await stream.start_tls(self._tls, host, timeout)
            except BaseException:
                await stream.aclose()
                raise
        return Connection(origin, stream)

    async def give_back(self, connection: Connection) -> None:
        """Keep a connection for another call, or close it."""
        if not connection.is_usable:
            await connection.close()
            return
        connection.idle_since = time.monotonic()
        self._idle.append(connection)
        if len(self._idle) > IDLE:
            await self._idle.pop(0).close()

    async def aclose(self) -> None:
        while self._idle:
            await self._idle.pop().close()

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class Connection:
    """A connection, which carries one call after another."""

    def __init__(self, origin: httpcore.Origin, stream: httpcore.AsyncNetworkStream) -> None:
        self.origin = origin
        self.answer = Answer()  # to the last call
        self.idle_since = 0.0  # seconds of the monotonic clock
        self._stream = stream
        self._sent = False

    async def call(self, request: httpcore.Request) -> None:
        """Send a call, and read the answer up to the end of its headers."""
        timeouts = request.extensions.get("timeout", {})
        self._sent = False
        self.answer.expect()
        with suppress(httpcore.WriteError):  # some servers answer and close before they have read all
            await self._send(request, timeouts.get("write"))
            self._sent = True
        while not self.answer.has_begun:
            await self.read(timeouts.get("read"))

    async def _send(self, request: httpcore.Request, timeout: float | None) -> None:
        unsent = _head(request)
        assert isinstance(request.stream, AsyncIterable)  # noqa: S101 - for the type checker
        async for chunk in request.stream:
            await self._stream.write(unsent + chunk, timeout)
            unsent = b""
        await self._stream.write(unsent, timeout)

    async def read(self, timeout: float | None) -> None:
        self.answer.feed(await self._stream.read(PIECE, timeout))

    @property
    def is_usable(self) -> bool:
        return self._sent and self.answer.complete and self.answer.keeps_alive

    @property
    def is_readable(self) -> bool:
        """Whether an idle connection is readable: it is closed, or has bytes that no call asked for."""
        return bool(self._stream.get_extra_info("is_readable"))

    async def close(self) -> None:
        await self._stream.aclose()


def _head(request: httpcore.Request) -> bytes:
    """Return the request line and the headers; refuse a line break in one, or a body of unknown length."""
    lines = [b"%b %b HTTP/1.1" % (request.method, request.url.target)]
    for name, value in request.headers:
        if name.lower() == b"transfer-encoding":
            raise httpcore.LocalProtocolError("a body needs a Content-Length")
        lines.append(b"%b: %b" % (name, value))
    head = b"\r\n".join(lines)
    if not head.count(b"\r") == head.count(b"\n") == len(lines) - 1:
        raise httpcore.LocalProtocolError("a line break in a URL or a header")
    return head + b"\r\n\r\n"


class Answer:
    """The current answer on a connection, while it is read. The parser calls the methods `on_...`."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True)
        self.expect()

    def expect(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.has_begun = False  # the status and the headers are complete
        self.complete = False  # the body is complete too
        self.keeps_alive = False  # the connection can carry another call
        self._ends_with_connection = True
        self._length_of_head = 0
        self._body: list[bytes] = []
        self._error: httpcore.RemoteProtocolError | None = None

    def feed(self, data: bytes) -> None:
        """Parse bytes that were read; no bytes are the end of the connection.

        Raises:
            httpcore.RemoteProtocolError: the answer has not begun, and cannot begin.
        """
        self._length_of_head += len(data)
        try:
            if data:
                self._parser.feed_data(data)
            else:
                self._end()
        except httptools.HttpParserUpgrade:
            self.keeps_alive = False
        except httptools.HttpParserError as error:
            self.keeps_alive = False
            self._error = httpcore.RemoteProtocolError(str(error))
        if not self.has_begun and self._length_of_head > LONGEST_HEAD:
            self._error = httpcore.RemoteProtocolError("the headers are too long")
        if self._error is not None and not self.has_begun:
            raise self._error

    def take(self) -> list[bytes]:
        """Return the parts of the body that were read since the last call.

        Raises:
            httpcore.RemoteProtocolError: there is none, and the rest cannot be read.
        """
        body, self._body = self._body, []
        if self._error is not None and not body and not self.complete:
            raise self._error
        return body

    def _end(self) -> None:
        if not self.has_begun:
            self._error = httpcore.RemoteProtocolError("the connection was closed before an answer")
        elif self._ends_with_connection:
            self.complete = True
        else:
            self._error = httpcore.RemoteProtocolError("the connection was closed within the body")

    def on_message_begin(self) -> None:
        if self.complete:  # more than one answer
            self.keeps_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.has_begun:  # otherwise it is a trailer
            self.headers.append((name, value))
            self._ends_with_connection &= name.lower() not in DELIMITERS

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self.complete or (status < FINAL and status != SWITCHING_PROTOCOLS):
            return
        self.status, self.has_begun = status, True
        self.keeps_alive = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        if not self.complete:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self.has_begun:
            self.complete = True
        else:  # an informational answer
            self.headers.clear()
            self._length_of_head = 0
            self._ends_with_connection = True


class _Body:
    """The body of an answer, read on demand."""

    def __init__(self, pool: Pool, connection: Connection, timeout: float | None) -> None:
        self._pool = pool
        self._connection = connection
        self._timeout = timeout
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        answer = self._connection.answer
        while True:
            for part in answer.take():
                yield part
            if answer.complete:
                return
            await self._connection.read(self._timeout)

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            await self._pool.give_back(self._connection)
