"""The queue host: submit, status, status stream, result, cancel (PROTOCOL.md 4)."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import StreamingResponse

from falmock.engine.lifecycle import State
from falmock.engine.notifier import first
from falmock.faults import effects
from falmock.http import access, submission
from falmock.http.context import CONTEXT
from falmock.http.refusals import json_response
from falmock.protocol.calls import Operation
from falmock.protocol.errors import (
    MethodNotAllowed,
    Refusal,
    RequestNotFound,
    StillInProgress,
    Unrouted,
    UserLocked,
    compact,
)
from falmock.protocol.hosts import HEADERS, QUEUE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from falmock.engine.emulator import Emulator
    from falmock.engine.keys import Keyring
    from falmock.engine.rows import Request as Stored
    from falmock.http.context import CallContext
    from falmock.protocol.calls import Call

NO_HEADERS: Final[Mapping[str, str]] = {}
HEARTBEAT: Final = 15.0  # seconds between comments on a silent stream

_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TRUE: Final = frozenset({"1", "true"})


class QueueHost:
    """The host `queue.fal.run`."""

    def __init__(self, emulator: Emulator, keyring: Keyring) -> None:
        self._emulator = emulator
        self._keyring = keyring
        self._operations = {
            Operation.RESULT: ("GET", self._result),
            Operation.STATUS: ("GET", self._status),
            Operation.STREAM: ("GET", self._stream),
            Operation.CANCEL: ("PUT", self._cancel),
        }

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        response = await self(Request(scope, receive))
        await response(scope, receive, send)

    async def __call__(self, request: Request) -> Response:
        context: CallContext = request.scope[CONTEXT]
        call = context.call
        # The router decides by method and path, before credentials and request are looked at (PROTOCOL.md 3).
        if call.endpoint is None:
            raise Unrouted
        if call.operation is Operation.OTHER:
            raise MethodNotAllowed("POST")
        if call.operation is Operation.SUBMIT:
            return await self._submit(request, call)
        method, answer = self._operations[call.operation]
        if request.method not in {method, "HEAD" if method == "GET" else method}:
            raise MethodNotAllowed(method)
        found = self._find(request, call)
        try:
            return answer(request, found)
        except Refusal as refusal:
            if call.repeats_id(refusal.status):
                refusal.headers["x-fal-request-id"] = found.id
            raise

    async def _submit(self, request: Request, call: Call) -> Response:
        if call.parsed is None:
            raise Unrouted
        endpoint = access.existing(self._emulator, call.parsed, call.endpoint or "")
        caller = access.caller_of_application(request, self._keyring, endpoint.application)
        if caller.locked:
            raise UserLocked
        submitted = await submission.read(
            request,
            endpoint,
            caller,
            max_body=self._emulator.settings.max_body,
            objection=self._emulator.dialler.objection,
        )
        stored = self._emulator.submit(submitted)
        request.scope[CONTEXT].request_id = stored.id
        body = compact(self._describe(request, stored, with_logs=False))
        return _reply(200, body, {"x-fal-request-id": stored.id})

    def _find(self, request: Request, call: Call) -> Stored:
        """Return the request that a call is about, if its caller may see it. A locked account may.

        Without credentials, an unknown id is 404; with wrong ones it is 401 (PROTOCOL.md 4.3).
        """
        application = call.parsed.application if call.parsed else ""
        request_id = call.request_id or ""
        found = self._emulator.request(request_id) if _ID.fullmatch(request_id) else None
        if found is not None and (found.direct or found.application != application):
            found = None
        if found is None and not access.has_credentials(request):
            raise RequestNotFound
        caller = access.caller_of_application(request, self._keyring, application)
        if found is None or not self._keyring.may_see(caller, found.caller):
            raise RequestNotFound
        return found

    def _status(self, request: Request, found: Stored) -> Response:
        status = self._describe(request, found, with_logs=_wants_logs(request))
        if status["logs"]:
            status["logs"] = effects.visible_logs(found.injections, status["logs"])
        return _reply(200 if found.state == State.COMPLETED else 202, compact(status))

    def _describe(self, request: Request, found: Stored, *, with_logs: bool) -> dict[str, Any]:
        """Return the status object, with its keys in the order of the live service."""
        lines = self._emulator.logs(found) if with_logs else None
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
        headers = {"cache-control": "no-cache", **HEADERS[QUEUE]}
        return StreamingResponse(self._events(request, found.id), 200, headers, "text/event-stream")

    async def _events(self, request: Request, request_id: str) -> AsyncIterator[bytes]:
        """Yield an event for each change, with the log lines since the previous event.

        The stream ends early if the request is deleted.
        """
        with_logs = _wants_logs(request)
        clock = self._emulator.clock
        sent: dict[str, Any] = {}
        lines_sent = 0
        while True:
            self._emulator.advance()
            changed = self._emulator.changed()  # subscribed before the send, which may take long
            found = self._emulator.request(request_id)
            if found is None:
                return
            status = self._describe(request, found, with_logs=with_logs)
            lines = status["logs"] or []
            if status != sent:
                sent = status
                fresh = {**status, "logs": lines[lines_sent:]} if with_logs else status
                yield b"data: " + compact(fresh) + b"\n\n"
                lines_sent = len(lines)
            else:
                yield b": ping\n\n"
            if found.state == State.COMPLETED or self._emulator.closing:
                return
            next_line_at = self._emulator.next_log_at(found) if with_logs else math.inf
            heartbeat_at = clock.now() + HEARTBEAT
            await first(changed.wait(), clock.sleep_until(min(next_line_at, heartbeat_at)))

    def _result(self, request: Request, found: Stored) -> Response:
        if found.state != State.COMPLETED:
            raise StillInProgress({"request_id": found.id, **_links(request, found)})
        output = self._emulator.output(found)
        if output is None or found.status is None:
            raise RequestNotFound
        return _reply(found.status, output, {**json.loads(found.headers), "x-fal-request-id": found.id})

    def _cancel(self, request: Request, found: Stored) -> Response:
        del request
        self._emulator.cancel(found)
        return _reply(202, compact({"status": "CANCELLATION_REQUESTED"}))


def _wants_logs(request: Request) -> bool:
    return request.query_params.get("logs", "").lower() in _TRUE


def _links(request: Request, found: Stored) -> dict[str, str]:
    """Return the three URLs of a request; the endpoint's path is not in them."""
    context: CallContext = request.scope[CONTEXT]
    base = context.base_url.url(QUEUE, f"/{found.application}/requests/{found.id}")
    return {"response_url": base, "status_url": f"{base}/status", "cancel_url": f"{base}/cancel"}


def _metrics(found: Stored) -> dict[str, float]:
    if found.completed_at is None or found.started_at is None:
        return {}
    return {"inference_time": found.completed_at - found.started_at}


def _reply(status: int, body: bytes, headers: Mapping[str, str] = NO_HEADERS) -> Response:
    return json_response(status, body, {**headers, **HEADERS[QUEUE]})
