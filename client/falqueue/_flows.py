"""What the clients do, written once: submit, look, wait, fetch, cancel.

No I/O, no clock and no luck of its own: all three are handed in.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import httpx

from falqueue._errors import (
    FalqueueError,
    InvalidHandle,
    ProtocolError,
    SubmitUnconfirmed,
    TookTooLong,
    Unreachable,
)
from falqueue._handle import Handle, application, handle_from
from falqueue._replies import GATEWAY_TROUBLE, json_object, refusal, verdict, worth_asking_again
from falqueue._requests import Job, encode, headers_of, query_of
from falqueue._sending import Sending, confirm
from falqueue._sse import EventBuffer
from falqueue._statuses import Cancellation, Completed, LogEntry, Queued, Status, parse_status, unseen
from falqueue._steps import Ask, Emit, Flow, Pause, Read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from falqueue._credentials import Credentials
    from falqueue._hosts import Hosts
    from falqueue._timing import Backoff

T = TypeVar("T")

log = logging.getLogger("falqueue")

POLL_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Flows:
    """The flows, with all that they need from outside."""

    hosts: Hosts
    credentials: Credentials = field(repr=False)
    send: Sending
    clock: Callable[[], float]
    polls: Backoff

    def submit(self, job: Job[T], options: Mapping[str, Any]) -> Flow[Handle[T]]:
        """Put `job` into the queue."""
        ask = self._post(self.hosts.queue, job, options, params=query_of(options), timeout=120.0)
        reply = yield from self.send.once(ask, give_up_on_429="max_queue_length" in options)
        confirm(reply)
        try:
            handle = handle_from(
                json_object(reply), endpoint=job.endpoint, queue=self.hosts.queue, output=job.output
            )
        except ProtocolError as error:
            raise SubmitUnconfirmed(f"a job may have been made, but {error}") from error
        log.info("submitted %s", handle)
        return handle

    def run(self, job: Job[T], options: Mapping[str, Any]) -> Flow[T]:
        """Run `job` on the synchronous host."""
        ask = self._post(self.hosts.run, job, options, params=None, timeout=options.get("timeout"))
        reply = yield from self.send.once(ask, give_up_on_429=False)
        if failure := verdict(reply):
            raise failure
        confirm(reply)
        return _read_output(job.output, reply, handle=None)

    def status(self, handle: Handle[Any], *, logs: bool, timeout: float = POLL_SECONDS) -> Flow[Status]:
        """Ask once how far it is."""
        reply = yield from self.send.repeat(self._get(handle, "/status", logs=logs, timeout=timeout), handle)
        if reply.is_error:
            raise refusal(reply, handle=handle)
        return parse_status(json_object(reply, handle=handle), handle)

    def events(self, handle: Handle[Any], *, logs: bool) -> Flow[None]:
        """Poll until it is over; emit each status, with only the log lines that are new."""
        yield from self._watch(handle, logs=logs, deadline=float("inf"))

    def stream(self, handle: Handle[Any], *, logs: bool) -> Flow[None]:
        """Emit statuses as fal sends them; a broken stream is opened again, which costs nothing."""
        attempt = 0
        while True:
            attempt += 1
            reply = yield from self.send.repeat(
                self._get(handle, "/status/stream", logs=logs, stream=True), handle
            )
            if reply.is_error:
                raise refusal(reply, handle=handle)
            seen = yield from self._forward(handle)
            if isinstance(seen, Completed):
                return
            attempt = 1 if seen else attempt
            if attempt >= self.send.retries.attempts:
                raise ProtocolError("the status stream ends without a COMPLETED", handle=handle)
            yield self.send.pause(attempt)

    def result(self, handle: Handle[T]) -> Flow[T]:
        """Fetch the output of a job that is over."""
        ask = self._get(handle, "", logs=None)
        reply = yield from self.send.repeat(ask, handle, again=_result_worth_asking_again)
        if failure := verdict(reply, handle=handle):
            raise failure
        if not reply.is_success:
            raise refusal(reply, handle=handle)
        return _read_output(handle.output, reply, handle=handle)

    def cancel(self, handle: Handle[Any]) -> Flow[Cancellation]:
        """Ask fal to stop it."""
        ask = replace(self._get(handle, "/cancel", logs=None), method="PUT")
        reply = yield from self.send.repeat(ask, handle)
        try:
            body = reply.json()
            answer = (
                Cancellation.REQUESTED if body.get("success") is True else Cancellation(body.get("status"))
            )
        except (ValueError, AttributeError) as error:
            raise refusal(reply, handle=handle) from error
        log.info("cancel of %s: %s", handle, answer.value)
        return answer

    def wait(self, handle: Handle[T], options: Mapping[str, Any]) -> Flow[T]:
        """Wait for a job, then fetch. When the timeout passes, cancel and hand over the handle."""
        timeout = options.get("timeout")
        deadline = float("inf") if timeout is None else self.clock() + timeout
        try:
            over = yield from self._watch(handle, logs=options.get("logs", False), deadline=deadline)
        except Unreachable:
            if self.clock() < deadline:
                raise
            over = False
        if not over:
            yield from self._give_up(handle, timeout)
        return (yield from self.result(handle))

    def subscribe(self, job: Job[T], options: Mapping[str, Any]) -> Flow[T]:
        """Submit, wait, fetch."""
        handle = yield from self.submit(job, options)
        return (yield from self.wait(handle, options))

    def _watch(self, handle: Handle[Any], *, logs: bool, deadline: float) -> Flow[bool]:
        """Poll and emit until it is over (True) or the deadline has passed (False)."""
        shown: tuple[LogEntry, ...] = ()
        attempt = 0
        while (left := deadline - self.clock()) > 0:
            attempt += 1
            status = yield from self.status(handle, logs=logs, timeout=min(left, POLL_SECONDS))
            if isinstance(status, Queued):
                yield Emit(status)
            else:
                yield Emit(replace(status, logs=unseen(shown, status.logs)))
                shown = status.logs
            if isinstance(status, Completed):
                return True
            left = max(deadline - self.clock(), 0.0)
            yield Pause(min(left, self.polls.seconds(attempt, self.send.luck())))
        return False

    def _forward(self, handle: Handle[Any]) -> Flow[Status | None]:
        """Emit what the open stream brings, until it ends, breaks or says COMPLETED; return the last."""
        buffer, status = EventBuffer(), None
        try:
            while piece := (yield Read()):
                for data in buffer.feed(piece):
                    status = parse_status(_event(data, handle), handle)
                    yield Emit(status)
                    if isinstance(status, Completed):
                        return status
        except httpx.TransportError as error:
            log.debug("the status stream broke: %r", error)
        return status

    def _give_up(self, handle: Handle[Any], timeout: float | None) -> Flow[None]:
        """Cancel remotely and raise; return only if the job had finished after all."""
        try:
            answer = yield from self.cancel(handle)
        except FalqueueError as error:
            raise TookTooLong(
                f"not done after {timeout} s; the cancel failed ({error.message}), so it may still be billed",
                handle=handle,
                cancellation=None,
            ) from error
        if answer is not Cancellation.ALREADY_COMPLETED:
            raise TookTooLong(
                f"not done after {timeout} s; fal answered {answer.value} to the cancel",
                handle=handle,
                cancellation=answer,
            )

    def _post(
        self,
        host: str,
        job: Job[Any],
        options: Mapping[str, Any],
        *,
        params: Mapping[str, str] | None,
        timeout: float | None,
    ) -> Ask:
        application(job.endpoint)  # refuses what is no endpoint id
        return Ask(
            "POST",
            f"{host}/{job.endpoint}",
            params=params,
            headers={"content-type": "application/json"} | headers_of(options),
            content=encode(job.arguments),
            auth=self.credentials,
            timeout=timeout,
        )

    def _get(
        self,
        handle: Handle[Any],
        action: str,
        *,
        logs: bool | None,
        stream: bool = False,
        timeout: float = POLL_SECONDS,
    ) -> Ask:
        if not self.hosts.same_origin(handle.url):
            raise InvalidHandle("the handle is of another service; the key is not sent there", handle=handle)
        return Ask(
            "GET",
            handle.url + action,
            params=None if logs is None else {"logs": str(int(logs))},
            headers={"accept": "text/event-stream", "accept-encoding": "identity"} if stream else {},
            auth=self.credentials,
            timeout=timeout,
            stream=stream,
        )


def _result_worth_asking_again(reply: httpx.Response) -> bool:
    """A stored failure stays what it is; only the gateway's own trouble passes."""
    return verdict(reply) is None and (reply.status_code in GATEWAY_TROUBLE or worth_asking_again(reply))


def _read_output(output: Callable[[Any], T], reply: httpx.Response, *, handle: Handle[Any] | None) -> T:
    body = json_object(reply, handle=handle)
    try:
        return output(body)
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"the model's answer is malformed: {error!r:.200}", handle=handle) from error


def _event(data: str, handle: Handle[Any]) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except ValueError as error:
        raise ProtocolError("an event of the status stream is not JSON", handle=handle) from error
    if not isinstance(body, dict):
        raise ProtocolError("an event of the status stream is not an object", handle=handle)
    return body
