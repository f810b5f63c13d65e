"""The ffmpeg command that puts a still in motion, built with ffmpeg-python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import ffmpeg

if TYPE_CHECKING:
    from pathlib import Path

    from falmock.media.clip import Clip

# x264's output depends on the number of its threads, so that does not follow the machine. Motion by whole
# pixels is the easiest there is: slower presets would take half as long again to save what nobody sees.
_ENCODER: Final[dict[str, Any]] = {"vcodec": "libx264", "threads": 2, "bf": 0}
_STYLES: Final[dict[str, dict[str, Any]]] = {
    "animate": {"preset": "superfast", "crf": 22, "g": 48},
    "plain": {"preset": "ultrafast", "crf": 23},
}
_REPRODUCIBLE: Final[dict[str, Any]] = {"fflags": "+bitexact", "flags:v": "+bitexact", "map_metadata": -1}
_COLOURS: Final[dict[str, Any]] = {"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709"}


def command(program: str, clip: Clip, *, still: Path, caption: Path, video: Path) -> list[str]:
    """Return the arguments that turn the two drawings into a video.

    Args:
        program: ffmpeg.
        clip: what to render.
        still: the clip's canvas as PPM.
        caption: the strip along the lower edge as PNG; the plain style has it in the still already.
        video: where the mp4 goes; overwritten.
    """
    # Converted once, then repeated: a looping input would be decoded and converted for each frame.
    moving = _image(still, "ppm_pipe", clip).filter("loop", loop=-1, size=1)
    if clip.style == "animate":
        left, top = _camera(clip)
        moving = moving.filter("crop", clip.width, clip.height, left, top)
        strip = _image(caption, "png_pipe", clip, pixels="yuva420p")
        moving = moving.overlay(strip, x=0, y="main_h-overlay_h")
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
    """Read a drawing as video of one frame, in BT.709, as players expect of high definition."""
    image = ffmpeg.input(f"file:{path}", format=demuxer, framerate=clip.frames_per_second)
    return image.filter("scale", out_color_matrix="bt709", out_range="tv").filter("format", pixels)


def _camera(clip: Clip) -> tuple[str, str]:
    """Return where the frame number n begins on the canvas, as ffmpeg's expressions."""
    return _travel(clip.camera[0], clip.frames), _travel(clip.camera[1], clip.frames)


def _travel(step: int, frames: int) -> str:
    start = -step * (frames - 1) if step < 0 else 0
    return f"{start}+{step}*n"
