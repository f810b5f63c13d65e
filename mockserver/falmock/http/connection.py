"""uvicorn's HTTP/1.1 protocol with limits on size and time."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from falmock.protocol.limits import Limits

BETWEEN: Final = 0  # no request has begun, or the last one is complete
HEAD: Final = 1
BODY: Final = 2
LINE_BYTES: Final = len("  HTTP/1.1\r\n\r\n")  # of a head, besides method, target and header fields
FIELD_BYTES: Final = len(": \r\n")
MOST_PIPELINED: Final = 10_000  # requests on one connection that wait for the answer to an earlier one


class HeadTooLargeError(Exception):
    """The headers have more bytes or more fields than are allowed."""


class BoundedProtocol(HttpToolsProtocol):
    """An HTTP/1.1 connection that is closed when its client sends too much or waits too long.

    A request that arrives in one piece sets no timer, so that a poll costs only a few comparisons.

    Attributes:
        started: the request that has a task, or had the last one. uvicorn's `cycle` is the one that arrived
            last: with pipelining, a later one.
    """

    def __init__(self, *, limits: Limits, **given: Any) -> None:
        super().__init__(**given)
        self.started: RequestResponseCycle | None = None
        self._limits = limits
        self._part = BETWEEN
        self._unfinished = 0  # at most the bytes received since the last complete request
        self._framing = 0  # at most the bytes received since the last piece of a body
        self._too_large = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._pause_timer: asyncio.TimerHandle | None = None  # waits for a request or for more of a body
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request."""
        super().connection_made(transport)
        self._expect(self._limits.idle_seconds, self._close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel all timers, and tell the application."""
        super().connection_lost(exc)
        if self.started is not None and not self.started.response_complete:
            self.started.disconnected = True
            self.started.message_event.set()
        for timer in (self._head_timer, self._pause_timer, self._write_timer):
            if timer is not None:
                timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse bytes, and set the timer for the next ones."""
        if self._pause_timer is not None:
            self._pause_timer.cancel()
            self._pause_timer = None
        self._unfinished += len(data)
        self._framing += len(data)
        super().data_received(data)
        if len(self.pipeline) > MOST_PIPELINED:
            self.transport.abort()
        if self._part == BETWEEN:
            if self._is_idle():  # empty lines before a request are allowed
                self._expect(self._limits.idle_seconds, self._close)
        elif not self.transport.is_closing():
            self._go_on()

    def on_message_begin(self) -> None:
        """Note that a head begins."""
        self._part = HEAD
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note that a body begins.

        Raises:
            HeadTooLargeError: the head is too large; this stops the parser.
        """
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        limits = self._limits
        if len(self.headers) > limits.headers or (
            self._unfinished > limits.header_bytes and self._head_bytes() > limits.header_bytes
        ):
            self._too_large = True
            raise HeadTooLargeError
        self._part = BODY
        self._framing = 0
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header field. A trailer, after the body, is dropped, because the guard did not check it."""
        if self._part == BODY:
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        """Keep a piece of a body. A piece that the application takes alone is not copied."""
        self._framing = 0
        cycle: Any = self.cycle  # its body may be bytes too
        if not cycle.body:
            cycle.body, body = body, b""
        elif isinstance(cycle.body, bytes):
            cycle.body = bytearray(cycle.body)
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Start the next request. uvicorn also goes on reading, even if many requests wait."""
        super().on_response_complete()
        if self.pipeline:
            self.flow.pause_reading()

    def on_message_complete(self) -> None:
        """Note that a request is complete."""
        self._part = BETWEEN
        self._unfinished = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer a request that the parser rejects."""
        if self._too_large:
            self._refuse_head()
        elif self._is_answering():
            self._close()
        else:
            super().send_400_response(msg)

    def pause_writing(self) -> None:
        """Start a timer for a client that stops reading."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self._limits.body_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop that timer."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _is_idle(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn's type leaves out None
        return cycle is None or cycle.response_complete

    def _is_answering(self) -> bool:
        started = self.started
        return started is not None and started.response_started and not started.response_complete

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.started = cycle
        super()._start_asgi_task(cycle, app)

    def _head_bytes(self) -> int:
        fields = sum(len(name) + len(value) + FIELD_BYTES for name, value in self.headers)
        return len(self.parser.get_method()) + len(self.url) + LINE_BYTES + fields

    def _go_on(self) -> None:
        """Wait for the rest of a request."""
        if self._part == BODY and self._framing > self._limits.header_bytes:  # chunk extensions, trailers
            self._refuse_head()
        elif self._part == BODY:
            self._expect(self._limits.body_seconds, self._body_is_late)
        elif self._unfinished > self._limits.header_bytes:
            self._refuse_head()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(
                self._limits.head_seconds, self._refuse, 408, "the headers did not arrive in time"
            )

    def _expect(self, seconds: float, otherwise: Callable[[], None]) -> None:
        self._pause_timer = self.loop.call_later(seconds, otherwise)

    def _body_is_late(self) -> None:
        if self.flow.read_paused or self.cycle.waiting_for_100_continue:  # the client waits for the server
            self._expect(self._limits.body_seconds, self._body_is_late)
        else:
            self._refuse(408, "the body did not arrive in time")

    def _refuse_head(self) -> None:
        limits = self._limits
        self._refuse(
            431, f"the headers have more than {limits.header_bytes} bytes or {limits.headers} fields"
        )

    def _refuse(self, status: int, why: str) -> None:
        """Send a refusal, unless another response is being sent, and close the connection."""
        if not self._is_answering():
            body = json.dumps({"detail": f"{HTTPStatus(status).phrase}: {why}"}).encode()
            head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINE[status] + head % len(body) + body)
        self._close()

    def _close(self) -> None:
        self.transport.close()
