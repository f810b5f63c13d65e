"""The queue host: submit, status, status stream, result, cancel (PROTOCOL.md 4)."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response, StreamingResponse

from falmock.engine.lifecycle import State
from falmock.engine.notifier import first
from falmock.engine.runner import logs, next_log_at
from falmock.faults import effects
from falmock.http import access, submission
from falmock.protocol import endpoints
from falmock.protocol.calls import Operation
from falmock.protocol.errors import (
    MethodNotAllowed,
    Refusal,
    RequestNotFound,
    StillInProgress,
    UserLocked,
    compact,
)
from falmock.protocol.hosts import QUEUE, BaseURL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from falmock.engine.emulator import Emulator
    from falmock.engine.keys import Keyring
    from falmock.engine.rows import Request as Stored
    from falmock.protocol.calls import Call

JSON: Final = "application/json"
HEARTBEAT: Final = 15.0  # seconds between comments on a silent stream

_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TRUE: Final = frozenset({"1", "true"})


class QueueHost:
    """Answers for `queue.fal.run`."""

    def __init__(self, emulator: Emulator, keyring: Keyring) -> None:
        self._emulator = emulator
        self._keyring = keyring
        self._operations = {
            Operation.RESULT: ("GET", self._result),
            Operation.STATUS: ("GET", self._status),
            Operation.STREAM: ("GET", self._stream),
            Operation.CANCEL: ("PUT", self._cancel),
        }

    async def __call__(self, request: Request) -> Response:
        """Answer one call."""
        call: Call = request.scope["falmock.call"]
        if call.request_id is None:
            return await self._submit(request, call.endpoint or "")
        # The id is looked up before credentials and method (PROTOCOL.md 4.3).
        found = self._find(call.endpoint or "", call.request_id)
        method, answer = self._operations[call.operation]
        self._authorize(request, found)
        try:
            if request.method not in {method, "HEAD" if method == "GET" else method}:
                raise MethodNotAllowed(method)
            return answer(request, found)
        except Refusal as refusal:
            refusal.headers["x-fal-request-id"] = found.id
            raise

    async def _submit(self, request: Request, path: str) -> Response:
        endpoint = access.existing(endpoints.parse(path), path)
        caller = access.caller_of_application(request, self._keyring, endpoint.application)
        if caller.locked:
            raise UserLocked
        if request.method != "POST":
            raise MethodNotAllowed("POST")
        asked = await submission.read(
            request,
            endpoint,
            caller,
            max_body=self._emulator.settings.max_body,
            objection=self._emulator.dialler.objection,
        )
        stored, position = self._emulator.submit(asked)
        request.scope["falmock.request_id"] = stored.id
        body: dict[str, Any] = {
            "status": State.IN_QUEUE,
            "request_id": stored.id,
            **_links(request, stored),
            "logs": None,
            "metrics": {},
            "queue_position": position,
        }
        return _reply(200, compact(body), stored)

    def _find(self, endpoint_id: str, request_id: str) -> Stored:
        found = self._emulator.request(request_id) if _ID.fullmatch(request_id) else None
        endpoint = endpoints.parse(endpoint_id)
        if found is None or found.direct or endpoint is None or endpoint.application != found.application:
            raise RequestNotFound
        return found

    def _authorize(self, request: Request, found: Stored) -> None:
        # A locked account may still read (a user's report) and cancel.
        caller = access.caller_of_application(request, self._keyring, found.application)
        if not self._keyring.may_see(caller, found.caller):
            raise RequestNotFound

    def _status(self, request: Request, found: Stored) -> Response:
        status = self._describe(request, found, with_logs=_wants_logs(request))
        if status["logs"]:
            status["logs"] = effects.visible_logs(found.injections, status["logs"])
        return _reply(200 if found.state == State.COMPLETED else 202, compact(status), found)

    def _describe(self, request: Request, found: Stored, *, with_logs: bool) -> dict[str, Any]:
        """Return the status object; the order of its keys is the live service's."""
        lines = logs(found, self._emulator.clock.now()) if with_logs else None
        status: dict[str, Any] = {
            "status": found.state,
            "request_id": found.id,
            **_links(request, found),
            "logs": lines,
            "metrics": _metrics(found),
        }
        if found.state == State.IN_QUEUE:
            status["queue_position"] = self._emulator.position(found)
        if found.error_type is not None:
            status |= {"error": found.error, "error_type": found.error_type}
        return status

    def _stream(self, request: Request, found: Stored) -> Response:
        response = StreamingResponse(self._events(request, found.id), media_type="text/event-stream")
        response.headers["cache-control"] = "no-cache"
        response.headers["x-fal-request-id"] = found.id
        return response

    async def _events(self, request: Request, request_id: str) -> AsyncIterator[bytes]:
        """Yield an event for each change; its logs are only those that came since the last.

        It ends early for a request that is forgotten while somebody watches.
        """
        with_logs = _wants_logs(request)
        clock = self._emulator.clock
        told: dict[str, Any] = {}
        lines_told = 0
        while True:
            self._emulator.advance()
            changed = self._emulator.changed()  # listen before telling: the caller may be slow to read
            found = self._emulator.request(request_id)
            if found is None:  # forgotten while somebody watched
                return
            status = self._describe(request, found, with_logs=with_logs)
            lines = status["logs"] or []
            if status != told:
                told = status
                fresh = {**status, "logs": lines[lines_told:]} if with_logs else status
                yield b"data: " + compact(fresh) + b"\n\n"
                lines_told = len(lines)
            else:
                yield b": ping\n\n"
            if found.state == State.COMPLETED or self._emulator.closing:
                return
            line_at = next_log_at(found, clock.now()) if with_logs else math.inf
            beat_at = clock.now() + HEARTBEAT
            await first(changed.wait(), clock.sleep_until(min(line_at, beat_at)))

    def _result(self, request: Request, found: Stored) -> Response:
        if found.state != State.COMPLETED:
            raise StillInProgress({"request_id": found.id, **_links(request, found)})
        output = self._emulator.output(found)
        if output is None or found.status is None:
            raise RequestNotFound
        return _reply(found.status, output, found, **json.loads(found.headers))

    def _cancel(self, request: Request, found: Stored) -> Response:
        del request
        self._emulator.cancel(found)
        return _reply(202, compact({"status": "CANCELLATION_REQUESTED"}), found)


def _wants_logs(request: Request) -> bool:
    return request.query_params.get("logs", "").lower() in _TRUE


def _links(request: Request, found: Stored) -> dict[str, str]:
    """Return the three URLs, without the endpoint's path and back the way this call came."""
    origin: BaseURL = request.scope["falmock.origin"]
    base = origin.url(QUEUE, f"/{found.application}/requests/{found.id}")
    return {"response_url": base, "status_url": f"{base}/status", "cancel_url": f"{base}/cancel"}


def _metrics(found: Stored) -> dict[str, float]:
    if found.completed_at is None or found.started_at is None:
        return {}
    return {"inference_time": found.completed_at - found.started_at}


def _reply(status: int, body: bytes, found: Stored, **headers: str) -> Response:
    return Response(body, status, {"x-fal-request-id": found.id, **headers}, JSON)
