"""More than 200 varied calls and their answers; `python tests/support/answers.py` records them anew.

`tests/test_answers.py` compares the answers byte for byte with `fixtures/answers.jsonl`. A change of
structure leaves that file alone; a change of behaviour records it anew, and its diff shows what changed.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
from emulated import BASE, ENDPOINT, data_uri, png

from falmock.app import create_app, open_emulator
from falmock.engine.clock import ManualClock
from falmock.settings import Settings, Span

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from falmock.engine.emulator import Emulator

FILE: Final = Path(__file__).parents[2] / "fixtures" / "answers.jsonl"
START: Final = 1_790_000_000.0
KEY: Final = {"authorization": "Key me:secret"}
GOOD: Final = {"prompt": "A lego chef cooking eggs", "image_url": data_uri(png(1280, 720))}
UNKNOWN: Final = "019a0000-0000-7000-8000-000000000000"
JSON: Final = {"content-type": "application/json"}

# Upload addresses and tokens are sealed with random bytes, so they differ on each run.
SECRETS: Final = re.compile(rb"[A-Za-z0-9_-]{60,}(?:\.[A-Za-z0-9_-]+)*|eyJ[\w.-]+")


def _steady(name: bytes, value: bytes) -> str:
    """Return a header's value without the parts that differ on each run."""
    if name == b"allow":
        return ", ".join(sorted(value.decode().split(", ")))
    if name in {b"etag", b"last-modified"}:
        return "..."
    return SECRETS.sub(b"SEALED", value).decode("latin-1")


