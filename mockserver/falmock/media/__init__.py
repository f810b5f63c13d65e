"""Media of the emulated models: fetch and decode input images, render placeholder videos.

These names are for the other packages. Apart from them there is the program `falmock.media.probe`.
"""

from falmock.media.fetching import Fetcher, FetchError
from falmock.media.images import MAX_BYTES, Decoder
from falmock.media.pixels import Picture
from falmock.media.recordings import Recording
from falmock.media.renderer import FfmpegNotFound, Renderer, RenderFailed, find_ffmpeg
from falmock.media.specifications import Clip, Document, Mesh, Sound, Specification, Still, Weights

__all__ = [
    "MAX_BYTES",
    "Clip",
    "Decoder",
    "Document",
    "FetchError",
    "Fetcher",
    "FfmpegNotFound",
    "Mesh",
    "Picture",
    "Recording",
    "RenderFailed",
    "Renderer",
    "Sound",
    "Specification",
    "Still",
    "Weights",
    "find_ffmpeg",
]
