"""Makes the runner and its tools, at the first run: this loads pydantic, Pillow and httpx."""

from __future__ import annotations

from typing import TYPE_CHECKING

from falmock.engine.clients import client
from falmock.engine.runner import Runner
from falmock.media import Decoder, Fetcher, Measurer, Renderer, find_ffmpeg

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from falmock.engine.resources import Resources
    from falmock.system.dialler import Dialler


def new_runner(
    resources: Resources, renderer: Renderer | None, dialler: Dialler, stack: AsyncExitStack
) -> Runner:
    """Return a runner.

    Args:
        renderer: None for a new one.
        dialler: decides which hosts input files may be on.
        stack: closes what is opened here.

    Raises:
        OSError: the folder of the renderer cannot be used.
        FfmpegNotFound: there is no usable ffmpeg.
    """
    settings, files = resources.settings, resources.files
    ffmpeg = find_ffmpeg(settings.ffmpeg)
    http = client(dialler)
    stack.push_async_callback(http.aclose)
    if renderer is None:
        renderer = Renderer(
            ffmpeg=ffmpeg,
            cache=files.renders,
            at_once=settings.renders,
            timeout=settings.render_timeout,
            limit=settings.render_cache,
        )
        stack.push_async_callback(renderer.close)
    return Runner(
        catalogue=resources.catalogue,
        files=files,
        renderer=renderer,
        decoder=Decoder(max_pixels=settings.max_pixels, memory=settings.decode_memory),
        measurer=Measurer(ffmpeg, files.renders),
        fetcher=Fetcher(http, public=settings.fetches_public_files, is_local=resources.is_local),
        clock=resources.clock,
        seed=resources.seed,
        style=settings.media,
        observer=resources.observer,
        limits=settings.limits,
    )
