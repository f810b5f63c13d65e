"""Webhook receivers on this machine: they answer as a program says, and record each delivery."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import h11

from falcontract.steps import Step
from falcontract.traces import Delivery

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from falcontract.targets.base import Session

CHUNK: Final = 65536  # bytes
UNREGISTERED: Final = Step(do="submit")  # answers for a receiver that no submit registered


class Receivers:
    """All receivers of one program, on one port. The program began at `begun`, on the session's clock."""

    def __init__(
        self, session: Session, begun: float, read_status: Callable[[str, Step], Awaitable[str | None]]
    ) -> None:
        self.arrived: list[Delivery] = []
        self.base = ""
        self._session, self._begun, self._read_status = session, begun, read_status
        self._steps: dict[str, Step] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield
        finally:
            server.close()
            await server.wait_closed()

    def url(self, step: Step) -> str:
        """Register the receiver of a submit and return its URL."""
        self._steps[step.webhook] = step
        return f"{self.base}/{step.webhook}{step.webhook_path}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, h11.RemoteProtocolError):
            connection = h11.Connection(h11.SERVER)
            request, body = await _read(connection, reader)
            status = await self._record(request.target.decode().removeprefix("/"), request, body)
            if status:
                writer.write(_answer(connection, status))
                await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def _record(self, target: str, request: h11.Request, body: bytes) -> int:
        name = re.split("[/?]", target)[0]
        step = self._steps.get(name, UNREGISTERED)
        count = sum(delivery.receiver == name for delivery in self.arrived)
        status = step.answers[min(count, len(step.answers) - 1)]
        headers = {key.decode(): value.decode("latin-1") for key, value in request.headers}
        request_id = headers.get("x-fal-webhook-request-id", "")
        delivery = Delivery(
            receiver=name,
            method=request.method.decode(),
            target=f"/{target}",
            at=self._session.now() - self._begun,
            wall=self._session.wall(),
            headers=headers,
            body=body,
            job_status=await self._read_status(request_id, step) if step.check_status else None,
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
            raise ConnectionError("the sender closed the connection")


def _answer(connection: h11.Connection, status: int) -> bytes:
    headers = [("content-length", "0"), ("connection", "close")]
    if 300 <= status < 400:
        headers.append(("location", "/elsewhere"))
    head = connection.send(h11.Response(status_code=status, headers=headers))
    return (head or b"") + (connection.send(h11.EndOfMessage()) or b"")
