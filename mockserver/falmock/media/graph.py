"""Builds the ffmpeg command that makes a video of a still and a caption, with ffmpeg-python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import ffmpeg

if TYPE_CHECKING:
    from pathlib import Path

    from falmock.media.specifications import Clip

# The number of threads is fixed, because the output of x264 depends on it. Slower presets take 50 % longer;
# for motion by whole pixels the difference is not visible.
_ENCODER: Final[dict[str, Any]] = {"vcodec": "libx264", "threads": 2, "bf": 0}
_STYLES: Final[dict[str, dict[str, Any]]] = {
    "animate": {"preset": "superfast", "crf": 22, "g": 48},
    "plain": {"preset": "ultrafast", "crf": 23},
}
_REPRODUCIBLE: Final[dict[str, Any]] = {"fflags": "+bitexact", "flags:v": "+bitexact", "map_metadata": -1}
_COLOURS: Final[dict[str, Any]] = {"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709"}


def command(program: str, clip: Clip, *, still: Path, caption: Path, video: Path) -> list[str]:
    """Return the command for a clip.

    Args:
        program: ffmpeg.
        clip: for the size and motion.
        still: the canvas, a PPM.
        caption: the strip along the upper edge, a PNG. The plain style does not use it.
        video: the mp4 to write; overwritten.
    """
    # Converted once, then repeated; a looped input would be decoded and converted for each frame.
    moving = _image(still, "ppm_pipe", clip).filter("loop", loop=-1, size=1)
    if clip.style == "animate":
        left, top = _camera(clip)
        moving = moving.filter("crop", clip.width, clip.height, left, top)
        strip = _image(caption, "png_pipe", clip, pixels="yuva420p")
        moving = moving.overlay(strip, x=0, y=0)
    output = moving.output(
        f"file:{video}",
        format="mp4",
        movflags="+faststart",
        **{"frames:v": clip.frames},
        **_ENCODER,
        **_STYLES[clip.style],
        **_COLOURS,
        **_REPRODUCIBLE,
    )
    arguments: list[str] = output.compile(
        [program, "-hide_banner", "-loglevel", "error", "-nostats"], overwrite_output=True
    )
    return arguments


def _image(path: Path, demuxer: str, clip: Clip, pixels: str = "yuv420p") -> Any:
    """Read an image as a video of one frame in BT.709, the colour space of high definition."""
    image = ffmpeg.input(f"file:{path}", format=demuxer, framerate=clip.rate)
    return image.filter("scale", out_color_matrix="bt709", out_range="tv").filter("format", pixels)


def _camera(clip: Clip) -> tuple[str, str]:
    """Return left and top of frame n on the canvas, as ffmpeg expressions."""
    right, down = clip.camera
    return _there_and_back(right, clip.travel[0]), _there_and_back(down, clip.travel[1])


def _there_and_back(step: int, travel: int) -> str:
    if not travel:
        return "0"
    position = f"{travel}-abs({travel}-mod({abs(step)}*n,{2 * travel}))"
    return position if step > 0 else f"{travel}-({position})"
