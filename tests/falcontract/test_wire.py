"""The wire sends the calls of a program as they are, and records all that comes back."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx

from falcontract.steps import cancel, fetch, program, result, status, stream, submit, until
from falcontract.targets import wire
from falcontract.targets.base import KEY_A, Session, authorization_headers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from falcontract.steps import Program
    from falcontract.traces import Trace

HOST = "http://fal.test"
LINKS = {
    "request_id": "id-1",
    "status_url": f"{HOST}/s",
    "response_url": f"{HOST}/r",
    "cancel_url": f"{HOST}/c",
}


class Answers:
    """A target that answers each call by its path, and records the calls."""

    name, abilities = "answers", frozenset[str]()

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.calls: list[httpx.Request] = []
        self.now = 0.0
        self._answer = answer

    async def respond(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request)
        answer = self._answer(request)
        return httpx.Response(
            answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.content)
        )

    async def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @asynccontextmanager
    async def open(self, program: Program) -> AsyncIterator[Session]:
        del program
        yield Session(
            transport=httpx.MockTransport(self.respond),
            hosts={"queue": HOST, "rest": f"{HOST}/rest"},
            keys=authorization_headers(KEY_A),
            now=lambda: self.now,
            wall=lambda: self.now,
            pass_time=self.pass_time,
        )


def queue(request: httpx.Request) -> httpx.Response:
    body = LINKS if request.method == "POST" else {"status": "IN_QUEUE"}
    return httpx.Response(200, json=body)


def run(target: Answers, *steps: object) -> Trace:
    return asyncio.run(wire.run(program("x", *steps), target))  # type: ignore[arg-type]


def test_the_urls_of_the_submit_are_used_verbatim() -> None:
    target = Answers(queue)
    run(target, submit(), status(), result(), cancel(), stream())
    assert [f"{call.method} {call.url}" for call in target.calls[1:]] == [
        f"GET {HOST}/s",
        f"GET {HOST}/r",
        f"PUT {HOST}/c",
        f"GET {HOST}/s/stream",
    ]


def test_credentials_are_sent_but_not_recorded() -> None:
    target = Answers(queue)
    trace = run(target, submit(), status(key="none"))
    assert [call.headers.get("authorization") for call in target.calls] == [f"Key {KEY_A}", None]
    assert all("authorization" not in map(str.lower, e.request_headers) for e in trace.exchanges)


def test_a_submit_sends_its_raw_body_and_content_type() -> None:
    target = Answers(queue)
    run(target, submit(body="{", content_type="text/plain"))
    assert target.calls[0].content == b"{"
    assert target.calls[0].headers["content-type"] == "text/plain"


def test_a_broken_connection_is_recorded_as_an_error() -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("reset", request=request)

    (e,) = run(Answers(broken), submit()).exchanges
    assert (e.status, e.error) == (0, "ReadError: reset")


def test_until_polls_until_its_time_is_over() -> None:
    trace = run(Answers(queue), submit(), until("COMPLETED", seconds=2))
    assert [e.at for e in trace.of("status")] == [0.0, 0.5, 1.0, 1.5, 2.0]


def test_until_ends_at_the_first_error() -> None:
    target = Answers(lambda r: queue(r) if r.method == "POST" else httpx.Response(404, json={}))
    assert len(run(target, submit(), until("COMPLETED", seconds=2)).of("status")) == 1


def test_a_download_without_a_video_goes_to_a_placeholder_without_credentials() -> None:
    target = Answers(queue)
    run(target, submit(), fetch())
    assert str(target.calls[1].url) == f"{HOST}/rest/no-file-was-made"
    assert "authorization" not in target.calls[1].headers


def test_stream_messages_and_comments_are_events() -> None:
    events = b": ping\n\ndata: " + json.dumps({"status": "COMPLETED"}).encode() + b"\n\n"

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return queue(request)
        return httpx.Response(200, content=events, headers={"content-type": "text/event-stream"})

    trace = run(Answers(answer), submit(), stream())
    assert [event.json for event in trace.exchanges[-1].events] == [None, {"status": "COMPLETED"}]
