"""Media of the emulated models: fetch and decode input files, render placeholders of every kind.

These names are for the other packages. Apart from them there is the program `falmock.media.probe`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from falmock.media.fetching import Fetcher, FetchError
    from falmock.media.images import MAX_BYTES, Decoder
    from falmock.media.objects import archive
    from falmock.media.pixels import Picture
    from falmock.media.processes import FfmpegNotFound, RenderFailed, find_ffmpeg
    from falmock.media.recordings import MAX_RECORDING, Measurer, Recording
    from falmock.media.renderer import Renderer
    from falmock.media.specifications import (
        MAX_FRAMES,
        Clip,
        Document,
        Mesh,
        Sound,
        Specification,
        Still,
        Weights,
        can_have,
    )

__all__ = [
    "MAX_BYTES",
    "MAX_FRAMES",
    "MAX_RECORDING",
    "Clip",
    "Decoder",
    "Document",
    "FetchError",
    "Fetcher",
    "FfmpegNotFound",
    "Measurer",
    "Mesh",
    "Picture",
    "Recording",
    "RenderFailed",
    "Renderer",
    "Sound",
    "Specification",
    "Still",
    "Weights",
    "archive",
    "can_have",
    "find_ffmpeg",
]

_MODULES = {  # of the names that are not in `specifications`
    **dict.fromkeys(("Fetcher", "FetchError"), "fetching"),
    **dict.fromkeys(("MAX_BYTES", "Decoder"), "images"),
    **dict.fromkeys(("FfmpegNotFound", "RenderFailed", "find_ffmpeg"), "processes"),
    **dict.fromkeys(("MAX_RECORDING", "Measurer", "Recording"), "recordings"),
    "Picture": "pixels",
    "Renderer": "renderer",
    "archive": "objects",
}

if not TYPE_CHECKING:  # for type checkers, other names do not exist

    def __getattr__(name: str) -> object:
        """Import a name at its first use: Pillow and the drawings are needed when a request runs."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'specifications')}"), name)
        globals()[name] = value
        return value
