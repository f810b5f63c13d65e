"""The run host: one call, one result, no queue to ask (PROTOCOL.md 5)."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from starlette.responses import Response

from falmock.http import access, submission
from falmock.protocol import endpoints
from falmock.protocol.errors import UserLocked

if TYPE_CHECKING:
    from starlette.requests import Request

    from falmock.engine.emulator import Emulator
    from falmock.engine.keys import Keyring


class RunHost:
    """Answers for `fal.run`."""

    def __init__(self, emulator: Emulator, keyring: Keyring) -> None:
        self._emulator = emulator
        self._keyring = keyring

    async def __call__(self, request: Request) -> Response:
        """Answer one call; the runner judges method and path."""
        path = request.scope["path"]
        endpoint = access.existing(self._emulator.catalogue, endpoints.parse(path), path.strip("/"))
        caller = access.caller_of_application(request, self._keyring, endpoint.application)
        if caller.locked:
            raise UserLocked
        asked = await submission.read(
            request,
            endpoint,
            caller,
            max_body=self._emulator.settings.max_body,
            objection=self._emulator.dialler.objection,
        )
        run = asyncio.create_task(self._emulator.run_directly(asked))
        gone = asyncio.create_task(_disconnected(request))
        try:
            await asyncio.wait({run, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not run.done():
                run.cancel()
            await asyncio.gather(run, gone, return_exceptions=True)
        if run.cancelled():
            return Response(status_code=499)  # nobody is there to read it
        done = run.result()
        request.scope["falmock.request_id"] = done.id
        headers = {"x-fal-request-id": done.id, **json.loads(done.headers)}
        return Response(self._emulator.output(done) or b"", done.status or 500, headers, "application/json")


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
