"""Reads an mp4's facts: `python -m falmock.media.probe FILE`.

ffmpeg decodes the whole file, so the facts are those of a player, not what the header claims. There is no
need for ffprobe, which imageio-ffmpeg does not bring.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from falmock.media.renderer import find_ffmpeg

_STREAM = re.compile(
    r"Stream #.*?: Video: (?P<codec>\w+).*?, (?P<pixels>\w+)(?:\(.*?\))?, (?P<width>\d+)x(?P<height>\d+)"
    r".*?, (?P<rate>[\d.]+) fps"
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a player finds in a video.

    Attributes:
        codec: as ffmpeg names it, "h264".
        pixel_format: likewise, "yuv420p".
        width: in pixels.
        height: in pixels.
        frames_per_second: as the stream says.
        seconds: from the beginning of the first to the end of the last decoded frame.
        frames: how many were decoded.
        faststart: whether the index (moov) comes before the pictures (mdat), so that playing starts early.
    """

    codec: str
    pixel_format: str
    width: int
    height: int
    frames_per_second: float
    seconds: float
    frames: int
    faststart: bool


def probe(path: Path, *, ffmpeg: str | None = None) -> Facts:
    """Decode a video and return its facts. It takes as long as decoding does.

    Args:
        path: an mp4.
        ffmpeg: the program; without it the one that imageio-ffmpeg brings.

    Raises:
        ValueError: when it is not a video that ffmpeg decodes without an error.
    """
    done = subprocess.run(  # noqa: S603 - the program that the settings name
        _command(find_ffmpeg(ffmpeg), path), stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    stream = _STREAM.search(done.stderr.decode(errors="replace"))
    progress = dict(re.findall(r"^(\w+)=(\d+)$", done.stdout.decode(), re.MULTILINE))
    if done.returncode or stream is None or "out_time_us" not in progress:
        raise ValueError(f"{path} is not a video that ffmpeg can decode.")
    return Facts(
        codec=stream["codec"],
        pixel_format=stream["pixels"],
        width=int(stream["width"]),
        height=int(stream["height"]),
        frames_per_second=float(stream["rate"]),
        seconds=int(progress["out_time_us"]) / 1_000_000,
        frames=int(progress["frame"]),
        faststart=_index_first(path),
    )


def _command(program: str, path: Path) -> list[str]:
    reading = [program, "-hide_banner", "-nostdin", "-xerror", "-err_detect", "explode", "-i", f"file:{path}"]
    return [*reading, "-map", "0:v:0", "-f", "null", "-progress", "pipe:1", "-nostats", "-"]


def _index_first(path: Path) -> bool:
    """Tell whether moov comes before mdat, from the sizes and names of the file's outermost boxes."""
    with path.open("rb") as file:
        while (name := _next_box(file)) not in {b"moov", b"mdat", b""}:
            pass
    return name == b"moov"


def _next_box(file: BinaryIO) -> bytes:
    """Skip a box and return its name, or nothing at the end."""
    header = file.read(8)
    file.seek(max(0, int.from_bytes(header[:4]) - len(header)), 1)
    return header[4:]


def main(arguments: list[str]) -> int:
    """Print a file's facts, one a line. Return the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m falmock.media.probe FILE\n")
        return 2
    try:
        facts = probe(Path(arguments[0]))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.writelines(f"{name}: {value}\n" for name, value in asdict(facts).items())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
