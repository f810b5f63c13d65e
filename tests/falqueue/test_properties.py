"""Rules about money and files that hold for any sequence of answers."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from hypothesis import given
from hypothesis import strategies as st

import falqueue
from falqueue import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = "5f0c2f6e-9d6f-4a55-8a3e-1a2b3c4d5e6f:0123456789abcdef0123456789abcdef"
ENDPOINT = "fal-ai/veo2/image-to-video"
REQUEST = "https://queue.fal.run/fal-ai/veo2/requests/019e"
HANDLE = falqueue.Handle.from_text(f"{REQUEST}#{ENDPOINT}")
RUNNER = {"x-fal-served-from": "4c5d6e7f-8091-4b2c-9d3e-5f6071829304"}

SAFE = {"connect": httpx.ConnectError, "connect timeout": httpx.ConnectTimeout, "429": 429}
UNSAFE: dict[str, Any] = {
    "read": httpx.ReadError,
    "read timeout": httpx.ReadTimeout,
    "write": httpx.WriteError,
    "protocol": httpx.RemoteProtocolError,
    **{str(code): code for code in (200, 202, 400, 401, 403, 404, 408, 409, 422, 499, 500, 502, 503, 504)},
}


MAY_HAVE_MADE_A_JOB = {
    *("read", "read timeout", "write", "protocol"),
    *("200", "202", "408", "499", "500", "502", "503", "504"),
}


class Server:
    """Answers with a list of outcomes, then with the last one for ever. `now` advances with each sleep."""

    def __init__(self, outcomes: list[Any], **settings: Any) -> None:
        self._outcomes = outcomes
        self.sent: list[httpx.Request] = []
        self.now = 0.0
        transport = httpx.MockTransport(self.answer)
        self.client = Client(KEY, transport=transport, sleep=self.sleep, clock=lambda: self.now, **settings)

    def answer(self, request: httpx.Request) -> httpx.Response:
        outcome = self._outcomes[min(len(self.sent), len(self._outcomes) - 1)]
        self.sent.append(request)
        return respond(outcome)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def respond(outcome: Any) -> httpx.Response:
    if isinstance(outcome, type):
        raise outcome("made up")
    if isinstance(outcome, httpx.Response):
        return outcome
    return httpx.Response(outcome, json={"detail": "made up"})


def error_of(call: Callable[[], object]) -> falqueue.FalqueueError | None:
    try:
        call()
    except falqueue.FalqueueError as error:
        return error
    return None


@given(
    names=st.lists(st.sampled_from([*SAFE, *UNSAFE]), min_size=1, max_size=6),
    method=st.sampled_from(["submit", "run"]),
)
def test_a_submit_or_run_is_sent_again_only_if_there_is_certainly_no_job(
    names: list[str], method: str
) -> None:
    server = Server([(SAFE | UNSAFE)[name] for name in names])
    error_of(lambda: getattr(server.client, method)(ENDPOINT, {}))
    attempts = [names[min(number, len(names) - 1)] for number in range(len(server.sent))]
    assert 1 <= len(attempts) <= 4
    assert all(name in SAFE for name in attempts[:-1])


@given(names=st.lists(st.sampled_from([*SAFE, *UNSAFE]), min_size=1, max_size=6))
def test_a_submit_is_refused_or_not_sent_only_if_no_attempt_may_have_made_a_job(names: list[str]) -> None:
    server = Server([(SAFE | UNSAFE)[name] for name in names])
    error = error_of(lambda: server.client.submit(ENDPOINT, {}))
    sent = [names[min(number, len(names) - 1)] for number in range(len(server.sent))]
    no_job = not MAY_HAVE_MADE_A_JOB & set(sent)
    assert isinstance(error, falqueue.Refused | falqueue.NotSent) is no_job


POLLS = st.sampled_from(["queued", "running", "read", "connect", 429, 500, 503, "malformed", "unknown"])


def poll_answer(name: Any) -> httpx.Response:
    if isinstance(name, int):
        return httpx.Response(name)
    if name in {"read", "connect"}:
        return respond({"read": httpx.ReadError, "connect": httpx.ConnectError}[name])
    bodies: dict[str, Any] = {
        "queued": {"status": "IN_QUEUE", "queue_position": 1},
        "running": {"status": "IN_PROGRESS"},
        "malformed": {"status": "IN_QUEUE"},
        "unknown": {"status": "FAILED"},
    }
    return httpx.Response(200, json=bodies[name])


@given(names=st.lists(POLLS, min_size=1, max_size=30), timeout=st.floats(0, 100))
def test_a_wait_ends_by_its_timeout_and_then_with_a_cancel(names: list[Any], timeout: float) -> None:
    polls, cancels = 0, 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal polls, cancels
        if request.method == "PUT":
            cancels += 1
            return httpx.Response(202, json={"status": "CANCELLATION_REQUESTED"})
        polls += 1
        return poll_answer(names[min(polls, len(names)) - 1])

    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    client = Client(KEY, transport=httpx.MockTransport(answer), sleep=sleep, clock=lambda: now[0])
    error = error_of(lambda: client.wait(HANDLE, timeout=timeout))
    assert error
    assert error.handle == HANDLE
    assert cancels == (1 if isinstance(error, falqueue.TookTooLong) else 0)
    assert isinstance(error, falqueue.TookTooLong) is (now[0] >= timeout)
    assert now[0] <= timeout + 1e-6


CONTENT = bytes(range(64))


class Breaking(httpx.SyncByteStream):
    def __init__(self, content: bytes, *, broken: bool) -> None:
        self._content, self._broken = content, broken

    def __iter__(self) -> Iterator[bytes]:
        yield self._content
        if self._broken:
            raise httpx.ReadError("made up")


STEP = st.tuples(
    st.sampled_from(["range", "whole", "bare 206", "wrong range", "416", "503"]),
    st.integers(0, len(CONTENT)),
    st.sampled_from(["breaks", "stops", "completes"]),
)


@given(
    first=st.integers(1, len(CONTENT) - 1),
    steps=st.lists(STEP, max_size=5),
    known=st.booleans(),
    announced=st.booleans(),
)
def test_a_download_is_the_whole_file_or_an_error(
    first: int, steps: list[tuple[str, int, str]], known: bool, announced: bool
) -> None:
    """The server breaks off after `first` bytes, then breaks off, stops early, or misreports ranges."""
    left = iter([("range", first, "breaks"), *steps])

    def answer(request: httpx.Request) -> httpx.Response:
        start = int(request.headers.get("range", "bytes=0-")[6:-1])
        kind, length, ending = next(left, ("range", len(CONTENT), "completes"))
        if kind == "503":
            return httpx.Response(503)
        if kind == "416" or start >= len(CONTENT):
            return httpx.Response(416, headers={"content-range": f"bytes */{len(CONTENT)}"})
        start = 0 if kind == "whole" else start + 1 if kind == "wrong range" else start
        body = CONTENT[start:] if ending == "completes" else CONTENT[start : start + length]
        headers = {}
        if announced or ending == "stops":
            headers["content-length"] = str(len(CONTENT) - start)
        if start and kind != "bare 206":
            headers["content-range"] = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        status = 206 if start or kind == "bare 206" else 200
        return httpx.Response(status, headers=headers, stream=Breaking(body, broken=ending == "breaks"))

    file = falqueue.File(url="https://v3.fal.media/files/a/b.mp4", file_size=len(CONTENT) if known else None)
    client = Client(KEY, transport=httpx.MockTransport(answer), sleep=lambda _: None)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "b.mp4"
        error = error_of(lambda: client.download(file, target))
        assert isinstance(error, falqueue.TransferFailed | None)
        assert (target.read_bytes() if target.exists() else None) == (None if error else CONTENT)
