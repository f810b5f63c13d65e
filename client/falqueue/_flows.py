"""The operations on the queue, as flows: submit, run, status, events, stream, result, cancel, wait.

They do no I/O and use no clock or random numbers but those that they are given.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import httpx

from falqueue._errors import Cancelled, ProtocolError, StillInProgress, SubmitUnconfirmed, TookTooLong
from falqueue._handle import FalqueueError, InvalidHandle
from falqueue._requests import Job, WaitOptions, application, encode, headers_of, known_options, query_of
from falqueue._responses import (
    GATEWAY_ERRORS,
    failure,
    json_object,
    parse_handle,
    parse_status,
    parsed_object,
    refusal,
)
from falqueue._sending import FOREVER, Backoff, Sender, is_transient, require_accepted
from falqueue._sse import EventBuffer
from falqueue._statuses import Cancellation, Completed, LogEntry, Queued, Status, new_entries
from falqueue._steps import Emit, Flow, HttpRequest, ReadChunk, Sleep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from falqueue._credentials import Credentials
    from falqueue._handle import Handle
    from falqueue._hosts import Hosts

T = TypeVar("T")

log = logging.getLogger("falqueue")

POLL_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Flows:
    hosts: Hosts
    credentials: Credentials = field(repr=False)
    sender: Sender
    polls: Backoff

    def submit(self, job: Job[T], options: Mapping[str, Any]) -> Flow[Handle[T]]:
        request = self._post(self.hosts.queue, job, options, params=query_of(options), timeout=120.0)
        response = yield from self.sender.once(request, retry_429="max_queue_length" not in options)
        require_accepted(response)
        try:
            handle = parse_handle(json_object(response), job, queue=self.hosts.queue)
        except ProtocolError as error:
            raise SubmitUnconfirmed(f"there may be a job, but {error}") from error
        log.info("submitted %s", handle)
        return handle

    def run(self, job: Job[T], options: Mapping[str, Any]) -> Flow[T]:
        request = self._post(self.hosts.run, job, options, timeout=options.get("timeout"))
        response = yield from self.sender.once(request, retry_429=True)
        if failed := failure(response):
            raise failed
        require_accepted(response)
        return _parse_output(job.output, response, handle=None)

    def status(self, handle: Handle[Any], *, logs: bool, deadline: float = FOREVER) -> Flow[Status]:
        request = self._get(handle, "/status", logs=logs)
        response = yield from self.sender.repeat(request, handle, deadline=deadline)
        if response.is_error:
            raise refusal(response, handle=handle)
        return parse_status(json_object(response, handle=handle), handle)

    def events(self, handle: Handle[Any], *, logs: bool) -> Flow[None]:
        yield from self._watch(handle, logs=logs, deadline=FOREVER)

    def stream(self, handle: Handle[Any], *, logs: bool) -> Flow[None]:
        """Emit statuses as fal sends them. A broken stream is opened again, which is free."""
        attempt = 0
        shown: list[LogEntry] = []
        while True:
            attempt += 1
            request = self._get(handle, "/status/stream", logs=logs, stream=True)
            response = yield from self.sender.repeat(request, handle)
            if response.is_error:
                raise refusal(response, handle=handle)
            last = yield from self._forward(handle, shown)
            if isinstance(last, Completed):
                return
            attempt = 1 if last else attempt
            if attempt >= self.sender.retries.max_attempts:
                raise ProtocolError("the status stream ends without COMPLETED", handle=handle)
            yield from self.sender.sleep(attempt)

    def result(self, handle: Handle[T]) -> Flow[T]:
        request = self._get(handle, "")
        response = yield from self.sender.repeat(request, handle, retry=_is_result_transient)
        if failed := failure(response, handle=handle):
            raise failed
        if response.status_code == 202:  # a status, not an output
            raise StillInProgress("HTTP 202: there is no result yet", status_code=202, handle=handle)
        if not response.is_success:
            raise refusal(response, handle=handle)
        return _parse_output(handle.output, response, handle=handle)

    def cancel(self, handle: Handle[Any]) -> Flow[Cancellation]:
        request = replace(self._get(handle, "/cancel"), method="PUT")
        response = yield from self.sender.repeat(request, handle)
        body = parsed_object(response) or {}
        try:
            answer = (
                Cancellation.REQUESTED if body.get("success") is True else Cancellation(body.get("status"))
            )
        except ValueError as error:
            raise refusal(response, handle=handle) from error
        if answer is Cancellation.REQUESTED and not response.is_success:
            raise refusal(response, handle=handle)
        log.info("cancel of %s: %s", handle, answer.value)
        return answer

    def wait(self, handle: Handle[T], options: Mapping[str, Any]) -> Flow[T]:
        """Wait for a job and fetch its output. Once the timeout has passed, cancel the job."""
        options = known_options(options, WaitOptions)
        timeout = options.get("timeout")
        deadline = FOREVER if timeout is None else self.sender.clock() + timeout
        try:
            completed = yield from self._watch(handle, logs=options.get("logs", False), deadline=deadline)
        except FalqueueError:
            if self.sender.clock() < deadline:
                raise
            completed = False
        if completed:
            return (yield from self.result(handle))
        return (yield from self._give_up(handle, timeout))

    def subscribe(self, job: Job[T], options: Mapping[str, Any]) -> Flow[T]:
        waiting = {name: options[name] for name in WaitOptions.__optional_keys__ & options.keys()}
        handle = yield from self.submit(job, options)
        return (yield from self.wait(handle, waiting))

    def _watch(self, handle: Handle[Any], *, logs: bool, deadline: float) -> Flow[bool]:
        """Poll and emit statuses; return True once the job is completed, False at the deadline."""
        shown: tuple[LogEntry, ...] = ()
        attempt = 0
        while self.sender.clock() < deadline:
            attempt += 1
            status = yield from self.status(handle, logs=logs, deadline=deadline)
            if isinstance(status, Queued):
                yield Emit(status)
            else:
                yield Emit(replace(status, logs=new_entries(shown, status.logs)))
                shown = status.logs
            if isinstance(status, Completed):
                return True
            left = max(deadline - self.sender.clock(), 0.0)
            yield Sleep(min(left, self.polls.seconds(attempt, self.sender.rng)))
        return False

    def _forward(self, handle: Handle[Any], shown: list[LogEntry]) -> Flow[Status | None]:
        """Emit the statuses of the open stream until it ends, breaks or completes; return the last one.

        A stream that is opened again repeats the log entries in `shown`, which are left out.
        """
        buffer, status = EventBuffer(), None
        try:
            while chunk := (yield ReadChunk()):
                for data in buffer.feed(chunk):
                    status = parse_status(_parse_event(data, handle), handle)
                    if not isinstance(status, Queued):
                        status = replace(status, logs=new_entries(shown, status.logs))
                        shown += status.logs
                    yield Emit(status)
                    if isinstance(status, Completed):
                        return status
        except httpx.TransportError as error:
            log.debug("the status stream broke: %r", error)
        return status

    def _give_up(self, handle: Handle[T], timeout: float | None) -> Flow[T]:
        """Cancel the job and raise; return its output if it had completed before the cancel."""
        late = f"not completed after {timeout} s"
        try:
            answer = yield from self.cancel(handle)
        except FalqueueError as error:
            message = f"{late}; the cancel failed ({error.message}), so the job may still be billed"
            raise TookTooLong(message, handle=handle, cancellation=None) from error
        message = f"{late}; fal answered {answer.value} to the cancel"
        if answer is not Cancellation.ALREADY_COMPLETED:
            raise TookTooLong(message, handle=handle, cancellation=answer)
        try:
            return (yield from self.result(handle))
        except Cancelled as error:  # the answer to an earlier attempt at the cancel was lost
            raise TookTooLong(message, handle=handle, cancellation=answer) from error

    def _post(
        self,
        host: str,
        job: Job[Any],
        options: Mapping[str, Any],
        *,
        params: Mapping[str, str] | None = None,
        timeout: float | None,
    ) -> HttpRequest:
        application(job.endpoint)  # raises if it is not an endpoint id
        return HttpRequest(
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
        logs: bool | None = None,
        stream: bool = False,
    ) -> HttpRequest:
        if not self.hosts.may_receive_key(handle.url):
            raise InvalidHandle("the handle is of another service; the key is not sent there", handle=handle)
        return HttpRequest(
            "GET",
            handle.url + action,
            params=None if logs is None else {"logs": str(int(logs))},
            headers={"accept": "text/event-stream", "accept-encoding": "identity"} if stream else {},
            auth=self.credentials,
            timeout=POLL_SECONDS,
            stream=stream,
        )


def _is_result_transient(response: httpx.Response) -> bool:
    """Whether fetching the result again may help: not if the job failed, whatever its status code."""
    return failure(response) is None and (response.status_code in GATEWAY_ERRORS or is_transient(response))


def _parse_output(output: Callable[[Any], T], response: httpx.Response, *, handle: Handle[Any] | None) -> T:
    body = json_object(response, handle=handle)
    try:
        return output(body)
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"the model's output is malformed: {error!r:.200}", handle=handle) from error


def _parse_event(data: str, handle: Handle[Any]) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("an event of the status stream is not JSON", handle=handle) from error
    if not isinstance(body, dict):
        raise ProtocolError("an event of the status stream is not an object", handle=handle)
    return body
