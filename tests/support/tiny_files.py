"""Small real files of every kind, as data URIs, for the inputs of models."""

from __future__ import annotations

import io
import math
import struct
import subprocess
import wave
import zipfile
from typing import TYPE_CHECKING, Final

from emulated import data_uri, png

from falmock.media import find_ffmpeg

if TYPE_CHECKING:
    from pathlib import Path

# The smallest that the limits of all fields allow
SIDE: Final = 300
VIDEO_SIDE: Final = 720
VIDEO_SECONDS: Final = 3
VIDEO_RATE: Final = 24
SOUND_SECONDS: Final = 2
SOUND_RATE: Final = 16000


def make(folder: Path) -> dict[str, str]:
    """Return a file of each kind by its suffix."""
    return {
        "png": data_uri(png(SIDE, SIDE)),
        "mp4": data_uri(_video(folder / "input.mp4"), "video/mp4"),
        "wav": data_uri(_sound(), "audio/wav"),
        "zip": data_uri(_archive(), "application/zip"),
    }


def _video(target: Path) -> bytes:
    picture = f"testsrc=size={VIDEO_SIDE}x{VIDEO_SIDE}:rate={VIDEO_RATE}:duration={VIDEO_SECONDS}"
    inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", f"sine=duration={VIDEO_SECONDS}"]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest"]
    subprocess.run([find_ffmpeg(), "-loglevel", "error", "-y", *inputs, *coding, str(target)], check=True)
    return target.read_bytes()


def _sound() -> bytes:
    sink = io.BytesIO()
    with wave.open(sink, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SOUND_RATE)
        tone = (round(8000 * math.sin(index / 6)) for index in range(SOUND_SECONDS * SOUND_RATE))
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in tone))
    return sink.getvalue()


def _archive() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("picture.png", png())
    return sink.getvalue()