class FixedRenderer:
    """Renders the same bytes for every clip, so that no answer depends on the version of ffmpeg."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clip.mp4"
        self._file.write_bytes(b"a video of a known size" * 100)

    async def render(self, clip: object) -> Path:
        del clip
        return self._file


class Recorder:
    """Makes calls and keeps them with their answers."""

    def __init__(self, http: httpx.AsyncClient, emulator: Emulator) -> None:
        self._http = http
        self._emulator = emulator
        self.lines: list[dict[str, Any]] = []

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        """Call with the key `me:secret`, or with the headers given; an empty header is left out."""
        sent = {name.replace("_", "-"): value for name, value in {**KEY, **headers}.items() if value}
        if isinstance(body, dict | list):
            sent = {**JSON, **sent}
            body = json.dumps(body).encode()
        answer = await self._http.request(method, path, content=body, headers=sent)  # type: ignore[arg-type]
        self.lines.append(
            {
                "call": f"{method} {SECRETS.sub(b'SEALED', path.encode()).decode()}",
                "status": answer.status_code,
                "headers": [f"{name.decode()}: {_steady(name, value)}" for name, value in answer.headers.raw],
                "body": SECRETS.sub(b"SEALED", answer.content).decode("latin-1"),
            }
        )
        return answer

    async def submit(self, body: object = GOOD, query: str = "", **headers: str) -> dict[str, Any]:
        answer = await self.call("POST", f"/{ENDPOINT}{query}", body, **headers)
        return answer.json() if answer.status_code == 200 else {}

    async def pass_time(self, seconds: float) -> None:
        await self._emulator.timeline.pass_time(seconds)


async def record() -> list[dict[str, Any]]:
    """Make all calls and return them with their answers."""
    lines = []
    for part in (_life, _bodies, _headers, _addresses, _access, _faults, _uploads, _run, _other_hosts):
        async with _recorder() as recorder:
            await part(recorder)
            lines += recorder.lines
    return lines


@asynccontextmanager
async def _recorder() -> AsyncIterator[Recorder]:
    settings = Settings(
        seed=1,
        queue_seconds=Span(1, 1),
        run_seconds=Span(4, 4),
        locked=("locked",),
        keys=("me:secret", "you:secret", "locked:secret"),
    )
    with tempfile.TemporaryDirectory() as folder:
        renderer: Any = FixedRenderer(Path(folder))
        async with (
            open_emulator(settings, ManualClock(START), renderer) as emulator,
            httpx.AsyncClient(transport=httpx.ASGITransport(create_app(emulator)), base_url=BASE) as http,
        ):
            http.headers.clear()
            yield Recorder(http, emulator)


async def _look(recorder: Recorder, submitted: dict[str, Any]) -> None:
    for url in (
        submitted["status_url"],
        submitted["status_url"] + "?logs=1",
        submitted["status_url"] + "?logs=0",
        submitted["response_url"],
        submitted["response_url"] + "/response",
    ):
        await recorder.call("GET", url)


async def _life(recorder: Recorder) -> None:
    first, second, third = [await recorder.submit() for _ in range(3)]
    for submitted in (first, third):
        await _look(recorder, submitted)
    await recorder.call("PUT", third["cancel_url"])
    await recorder.pass_time(2)
    await _look(recorder, first)
    await recorder.call("PUT", second["cancel_url"])
    await recorder.pass_time(2)
    await _look(recorder, first)
    await recorder.pass_time(10)
    for submitted in (first, second, third):
        await _look(recorder, submitted)
        await recorder.call("PUT", submitted["cancel_url"])
        await recorder.call("GET", submitted["status_url"] + "/stream?logs=1")
    await recorder.call("DELETE", f"/api.fal.ai/v1/models/requests/{first['request_id']}/payloads")
    await recorder.call("GET", first["response_url"])
    await recorder.pass_time(100 * 86_400)
    await _look(recorder, second)


BODIES: Final = (
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"\xff\xfe",
    b"[" * 5000,
    json.dumps({}).encode(),
    json.dumps({**GOOD, "prompt": 7}).encode(),
    json.dumps({**GOOD, "prompt": ""}).encode(),
    json.dumps({**GOOD, "prompt": None, "image_url": None}).encode(),
    json.dumps({**GOOD, "duration": "5"}).encode(),
    json.dumps({**GOOD, "duration": 5, "aspect_ratio": "1:1"}).encode(),
    json.dumps({**GOOD, "duration": "8s", "aspect_ratio": "9:16", "unknown": True}).encode(),
    json.dumps({**GOOD, "image_url": "data:image/png;base64,@@@"}).encode(),
    json.dumps({**GOOD, "image_url": "data:text/plain,hello"}).encode(),
    json.dumps({**GOOD, "image_url": data_uri(png(64, 36))}).encode(),
    json.dumps({**GOOD, "image_url": "ftp://example.com/chef.png"}).encode(),
    json.dumps({**GOOD, "image_url": "not a url"}).encode(),
    b'{"prompt": "x", "image_url": 1e999, "seed": NaN}',
)


async def _bodies(recorder: Recorder) -> None:
    accepted = [await recorder.submit(body, content_type="application/json") for body in BODIES]
    accepted += [await recorder.submit(json.dumps(GOOD).encode(), content_type="text/plain")]
    await recorder.pass_time(600)
    for submitted in accepted:
        if submitted:
            await recorder.call("GET", submitted["status_url"])
            await recorder.call("GET", submitted["response_url"])


async def _headers(recorder: Recorder) -> None:
    for name, values in {
        "x-fal-request-timeout": ("0", "0.05", "0.2", "2.5", "nan", "soon"),
        "x-fal-queue-priority": ("low", "normal", "urgent"),
        "x-fal-no-retry": ("1", "no"),
        "x-fal-store-io": ("0", "1"),
        "x-fal-object-lifecycle-preference": ('{"expiration_duration_seconds": 60}', "{", "[]"),
    }.items():
        for value in values:
            await recorder.submit(**{name: value})
    for query in (
        "?fal_webhook=http://127.0.0.1:9/hook",
        "?fal_webhook=nonsense",
        "?fal_max_queue_length=1000",
        "?fal_max_queue_length=1",
        "?fal_max_queue_length=-1",
    ):
        await recorder.submit(query=query)


async def _addresses(recorder: Recorder) -> None:
    for host in ("queue.fal.run", "localhost:8787", "127.0.0.1:8787", "[::1]:8787", "api.fal.ai:443"):
        await recorder.submit(host=host)
    for prefix in ("/queue.fal.run", "/QUEUE.fal.run", "/falrun.com", "/gateway.fal.ai"):
        await recorder.call("POST", f"{prefix}/{ENDPOINT}", GOOD)
    for endpoint in ("fal-ai", "fal-ai/veo2", "fal-ai/unknown", "workflows/me/mine", "a/b/c/d/e", "%20/x"):
        await recorder.call("POST", f"/{endpoint}", GOOD)
    submitted = await recorder.submit()
    for method, base in itertools.product(
        ("GET", "POST", "PUT", "DELETE", "PATCH"), ("", "/status", "/cancel")
    ):
        await recorder.call(method, f"/fal-ai/veo2/requests/{submitted['request_id']}{base}")
    for application in ("fal-ai/veo2/image-to-video", "fal-ai/other", "someone/veo2"):
        await recorder.call("GET", f"/{application}/requests/{submitted['request_id']}/status")
    for request_id in (UNKNOWN, "nonsense", UNKNOWN.upper()):
        for operation in ("", "/status", "/status/stream", "/cancel"):
            method = "PUT" if operation == "/cancel" else "GET"
            await recorder.call(method, f"/fal-ai/veo2/requests/{request_id}{operation}")


async def _access(recorder: Recorder) -> None:
    mine = await recorder.submit()
    for authorization in (
        "",
        "Key",
        "Key me",
        "Key me:wrong",
        "Bearer me:secret",
        "Key you:secret",
        "Key locked:secret",
    ):
        await recorder.submit(authorization=authorization)
        for url, method in (
            (mine["status_url"], "GET"),
            (mine["response_url"], "GET"),
            (mine["cancel_url"], "PUT"),
        ):
            await recorder.call(method, url, authorization=authorization)


async def _faults(recorder: Recorder) -> None:
    for fault in (
        "content_policy_violation",
        "no_media_generated",
        "internal_error",
        "requeued times=2",
        "rate_limited",
        "gateway_timeout",
        "result_expired",
        "file_download_error",
    ):
        submitted = await recorder.submit(x_falmock_fault=fault)
        await recorder.pass_time(60)
        if submitted:
            await recorder.call("GET", submitted["status_url"] + "?logs=1")
            await recorder.call("GET", submitted["response_url"])


async def _uploads(recorder: Recorder) -> None:
    announced = await recorder.call(
        "POST", "/rest.fal.ai/storage/upload/initiate", {"file_name": "a b.png", "content_type": "image/png"}
    )
    await recorder.call("PUT", announced.json()["upload_url"], png(), content_type="image/png")
    url = announced.json()["file_url"]
    await recorder.call("GET", url)
    await recorder.call("HEAD", url)
    for value in ("bytes=0-9", "bytes=-5", "bytes=5-", "bytes=9999-", "lines=1-2"):
        await recorder.call("GET", url, range=value)
    await recorder.call("GET", url + "x")
    for body in ({}, {"file_name": 1}, {"file_name": "x", "content_type": None}):
        await recorder.call("POST", "/rest.fal.ai/storage/upload/initiate", body)
    await recorder.call("POST", "/rest.fal.ai/storage/auth/token?storage_type=fal-cdn-v3", {})
    await recorder.call("PUT", "/v3.fal.media/files/upload/nonsense", b"x")


async def _run(recorder: Recorder) -> None:
    for method, body in (("POST", {}), ("POST", {**GOOD, "duration": 5}), ("POST", GOOD), ("GET", None)):
        async with asyncio.TaskGroup() as tasks:  # the answer comes when the run is over
            tasks.create_task(recorder.call(method, f"/fal.run/{ENDPOINT}", body))
            await asyncio.sleep(0)
            tasks.create_task(recorder.pass_time(60))
    await recorder.call("POST", "/fal.run/fal-ai/unknown", GOOD)


async def _other_hosts(recorder: Recorder) -> None:
    for path in (
        "/api.fal.ai/v1/models",
        "/api.fal.ai/v1/models?limit=1",
        f"/api.fal.ai/v1/models/pricing?endpoint_id={ENDPOINT}",
        "/api.fal.ai/v1/models/pricing?endpoint_id=unknown/model",
        "/fal.ai/api/openapi/queue/openapi.json?endpoint_id=" + ENDPOINT,
        "/rest.fal.ai/.well-known/jwks.json",
        "/rest.fal.ai/nothing",
    ):
        await recorder.call("GET", path)


def write(lines: list[dict[str, Any]]) -> Iterator[str]:
    return (json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


if __name__ == "__main__":
    FILE.write_text("".join(write(asyncio.run(record()))))
