"""Where ffmpeg is, and the errors without it."""

from __future__ import annotations

import shutil


class RenderFailed(Exception):
    """A medium could not be made. The text is for the server's log."""


class FfmpegNotFound(ValueError):
    """No ffmpeg was found. The text is one sentence for the user."""


def find_ffmpeg(configured: str | None = None) -> str:
    """Return the path of the ffmpeg to run.

    Args:
        configured: a path or a name on PATH; by default the program of imageio-ffmpeg.

    Raises:
        FfmpegNotFound: that is not a program.
    """
    if configured is None:
        import imageio_ffmpeg  # noqa: PLC0415 - not needed for another ffmpeg

        try:
            configured = imageio_ffmpeg.get_ffmpeg_exe()
        except RuntimeError as error:
            raise FfmpegNotFound("There is no ffmpeg: imageio-ffmpeg has none for this platform.") from error
    found = shutil.which(configured)
    if found is None:
        raise FfmpegNotFound(f"ffmpeg cannot be run: {configured!r} is not an executable program.")
    return found
