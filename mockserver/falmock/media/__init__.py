"""Placeholder videos: look at the input image, render a clip, keep it.

`falmock.media.probe`, which reads a video's facts, stands beside this door: it is a program of its own.
"""

from falmock.media.clip import Clip
from falmock.media.images import MAX_BYTES, Decoder, Picture
from falmock.media.renderer import FfmpegNotFound, Renderer, RenderFailed, find_ffmpeg

__all__ = [
    "MAX_BYTES",
    "Clip",
    "Decoder",
    "FfmpegNotFound",
    "Picture",
    "RenderFailed",
    "Renderer",
    "find_ffmpeg",
]
