"""What tests of the emulator share: a running one, and a way to talk to it."""

from __future__ import annotations

import base64
import io
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import httpx
from PIL import Image

from falmock.app import create_app, open_emulator
from falmock.catalogue import BUNDLED, Catalogue, Model
from falmock.http.server import Server, address, listen
from falmock.inspection.journal import journal_of
from falmock.media import Renderer, find_ffmpeg
from falmock.settings import Settings, Span

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from falmock.engine.clock import Clock
    from falmock.engine.emulator import Emulator
    from falmock.inspection.journal import Journal

ENDPOINT = "fal-ai/veo2/image-to-video"
APPLICATION = "fal-ai/veo2"
BASE = "http://127.0.0.1:8787"
KEY = {"Authorization": "Key me:secret"}
OTHER_KEY = {"Authorization": "Key you:secret"}
HOSTED = "https://example.com/chef.png"
GOOD = {"prompt": "A lego chef cooking eggs", "image_url": HOSTED}


def png(width: int = 32, height: int = 18) -> bytes:
    """Return a small picture."""
    sink = io.BytesIO()
    Image.new("RGB", (width, height), (200, 120, 40)).save(sink, "PNG")
    return sink.getvalue()


def data_uri(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def veo(**changes: Any) -> Model:
    """Return the model of `ENDPOINT`, with changes of its entry."""
    model = BUNDLED.get(ENDPOINT)
    assert model is not None
    return replace(model, entry=replace(model.entry, **changes))


@dataclass
class Mock:
    """A running emulator and a way to talk to it."""

    emulator: Emulator
    clock: Clock
    http: httpx.AsyncClient

    @property
    def journal(self) -> Journal:
        return journal_of(self.emulator)

    async def submit(
        self, image_url: str = HOSTED, *, headers: dict[str, str] | None = None, **more: Any
    ) -> Any:
        """Submit a request and return the answer's body."""
        query = more.pop("query", "")
        body = {"prompt": "A lego chef cooking eggs", "image_url": image_url, **more}
        answer = await self.http.post(f"/{ENDPOINT}{query}", json=body, headers=KEY | (headers or {}))
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers=KEY | headers)

    async def status(self, submitted: Any, query: str = "") -> httpx.Response:
        return await self.get(submitted["status_url"] + query)

    async def result(self, submitted: Any) -> httpx.Response:
        return await self.get(submitted["response_url"])

    async def cancel(self, submitted: Any) -> httpx.Response:
        return await self.http.put(submitted["cancel_url"], headers=KEY)

    async def assert_alive(self) -> None:
        """The scheduler takes a new request to its end, and `/health` reports no problem."""
        result = await self.finish()
        health = (await self.http.get("/health")).json()

        assert (result.status_code, health["status"]) == (200, "ok"), (result.text, health)

    async def pass_time(self, seconds: float) -> None:
        await self.emulator.timeline.pass_time(seconds)

    async def finish(self, image_url: str = HOSTED, **more: Any) -> httpx.Response:
        """Submit a request, let it run, and return its result."""
        submitted = await self.submit(image_url, **more)
        await self.pass_time(60)
        return await self.result(submitted)


@asynccontextmanager
async def opened(
    renders: Path,
    clock: Clock,
    *,
    catalogue: Catalogue | None = None,
    cache_bytes: int | None = None,
    **settings: Any,
) -> AsyncIterator[Mock]:
    defaults: dict[str, Any] = {
        "seed": 1,
        "media": "plain",
        "queue_seconds": Span(1, 1),
        "run_seconds": Span(4, 4),
    }
    renderer = Renderer(
        ffmpeg=find_ffmpeg(settings.get("ffmpeg")), cache=renders, at_once=2, timeout=60, limit=cache_bytes
    )
    try:
        async with (
            open_emulator(
                Settings(**(defaults | settings)), clock, renderer, catalogue=catalogue
            ) as emulator,
            httpx.AsyncClient(transport=httpx.ASGITransport(create_app(emulator)), base_url=BASE) as http,
        ):
            yield Mock(emulator, clock, http)
    finally:
        await renderer.close()


@asynccontextmanager
async def serving(emulator: Emulator) -> AsyncIterator[str]:
    """Serve an emulator on a free loopback port, in this event loop; yields its URL."""
    with listen("127.0.0.1", 0) as listener:
        emulator.dialler.own.add(listener)
        async with Server(create_app(emulator), limits=emulator.settings.limits).running(listener):
            yield address(listener)
