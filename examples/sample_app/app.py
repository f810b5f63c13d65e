"""A small application that makes clips with fal: it submits, receives webhooks, and shows what came of it.

    FAL_KEY=... PUBLIC_URL=https://clips.example uvicorn --factory app:create_app

Webhooks may come twice, late or never. So a delivery is acted on once for each request, and `/reconcile`,
which wants to be called every few minutes, asks fal about what is still open.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

import falqueue
from falqueue import Veo2ImageToVideo, VideoOutput

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request


@dataclass
class Clip:
    """A clip that somebody wants; `says` is for people, and `video` an address once there is one."""

    prompt: str
    handle: falqueue.Handle[VideoOutput]
    open: bool = True
    says: str = "in the making"
    video: str = ""


class Clips:
    """All clips, by the id of their request at fal.

    Args:
        fal: the client.
        hook: where fal delivers results.
        patience: seconds after which `reconcile` cancels a clip.
        notify: tells the owner of a clip that it is done; once.
    """

    def __init__(
        self, fal: falqueue.AsyncClient, hook: str, patience: float, notify: Callable[[Clip], object]
    ) -> None:
        self.all: dict[str, Clip] = {}
        self._fal = fal
        self._hook = hook
        self._patience = patience
        self._notify = notify

    async def begin(self, asked: Veo2ImageToVideo) -> str:
        """Submit a clip; return its id. Raises `falqueue.FalqueueError` if fal does not take it."""
        handle = await self._fal.submit(asked, webhook_url=self._hook)
        self.all[handle.request_id] = Clip(asked.prompt, handle)
        return handle.request_id

    async def receive(self, body: bytes, headers: dict[str, str]) -> None:
        """Act on a webhook. Raises `falqueue.WebhookRejected` if it is not fal's."""
        delivery = await self._fal.verify_webhook(body, headers)
        if (clip := self.all.get(delivery.request_id)) is not None:
            try:
                self._settle(clip, delivery.result(Veo2ImageToVideo))
            except falqueue.RequestFailed as error:
                self._settle(clip, error)
            except falqueue.ProtocolError:  # OK, but without a payload: `reconcile` asks the queue for it
                pass

    async def reconcile(self) -> None:
        """Find out about the clips that no webhook has come for, and give up those that take too long."""
        for clip in [clip for clip in self.all.values() if clip.open]:
            try:
                self._settle(clip, await self._fal.wait(clip.handle, timeout=self._patience))
            except (falqueue.RequestFailed, falqueue.TookTooLong) as error:
                self._settle(clip, error)

    def _settle(self, clip: Clip, outcome: VideoOutput | falqueue.FalqueueError) -> None:
        if not clip.open:  # a second delivery, or one that came while we asked
            return
        clip.open = False
        match outcome:
            case VideoOutput():
                clip.says, clip.video = "ready", outcome.video.url
            case falqueue.ContentPolicyViolation() | falqueue.NoMediaGenerated():
                clip.says = "refused: please describe something else"
            case falqueue.TookTooLong():
                clip.says = "cancelled: it took too long"
            case _:
                clip.says = "failed"
        self._notify(clip)


def create_app(
    public_url: str | None = None, *, patience: float = 900, notify: Callable[[Clip], object] = print
) -> Starlette:
    """Return the application; `public_url` is where the world, and fal, reaches it."""
    hook = (public_url or os.environ["PUBLIC_URL"]) + "/fal"

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Clips]]:
        async with falqueue.AsyncClient() as fal:
            yield {"clips": Clips(fal, hook, patience, notify)}

    routes = [
        Route("/", show),
        Route("/clips", submit, methods=["POST"]),
        Route("/fal", receive, methods=["POST"]),
        Route("/reconcile", reconcile, methods=["POST"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


async def submit(request: Request) -> Response:
    """Take an order for a clip."""
    asked = await request.json()
    try:
        clip = await request.state.clips.begin(
            Veo2ImageToVideo(prompt=asked["prompt"], image_url=asked["image_url"])
        )
    except falqueue.FalqueueError:
        return JSONResponse({"says": "we cannot make clips at the moment"}, 503)
    return JSONResponse({"id": clip}, 202)


async def receive(request: Request) -> Response:
    """Take a webhook of fal's. Only who is not fal hears of a mistake."""
    try:
        await request.state.clips.receive(await request.body(), request.headers)
    except falqueue.WebhookRejected:
        return Response(status_code=401)
    return Response(status_code=204)


async def reconcile(request: Request) -> Response:
    """Ask fal about what is still open."""
    await request.state.clips.reconcile()
    return Response(status_code=204)


async def show(request: Request) -> Response:
    """Show all clips."""
    shown = "".join(
        f"<li>{escape(clip.prompt)}: {escape(clip.says)}"
        + (f'<br><video controls src="{escape(clip.video)}"></video>' if clip.video else "")
        for clip in request.state.clips.all.values()
    )
    return HTMLResponse(f"<!doctype html><title>Clips</title><ul>{shown}</ul>")
