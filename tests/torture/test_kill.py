"""SIGKILL under load."""

from __future__ import annotations

import json
import random
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
from processes import PATIENCE, Receiver

if TYPE_CHECKING:
    from collections.abc import Callable

    from processes import Served
    from torture import Scale

CALLERS = 4
ENDPOINT = "/fal-ai/veo2/image-to-video"
INITIATE = "/rest.fal.ai/storage/upload/initiate"


class Load:
    """Submits and uploads from several threads until the server is gone; records accepted calls."""

    def __init__(self, hook: str) -> None:
        self._hook = hook
        self._lock = threading.Condition()
        self.requests: list[str] = []
        self.files: dict[str, bytes] = {}

    def start(self, address: str) -> list[threading.Thread]:
        threads = [threading.Thread(target=self._work, args=(address,)) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        return threads

    def wait_for(self, more: int) -> None:
        """Wait until so many more requests have been accepted."""
        with self._lock:
            goal = len(self.requests) + more
            assert self._lock.wait_for(lambda: len(self.requests) >= goal, PATIENCE)

    def _work(self, address: str) -> None:
        with httpx.Client(base_url=address, headers={"Authorization": "Key me:secret"}) as http:
            try:
                while True:
                    self._submit(http)
                    self._upload(http, random.randbytes(2000))
            except httpx.HTTPError:
                return  # the server was killed: a call without an answer was not accepted

    def _submit(self, http: httpx.Client) -> None:
        body = {"prompt": "x" * random.choice((10, 20_000)), "image_url": "https://example.com/a.png"}
        answer = http.post(ENDPOINT, params={"fal_webhook": self._hook}, json=body)
        assert answer.status_code == 200, answer.text
        with self._lock:
            self.requests.append(answer.json()["request_id"])
            self._lock.notify_all()

    def _upload(self, http: httpx.Client, content: bytes) -> None:
        announced = http.post(INITIATE, json={"file_name": "a.bin", "content_type": "image/png"}).json()
        answer = http.put(announced["upload_url"], content=content)
        assert answer.status_code == 200, answer.text
        with self._lock:
            self.files[announced["file_url"]] = content


def test_no_accepted_request_is_lost_when_the_server_is_killed_repeatedly(
    serve: Callable[..., Any], scale: Scale
) -> None:
    random.seed(1)
    with Receiver() as receiver:
        load = Load(receiver.url)
        port = "0"
        for _ in range(scale.kills):
            with serve("--port", port) as server:
                port = str(server.port)
                threads = load.start(server.address)
                load.wait_for(random.randint(1, 60))
                server.stop(signal.SIGKILL)
                for thread in threads:
                    thread.join(PATIENCE)
        with serve("--port", port) as server:
            failed = [each for each in load.requests if "video" not in server.result(each)]
            lost = [url for url, content in load.files.items() if _content(server, url) != content]
            called = _called(receiver, set(load.requests))

    assert failed == []
    assert lost == []
    assert set(load.requests) - called == set()


def _content(server: Served, url: str) -> bytes:
    return server.http.get(url).content


def _called(receiver: Receiver, wanted: set[str]) -> set[str]:
    """Wait for the webhooks of these requests, and return the ids of all requests that called."""
    called: set[str] = set()
    # More may call: the server can accept a submit and be killed before it answers.
    while not wanted <= called:
        _, body = receiver.arrived.get(timeout=PATIENCE)
        with suppress(ValueError):  # a body that broke off when the server was killed
            called.add(json.loads(body)["request_id"])
    return called
