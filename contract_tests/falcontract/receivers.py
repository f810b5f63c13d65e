"""Webhook receivers on this machine: each answers as it was told and keeps what came."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import h11

from falcontract.steps import Step
from falcontract.traces import Delivery

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from falcontract.targets import Session

CHUNK: Final = 65536
UNREGISTERED: Final = Step(do="submit")  # for a receiver that no submit named


class Receivers:
    """All receivers of one program, behind one port.

    Args:
        session: whose clock dates the deliveries.
        begun: when the program began, on that clock.
        peek: reads the status of a job, by its request id.
    """

    def __init__(
        self, session: Session, begun: float, peek: Callable[[str, Step], Awaitable[str | None]]
    ) -> None:
        self.arrived: list[Delivery] = []
        self.base = ""
        self._session, self._begun, self._peek = session, begun, peek
        self._steps: dict[str, Step] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Listen on a free port of the loopback interface."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield
        finally:
            server.close()
            await server.wait_closed()

    def url(self, step: Step) -> str:
        """Return the address of the receiver that a submit names."""
        self._steps[step.webhook] = step
        return f"{self.base}/{step.webhook}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, h11.RemoteProtocolError):
            connection = h11.Connection(h11.SERVER)
            request, body = await _read(connection, reader)
            name = request.target.decode().strip("/")
            status = await self._take(name, request, body)
            if status:
                writer.write(_reply(connection, status))
                await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def _take(self, name: str, request: h11.Request, body: bytes) -> int:
        step = self._steps.get(name, UNREGISTERED)
        count = sum(delivery.receiver == name for delivery in self.arrived)
        status = step.answers[min(count, len(step.answers) - 1)]
        headers = {key.decode(): value.decode("latin-1") for key, value in request.headers}
        delivery = Delivery(
            receiver=name,
            at=self._session.now() - self._begun,
            wall=self._session.wall(),
            headers=headers,
            body=body,
            answered=status,
            status_then=await self._peek(headers.get("x-fal-webhook-request-id", ""), step)
            if step.peek
            else None,
        )
        self.arrived.append(delivery)
        return status


async def _read(connection: h11.Connection, reader: asyncio.StreamReader) -> tuple[h11.Request, bytes]:
    request: Any = None
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(CHUNK))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return request, body
        else:
            raise ConnectionError("the sender went away")


def _reply(connection: h11.Connection, status: int) -> bytes:
    headers = [("content-length", "0"), ("connection", "close")]
    if 300 <= status < 400:
        headers.append(("location", "/elsewhere"))
    said = connection.send(h11.Response(status_code=status, headers=headers))
    return (said or b"") + (connection.send(h11.EndOfMessage()) or b"")
