"""A small application that makes clips with fal: it submits requests, receives webhooks and shows the clips.

    FAL_KEY=... PUBLIC_URL=https://clips.example uvicorn --factory app:create_app

Webhooks may be repeated, late or lost. The application acts once on each request, and `/reconcile`, which
should be called every few minutes, asks fal about all open requests.
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
    """A clip: `status` is shown on the page, `video` is the URL, empty until there is one."""

    prompt: str
    handle: falqueue.Handle[VideoOutput]
    open: bool = True
    status: str = "in progress"
    video: str = ""


class Clips:
    """All clips, by request id.

    Args:
        fal: the client.
        hook: URL for webhooks.
        patience: seconds after which `reconcile` cancels a request.
        notify: called once for each clip, when it is closed.
    """

    def __init__(
        self, fal: falqueue.AsyncClient, hook: str, patience: float, notify: Callable[[Clip], object]
    ) -> None:
        self.all: dict[str, Clip] = {}
        self._fal = fal
        self._hook = hook
        self._patience = patience
        self._notify = notify

    async def begin(self, request: Veo2ImageToVideo) -> str:
        """Submit a request and return its id. Raises `falqueue.FalqueueError` if fal refuses it."""
        handle = await self._fal.submit(request, webhook_url=self._hook)
        self.all[handle.request_id] = Clip(request.prompt, handle)
        return handle.request_id

    async def receive(self, body: bytes, headers: dict[str, str]) -> None:
        """Handle a webhook. Raises `falqueue.WebhookRejected` if it is not from fal."""
        delivery = await self._fal.verify_webhook(body, headers)
        if (clip := self.all.get(delivery.request_id)) is not None:
            try:
                self._close(clip, delivery.result(Veo2ImageToVideo))
            except falqueue.RequestFailed as error:
                self._close(clip, error)
            except falqueue.ProtocolError:  # OK without a payload: `reconcile` fetches the result
                pass

    async def reconcile(self) -> None:
        """Fetch the results of open requests, and cancel those that take too long."""
        for clip in [clip for clip in self.all.values() if clip.open]:
            try:
                self._close(clip, await self._fal.wait(clip.handle, timeout=self._patience))
            except (falqueue.RequestFailed, falqueue.TookTooLong) as error:
                self._close(clip, error)

    def _close(self, clip: Clip, outcome: VideoOutput | falqueue.FalqueueError) -> None:
        if not clip.open:  # a repeated webhook, or one that arrived during `reconcile`
            return
        clip.open = False
        match outcome:
            case VideoOutput():
                clip.status, clip.video = "ready", outcome.video.url
            case falqueue.ContentPolicyViolation() | falqueue.NoMediaGenerated():
                clip.status = "refused: please try another description"
            case falqueue.TookTooLong():
                clip.status = "cancelled: it took too long"
            case _:
                clip.status = "failed"
        self._notify(clip)


def create_app(
    public_url: str | None = None, *, patience: float = 900, notify: Callable[[Clip], object] = print
) -> Starlette:
    """Return the application. `public_url` is the base URL at which fal can reach it."""
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
    """Submit a clip."""
    body = await request.json()
    try:
        clip = await request.state.clips.begin(
            Veo2ImageToVideo(prompt=body["prompt"], image_url=body["image_url"])
        )
    except falqueue.FalqueueError:
        return JSONResponse({"error": "clips are not available at the moment"}, 503)
    return JSONResponse({"id": clip}, 202)


async def receive(request: Request) -> Response:
    """Receive a webhook. Only one that is not from fal gets an error."""
    try:
        await request.state.clips.receive(await request.body(), request.headers)
    except falqueue.WebhookRejected:
        return Response(status_code=401)
    return Response(status_code=204)


async def reconcile(request: Request) -> Response:
    """Ask fal about all open requests."""
    await request.state.clips.reconcile()
    return Response(status_code=204)


async def show(request: Request) -> Response:
    """Show all clips."""
    items = "".join(
        f"<li>{escape(clip.prompt)}: {escape(clip.status)}"
        + (f'<br><video controls src="{escape(clip.video)}"></video>' if clip.video else "")
        for clip in request.state.clips.all.values()
    )
    return HTMLResponse(f"<!doctype html><title>Clips</title><ul>{items}</ul>")
