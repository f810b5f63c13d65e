"""Fixtures: both clients with one interface, a clock that only sleeps advance, and canned answers of fal."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import respx
from PIL import Image

import falqueue

KEY = "5f0c2f6e-9d6f-4a55-8a3e-1a2b3c4d5e6f:0123456789abcdef0123456789abcdef"
REQUEST_ID = "019e7b6a-5c1d-7f3e-9a2b-4c5d6e7f8091"
APPLICATION = "https://queue.fal.run/fal-ai/veo2"
ENDPOINT = "fal-ai/veo2/image-to-video"


@dataclass
class Time:
    """A clock that only sleeps advance. `slept` lists them, in seconds."""

    now: float = 1_000_000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)


class Awaited:
    """An AsyncClient with the interface of Client: it awaits each call on an event loop."""

    def __init__(self, client: falqueue.AsyncClient, runner: asyncio.Runner) -> None:
        self._client, self._runner = client, runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        if name in {"events", "stream"}:
            return lambda *args, **options: iter(self._runner.run(_listed(method(*args, **options))))
        return lambda *args, **options: self._runner.run(method(*args, **options))


async def _listed(statuses: Any) -> list[falqueue.Status]:
    return [status async for status in statuses]


class Pieces(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that arrives in pieces; the last one may be an exception."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


@pytest.fixture
def streamed() -> Callable[..., httpx.Response]:
    """Return a response whose body arrives in the given pieces."""

    def make(*pieces: bytes | Exception, status: int = 200, **extra: Any) -> httpx.Response:
        return httpx.Response(status, stream=Pieces(*pieces), **extra)

    return make


@pytest.fixture
def key() -> str:
    return KEY


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def slept(time: Time) -> list[float]:
    return time.slept


@pytest.fixture
def fal() -> respx.Router:
    """The answers of fal. A request without one fails the test."""
    return respx.Router(assert_all_called=False)


def chosen(given: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Return `given` overridden by `settings`, without the values that are DEFAULT."""
    return {name: value for name, value in (given | settings).items() if value is not DEFAULT}


DEFAULT = object()
ClientFactory = Callable[..., falqueue.Client]


@pytest.fixture(params=["Client", "AsyncClient"])
def make_client(request: pytest.FixtureRequest, fal: respx.Router, time: Time) -> Iterator[ClientFactory]:
    """Make a client with options of your own. Tests run with `Client` and with `AsyncClient`."""
    closing: list[Callable[[], object]] = []

    def make(key: str = KEY, **settings: Any) -> falqueue.Client:
        given: dict[str, Any] = {"clock": time, "wall_clock": time, "rng": lambda: 0.5}
        if request.param == "Client":
            given |= {"transport": httpx.MockTransport(fal.handler), "sleep": time.sleep}
            client = falqueue.Client(key, **chosen(given, settings))
            closing.append(client.close)
            return client
        given |= {"transport": httpx.MockTransport(fal.async_handler), "sleep": time.asleep}
        runner = asyncio.Runner()
        awaited = Awaited(falqueue.AsyncClient(key, **chosen(given, settings)), runner)
        closing.extend([runner.close, awaited.close])
        return cast("falqueue.Client", awaited)

    yield make
    for close in reversed(closing):
        close()


@pytest.fixture
def client(make_client: ClientFactory) -> falqueue.Client:
    return make_client()


@pytest.fixture
def handle() -> falqueue.Handle[dict[str, Any]]:
    return falqueue.Handle.from_text(f"{APPLICATION}/requests/{REQUEST_ID}#{ENDPOINT}")


@pytest.fixture
def submitted() -> dict[str, Any]:
    """The body of fal's answer to a submit."""
    url = f"{APPLICATION}/requests/{REQUEST_ID}"
    return {
        "status": "IN_QUEUE",
        "request_id": REQUEST_ID,
        "response_url": url,
        "status_url": f"{url}/status",
        "cancel_url": f"{url}/cancel",
        "logs": None,
        "metrics": {},
        "queue_position": 0,
    }


@pytest.fixture
def queued(submitted: dict[str, Any]) -> httpx.Response:
    return httpx.Response(202, json=submitted | {"queue_position": 3})


@pytest.fixture
def in_progress(submitted: dict[str, Any]) -> httpx.Response:
    body = submitted | {"status": "IN_PROGRESS"}
    del body["queue_position"]
    return httpx.Response(202, json=body)


@pytest.fixture
def completed(submitted: dict[str, Any]) -> httpx.Response:
    body = submitted | {"status": "COMPLETED", "metrics": {"inference_time": 61.5}}
    del body["queue_position"]
    return httpx.Response(200, json=body)


@pytest.fixture
def video() -> dict[str, Any]:
    return {
        "video": {
            "url": "https://v3.fal.media/files/zebra/uNu_output.mp4",
            "content_type": "video/mp4",
            "file_name": "output.mp4",
            "file_size": 1234,
        }
    }


@pytest.fixture
def png(tmp_path: Path) -> Path:
    path = tmp_path / "frame.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    return path


@pytest.fixture
def sent(fal: respx.Router) -> Callable[[int], Any]:
    """Return the JSON body of a request, by its index."""
    return lambda number: json.loads(fal.calls[number].request.content)


@contextmanager
def serving(*options: str) -> Iterator[str]:
    """Run `falmock serve` in a process; yield its base URL."""
    command = [
        str(Path(sys.executable).with_name("falmock")),
        "serve",
        "--port",
        "0",
        "--ephemeral",
        "--seed",
        "1",
    ]
    quiet = ["--media", "plain", "--log-level", "error"]
    with subprocess.Popen([*command, *quiet, *options], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        try:
            lines = iter(process.stderr.readline, "")
            found = (re.search(r"listening +(\S+)", line) for line in lines)
            yield next(match[1] for match in found if match)
        finally:
            process.terminate()
            process.communicate()


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    """An emulator whose jobs take 40 ms."""
    with serving("--queue-seconds", "0.02", "--run-seconds", "0.02") as address:
        yield address


@pytest.fixture(scope="session")
def slow_emulator() -> Iterator[str]:
    """An emulator whose jobs run for hours, unless they are cancelled."""
    with serving(
        *("--queue-seconds", "0", "--run-seconds", "10000", "--runners", "99", "--concurrency", "99"),
        *("--cancel", "honoured"),
    ) as address:
        yield address


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "chef.png"
    Image.new("RGB", (64, 36), (200, 120, 40)).save(path)
    return path


FAST_POLLS = falqueue.Backoff(initial=0.01, factor=1.2, maximum=0.1)


@pytest.fixture
def connect(make_client: ClientFactory) -> ClientFactory:
    """Make a client that talks to an emulator over a socket, with real time and short polls."""

    def make(base_url: str, **settings: Any) -> falqueue.Client:
        own = dict.fromkeys(("transport", "sleep", "clock", "wall_clock"), DEFAULT)
        return make_client(base_url=base_url, polls=FAST_POLLS, **own | settings)

    return make
