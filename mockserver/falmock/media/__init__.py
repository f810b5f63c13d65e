"""Media of the emulated models: fetch and decode input images, render placeholder videos.

These names are for the other packages. Apart from them there is the program `falmock.media.probe`.
"""

from falmock.media.clip import Clip
from falmock.media.fetching import Fetcher, FetchError
from falmock.media.images import MAX_BYTES, Decoder
from falmock.media.pixels import Picture
from falmock.media.renderer import FfmpegNotFound, Renderer, RenderFailed, find_ffmpeg

__all__ = [
    "MAX_BYTES",
    "Clip",
    "Decoder",
    "FetchError",
    "Fetcher",
    "FfmpegNotFound",
    "Picture",
    "RenderFailed",
    "Renderer",
    "find_ffmpeg",
]
