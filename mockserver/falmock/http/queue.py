"""The queue host: submit, status, status stream, result, cancel (PROTOCOL.md 4)."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import StreamingResponse

from falmock.engine.lifecycle import State
from falmock.engine.notifier import first
from falmock.faults import effects
from falmock.http import access, submission
from falmock.http.context import CONTEXT, query_of
from falmock.http.replies import Reply, encoded
from falmock.protocol import errors
from falmock.protocol.calls import REQUEST_ID, Operation
from falmock.protocol.errors import compact
from falmock.protocol.hosts import HEADERS, QUEUE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from falmock.engine.emulator import Emulator
    from falmock.engine.keys import Keyring
    from falmock.engine.rows import Request as Stored
    from falmock.engine.submission import Submission
    from falmock.http.context import CallContext
    from falmock.http.replies import RawHeaders
    from falmock.protocol.hosts import BaseURL

HEARTBEAT: Final = 15.0  # seconds between comments on a silent stream
KNOWN: Final = 512  # requests whose response to a poll is kept

_TRUE: Final = frozenset({"1", "true"})
_HEADERS: Final = encoded(HEADERS[QUEUE])


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
        self._statuses: dict[str, _Status] = {}

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        context: CallContext = scope[CONTEXT]
        if context.call.operation is Operation.SUBMIT and context.call.parsed is not None:
            response = await self._submit(Request(scope, receive), context)
        else:
            response = self.answer(context, scope)
        await response(scope, receive, send)

    def answer(self, context: CallContext, scope: Scope) -> Response:
        """Return the response to a call that need not wait.

        That is any call but a submit, or a submit without a webhook whose body has arrived.
        """
        call = context.call
        # fal's router decides by method and path, before it checks credentials and request (PROTOCOL.md 3).
        if call.endpoint is None:
            raise errors.Unrouted
        if call.operation is Operation.OTHER:
            raise errors.MethodNotAllowed("POST")
        if call.operation is Operation.SUBMIT:
            if call.parsed is None:
                raise errors.Unrouted
            return self._accept(context, submission.parse(context, scope, self._emulator, self._keyring))
        method, answer = self._operations[call.operation]
        if scope["method"] not in {method, "HEAD" if method == "GET" else method}:
            raise errors.MethodNotAllowed(method)
        found = self._find(context, scope)
        try:
            return answer(context, scope, found)
        except errors.Refusal as refusal:
            if call.repeats_id(refusal.status):
                refusal.headers["x-fal-request-id"] = found.id
            raise

    async def _submit(self, request: Request, context: CallContext) -> Response:
        submitted = await submission.read(context, request, self._emulator, self._keyring)
        return self._accept(context, submitted)

    def _accept(self, context: CallContext, submitted: Submission) -> Response:
        stored = self._emulator.submit(submitted)
        context.request_id = stored.id
        body = compact(self._describe(context, stored, lines=None))
        return _reply(200, body, [(b"x-fal-request-id", stored.id.encode())])

    def _find(self, context: CallContext, scope: Scope) -> Stored:
        """Return the request that a call is about, if its caller may see it. A locked account may.

        Without credentials, an unknown id is 404; with wrong ones it is 401 (PROTOCOL.md 4.3).
        """
        call = context.call
        application = call.parsed.application if call.parsed else ""
        request_id = call.request_id or ""
        found = self._emulator.request(request_id) if REQUEST_ID.fullmatch(request_id) else None
        if found is not None and (found.direct or found.application != application):
            found = None
        if found is None and not access.has_credentials(context, scope):
            raise errors.RequestNotFound
        caller = access.caller_of_application(context, scope, self._keyring, application)
        if found is None or not self._keyring.may_see(caller, found.caller):
            raise errors.RequestNotFound
        return found

    def _status(self, context: CallContext, scope: Scope, found: Stored) -> Response:
        code = 200 if found.state == State.COMPLETED else 202
        if _wants_logs(scope):
            status = self._describe(context, found, lines=self._emulator.logs(found))
            if status["logs"]:
                status["logs"] = effects.visible_logs(found.injections, status["logs"])
            return _reply(code, compact(status))
        position = self._emulator.position(found) if found.state == State.IN_QUEUE else 0
        known = self._statuses.get(found.id)
        if known is not None and known.shows(found, context.base_url, position):
            return known.reply
        reply = _reply(code, compact(self._describe(context, found, lines=None)))
        if len(self._statuses) >= KNOWN:
            self._statuses.clear()
        self._statuses[found.id] = _Status(found, context.base_url, position, reply)
        return reply

    def _describe(
        self, context: CallContext, found: Stored, *, lines: list[dict[str, Any]] | None
    ) -> dict[str, Any]:
        """Return the status object, with its keys in the order of the live service."""
        status: dict[str, Any] = {
            "status": found.state,
            "request_id": found.id,
            **_links(context, found),
            "logs": lines,
            "metrics": _metrics(found),
        }
        if found.state == State.IN_QUEUE:
            status["queue_position"] = self._emulator.position(found)
        if found.error_type is not None:
            status |= {"error": found.error, "error_type": found.error_type}
        return status

    def _stream(self, context: CallContext, scope: Scope, found: Stored) -> Response:
        headers = {"cache-control": "no-cache", **HEADERS[QUEUE]}
        events = self._events(context, found.id, with_logs=_wants_logs(scope))
        return StreamingResponse(events, 200, headers, "text/event-stream")

    async def _events(
        self, context: CallContext, request_id: str, *, with_logs: bool
    ) -> AsyncIterator[bytes]:
        """Yield an event for each change, with the log lines since the previous event.

        The stream ends early if the request is deleted.
        """
        clock = self._emulator.clock
        sent: dict[str, Any] = {}
        lines_sent = 0
        heartbeat_at = 0.0
        while True:
            found = self._emulator.request(request_id)
            if found is None:
                return
            changed = self._emulator.changed(found)  # subscribed before the send, which may take long
            logs = self._emulator.logs(found) if with_logs else None
            status = self._describe(context, found, lines=logs)
            lines = status["logs"] or []
            if status != sent:
                sent = status
                fresh = {**status, "logs": lines[lines_sent:]} if with_logs else status
                yield b"data: " + compact(fresh) + b"\n\n"
                lines_sent = len(lines)
                heartbeat_at = clock.now() + HEARTBEAT
            elif clock.now() >= heartbeat_at:
                yield b": ping\n\n"
                heartbeat_at = clock.now() + HEARTBEAT
            heartbeat_at = min(heartbeat_at, clock.now() + HEARTBEAT)  # the clock may have been set back
            if found.state == State.COMPLETED or self._emulator.closing:
                return
            next_line_at = self._emulator.next_log_at(found) if with_logs else math.inf
            next_at = min(next_line_at, self._emulator.next_position_at(found), heartbeat_at)
            await first(changed.wait(), clock.sleep_until(next_at))

    def _result(self, context: CallContext, scope: Scope, found: Stored) -> Response:
        del scope
        if found.state != State.COMPLETED:
            raise errors.StillInProgress({"request_id": found.id, **_links(context, found)})
        output = self._emulator.output(found)
        if output is None or found.status is None:
            raise errors.RequestNotFound
        headers = encoded({**json.loads(found.headers), "x-fal-request-id": found.id})
        return _reply(found.status, output, headers)

    def _cancel(self, context: CallContext, scope: Scope, found: Stored) -> Response:
        del context, scope
        self._emulator.cancel(found)
        return _reply(202, compact({"status": "CANCELLATION_REQUESTED"}))


@dataclass(frozen=True, slots=True)
class _Status:
    """The response to a poll, which stays the same until the request changes."""

    found: Stored
    base_url: BaseURL
    position: int
    reply: Response

    def shows(self, found: Stored, base_url: BaseURL, position: int) -> bool:
        return self.found is found and self.position == position and self.base_url == base_url


def _wants_logs(scope: Scope) -> bool:
    return bool(scope["query_string"]) and query_of(scope).get("logs", "").lower() in _TRUE


def _links(context: CallContext, found: Stored) -> dict[str, str]:
    """Return the three URLs of a request; the endpoint's path is not in them."""
    base = context.base_url.url(QUEUE, f"/{found.application}/requests/{found.id}")
    return {"response_url": base, "status_url": f"{base}/status", "cancel_url": f"{base}/cancel"}


def _metrics(found: Stored) -> dict[str, float]:
    if found.completed_at is None or found.started_at is None:
        return {}
    return {"inference_time": found.completed_at - found.started_at}


def _reply(status: int, body: bytes, headers: RawHeaders = ()) -> Response:
    return Reply(status, body, [*headers, *_HEADERS])
