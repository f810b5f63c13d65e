"""What tests of whole processes share: a served emulator, and a receiver of webhooks."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from email.message import Message

WITHOUT_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # for clients: to load the usual roots takes 20 ms
PATIENCE = 30  # seconds after which a test that waits for an event has failed


class Served:
    """An emulator that is served by a separate process."""

    def __init__(self, *command: str) -> None:
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.log = ""
        try:
            self.address = self.wait_for(r"listening +(http://\S+)")[1]
        except AssertionError:
            self.stop(signal.SIGKILL)
            raise
        self.port = int(self.address.rpartition(":")[2])
        self.http = httpx.Client(
            base_url=self.address,
            headers={"Authorization": "Key me:secret"},
            timeout=PATIENCE,
            verify=WITHOUT_TLS,
        )

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.put(line)
        self.lines.put("")

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Return when a line of standard error matches."""
        while line := self.lines.get(timeout=PATIENCE):
            self.log += line
            if match := re.search(pattern, line):
                return match
        self.lines.put("")  # `stop` reads to the end too
        raise AssertionError(f"{pattern} never came:\n{self.log}")

    def submit(self, query: str = "", **more: Any) -> Any:
        body = {"prompt": "A lego chef", "image_url": "https://example.com/chef.png"} | more
        answer = self.http.post(f"/fal-ai/veo2/image-to-video{query}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def status(self, request_id: str) -> str:
        return str(self.http.get(f"/fal-ai/veo2/requests/{request_id}/status").json()["status"])

    def wait_until_completed(self, request_id: str) -> Any:
        """Return the last event of a request's stream."""
        url = f"/fal-ai/veo2/requests/{request_id}/status/stream"
        with self.http.stream("GET", url) as answer:
            *_, last = [line for line in answer.iter_lines() if line.startswith("data:")]
        return json.loads(last.removeprefix("data: "))

    def result(self, request_id: str) -> Any:
        """Wait for a request to be completed, and return its result."""
        assert self.wait_until_completed(request_id)["status"] == "COMPLETED"
        return self.http.get(f"/fal-ai/veo2/requests/{request_id}").json()

    def peak_memory(self) -> int:
        """End the process and return the most bytes of memory that it has had."""
        self.process.send_signal(signal.SIGTERM)
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.stop()
        return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End the process and return its exit code."""
        if hasattr(self, "http"):
            self.http.close()
        if self.process.returncode is None and self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(PATIENCE) if self.process.returncode is None else self.process.returncode
        self._reader.join(PATIENCE)
        while line := self.lines.get(timeout=PATIENCE):
            self.log += line
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


@contextmanager
def served(*arguments: str, port: int = 0) -> Iterator[Served]:
    """Serve an emulator for the length of a block."""
    command = [sys.executable, "-m", "falmock", "serve", "--port", str(port), "--media", "plain"]
    with running(*command, *arguments) as server:
        yield server


@contextmanager
def running(*command: str) -> Iterator[Served]:
    """Run a command that serves an emulator for the length of a block."""
    server = Served(*command)
    try:
        yield server
    finally:
        if server.process.returncode is None:
            server.stop()


class Receiver:
    """Takes webhooks on this machine, perhaps with TLS: refuses the first few, then says 200."""

    def __init__(self, refuse: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.refuse = refuse
        self.arrived: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.refuse -= 1
                self.send_response(503 if receiver.refuse >= 0 else 200)
                self.end_headers()
                receiver.arrived.put(({key.lower(): value for key, value in self.headers.items()}, body))

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
            self.url = f"https://localhost:{self._server.server_port}/hook"

    def next(self) -> Any:
        """Return the next body that arrives."""
        return json.loads(self.arrived.get(timeout=PATIENCE)[1])

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def web_server(answer: Callable[[str, Message], tuple[int, str, bytes]]) -> Iterator[str]:
    """Serve the status, content type and body that a function returns for a path and its headers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = answer(self.path, self.headers)
            self.send_response(status)
            self.send_header("content-type", kind)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
