"""Prints facts about an mp4: `python -m falmock.media.probe FILE`.

ffmpeg decodes the whole file, so the facts are those of a player and not of the header. ffprobe is not used,
because imageio-ffmpeg does not include it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from falmock.media.processes import environment, find_ffmpeg

_STREAM = re.compile(
    r"Stream #.*?: Video: (?P<codec>\w+).*?, (?P<pixels>\w+)(?:\(.*?\))?, (?P<width>\d+)x(?P<height>\d+)"
    r".*?, (?P<rate>[\d.]+) fps"
)


@dataclass(frozen=True, slots=True)
class Facts:
    """Properties of a video."""

    codec: str  # ffmpeg's name, as "h264"
    pixel_format: str  # the same, as "yuv420p"
    width: int
    height: int
    frames_per_second: float  # from the stream's header
    seconds: float  # from the start of the first to the end of the last decoded frame
    frames: int  # decoded ones
    faststart: bool  # the index (moov) precedes the data (mdat), so that a player can start early


def probe(path: Path, *, ffmpeg: str | None = None) -> Facts:
    """Decode an mp4 and return its facts.

    Raises:
        ValueError: ffmpeg cannot decode it without an error.
    """
    done = subprocess.run(  # noqa: S603 - the program is ffmpeg
        _command(find_ffmpeg(ffmpeg), path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        env=environment(os.environ),
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
    """Return whether the box moov precedes mdat."""
    with path.open("rb") as file:
        while (header := file.read(8)) and header[4:] not in {b"moov", b"mdat"}:
            file.seek(max(0, int.from_bytes(header[:4]) - len(header)), 1)
    return header[4:] == b"moov"


def main(arguments: list[str]) -> int:
    """Print one fact a line. Return the exit code."""
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
