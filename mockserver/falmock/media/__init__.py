"""Media of the emulated models: fetch and decode input files, render placeholders of every kind.

These names are for the other packages. Apart from them there is the program `falmock.media.probe`.
"""

from falmock.media.fetching import Fetcher, FetchError
from falmock.media.images import MAX_BYTES, Decoder
from falmock.media.objects import archive
from falmock.media.pixels import Picture
from falmock.media.recordings import MAX_RECORDING, Measurer, Recording
from falmock.media.renderer import FfmpegNotFound, Renderer, RenderFailed, find_ffmpeg
from falmock.media.specifications import (
    MAX_FRAMES,
    MAX_PIXELS,
    Clip,
    Document,
    Mesh,
    Sound,
    Specification,
    Still,
    Weights,
)

__all__ = [
    "MAX_BYTES",
    "MAX_FRAMES",
    "MAX_PIXELS",
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
    "find_ffmpeg",
]
