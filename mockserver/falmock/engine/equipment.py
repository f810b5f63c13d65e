"""Makes the runner and its tools, at the first run: this loads pydantic, Pillow and httpx."""

from __future__ import annotations

from typing import TYPE_CHECKING

from falmock.engine.clients import client
from falmock.engine.runner import Runner
from falmock.media import Decoder, Fetcher, Measurer, Renderer, find_ffmpeg

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AsyncExitStack

    from falmock.catalogue import Catalogue
    from falmock.engine.clock import Clock
    from falmock.engine.files import Files
    from falmock.engine.observer import Observer
    from falmock.settings import Settings
    from falmock.system.dialler import Dialler


def new_runner(
    settings: Settings,
    *,
    catalogue: Catalogue,
    files: Files,
    renderer: Renderer | None,
    dialler: Dialler,
    is_local: Callable[[str], bool],
    clock: Clock,
    seed: int,
    observer: Observer,
    stack: AsyncExitStack,
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
        catalogue=catalogue,
        files=files,
        renderer=renderer,
        decoder=Decoder(max_pixels=settings.max_pixels, memory=settings.decode_memory),
        measurer=Measurer(ffmpeg, files.renders),
        fetcher=Fetcher(http, public=settings.fetches_public_files, is_local=is_local),
        clock=clock,
        seed=seed,
        style=settings.media,
        observer=observer,
        limits=settings.limits,
    )
