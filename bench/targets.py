"""The servers that are compared, and the calls to each."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.load import OK, OK_OR_ACCEPTED, Call

if TYPE_CHECKING:
    from bench.load import Conversation

HERE: Final = Path(__file__).parent
MODEL: Final = "/fal-ai/any-llm"  # its output is a text, so no ffmpeg runs
INPUT: Final = json.dumps({"prompt": "A lego chef cooking eggs"}).encode()
FALMOCK: Final = "falmock"
BARE: Final = "bare"
AIMOCK: Final = "aimock"

QUIET: Final = ("--log-level", "error")
MANY: Final = ("--runners", "1000", "--concurrency", "1000")
AT_ONCE: Final = ("--queue-seconds", "0", "--run-seconds", "0", *MANY)  # a model that takes no time
RUNNING: Final = ("--queue-seconds", "0", "--run-seconds", "86400", *MANY)  # one that takes a day

_ID: Final = b'"request_id":"'
_PEER: Final = HERE / "node" / "node_modules" / "@copilotkit" / "aimock" / "dist" / "cli.js"


@dataclass(frozen=True)
class Api:
    """The calls of fal's queue at one kind of server.

    Attributes:
        prefix: of all paths.
        headers: of all calls, each with its line end.
    """

    prefix: str = ""
    headers: str = "Authorization: Key bench:secret\r\n"

    def submit(self, webhook: str | None = None) -> Call:
        query = "" if webhook is None else f"?fal_webhook={webhook}"
        return Call(self.post(f"{MODEL}{query}", INPUT), OK)

    def status(self, request_id: str) -> Call:
        return Call(self.get(f"{MODEL}/requests/{request_id}/status"), OK_OR_ACCEPTED)

    def result(self, request_id: str) -> Call:
        return Call(self.get(f"{MODEL}/requests/{request_id}"), OK)

    def get(self, path: str) -> bytes:
        return self._head("GET", path) + b"\r\n"

    def post(self, path: str, body: bytes) -> bytes:
        entity = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return self._head("POST", path) + entity.encode() + body

    def _head(self, method: str, path: str) -> bytes:
        return f"{method} {self.prefix}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{self.headers}".encode()

    def flows(self, count: int | None = None) -> Conversation:
        """Submit, poll until the request is completed, fetch the result; `count` times, or without end."""
        submit = self.submit()
        while count is None or count > 0:
            request_id = request_id_in((yield submit))
            status = self.status(request_id)
            while b'"COMPLETED"' not in (yield status):
                pass
            yield self.result(request_id)
            if count is not None:
                count -= 1

    def polls(self) -> Conversation:
        """Submit one request, and poll its status without end."""
        status = self.status(request_id_in((yield self.submit())))
        while True:
            yield status

    def submits(self, count: int, webhook: str | None = None) -> Conversation:
        """Submit some requests."""
        submit = self.submit(webhook)
        for _ in range(count):
            yield submit


def request_id_in(answer: bytes) -> str:
    start = answer.index(_ID) + len(_ID)
    return answer[start : answer.index(b'"', start)].decode()


@dataclass(frozen=True)
class Target:
    """A kind of server.

    Attributes:
        name: in the table.
        command: starts it, with `{port}` and `{folder}` replaced.
    """

    name: str
    command: tuple[str, ...]
    api: Api = Api()


def falmock(*flags: str, state: str = "{folder}/state") -> Target:
    """Return an emulator with its state on disk."""
    program = str(Path(sys.executable).with_name("falmock"))
    return Target(FALMOCK, (program, "serve", "--port", "{port}", "--state", state, *QUIET, *flags))


def bare() -> Target:
    """Return the bare application."""
    return Target(BARE, (sys.executable, str(HERE / "bare.py"), "{port}"))


def aimock() -> Target | None:
    """Return aimock, if it and node are installed."""
    node = shutil.which("node")
    if node is None or not _PEER.exists():
        return None
    fixtures = str(HERE / "node" / "fixtures.json")
    command = (node, str(_PEER), "--port", "{port}", "--log-level", "silent", "--fixtures", fixtures)
    return Target(AIMOCK, command, Api("/fal", f"x-fal-target-host: queue.fal.run\r\n{Api().headers}"))


def compared(*flags: str) -> list[Target]:
    """Return falmock with some flags, the bare application and, if it is installed, aimock."""
    peer = aimock()
    return [falmock(*flags), bare(), *([peer] if peer else [])]
