"""The run host: one call returns the result, without the queue (PROTOCOL.md 5)."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from falmock.http import submission
from falmock.http.context import context_of
from falmock.http.replies import Reply, encoded
from falmock.protocol.hosts import HEADERS, RUN

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from falmock.engine.emulator import Emulator
    from falmock.engine.keys import Keyring


class RunHost:
    """The host `fal.run`."""

    def __init__(self, emulator: Emulator, keyring: Keyring) -> None:
        self._emulator = emulator
        self._keyring = keyring

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call; the runner checks method and path."""
        response = await self._response(Request(scope, receive))
        await response(scope, receive, send)

    async def _response(self, request: Request) -> Response:
        context = context_of(request)
        submitted = await submission.read(context, request, self._emulator, self._keyring)
        run = asyncio.create_task(self._emulator.run_directly(submitted))
        left = asyncio.create_task(_disconnected(request))
        try:
            await asyncio.wait({run, left}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            left.cancel()
            if not run.done():
                run.cancel()
            await asyncio.gather(run, left, return_exceptions=True)
        if run.cancelled():
            return Response(status_code=499)  # the caller has left
        done = run.result()
        context.request_id = done.id
        body = self._emulator.output(done) or b""
        headers = {**json.loads(done.headers), "x-fal-request-id": done.id, **HEADERS[RUN]}
        return Reply(done.status or 500, body, encoded(headers))


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
