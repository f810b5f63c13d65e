"""Measures input videos and sounds with ffmpeg, within limits.

ffmpeg reads the formats below only, and nothing but the file: a playlist could name other files and URLs.
Limits of fal's models differ; these protect the emulator.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from PIL import Image

from falmock.media import processes
from falmock.media.pixels import KEPT_SIDE, MAX_SIDE, Picture
from falmock.media.processes import in_thread, scratch
from falmock.protocol.model_errors import ModelError
from falmock.system import private

if TYPE_CHECKING:
    from collections.abc import Sequence

Medium = Literal["video", "audio"]

MAX_RECORDING: Final = 500 * 1024 * 1024  # bytes
MAX_DECODED: Final = 50_000_000  # pixels of a frame
MEMORY: Final = 2 * 1024 * 1024 * 1024  # bytes
SECONDS: Final = 60.0  # of real time for each of ffmpeg's three runs at most
FORMATS: Final[dict[str, list[str]]] = {
    "video": [".mp4", ".mov", ".webm", ".m4v", ".gif"],
    "audio": [".mp3", ".ogg", ".wav", ".m4a", ".aac"],
}
_DEMUXERS: Final = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,mpegts,mpeg,flv,mp3,wav,flac,ogg,aac,aiff,amr,caf,w64"
)
_MAX_REPORT: Final = 1024 * 1024  # bytes of ffmpeg's report
_BEFORE_END: Final = 1.0  # seconds from the end in which the last frame is looked for
_RATE: Final = re.compile(r", ([\d.]+)(k?) fps")
_COVER: Final = "(attached pic)"
_FRAMES: Final = re.compile(r"frame= *(\d+)")
_DURATION: Final = re.compile(r"Duration: (\d+):(\d\d):(\d\d\.\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """The facts of a video or a sound."""

    width: int = 0  # of the video, upright; 0 without one
    height: int = 0
    seconds: float  # the length of the longer of the two
    frames_per_second: float = 0  # of the video; 0 without one
    has_video: bool = False  # the cover of a song is none
    has_sound: bool = False
    first: Picture | None = None  # the first frame
    last: Picture | None = None


class Broken(Exception):
    """Not a video or sound that ffmpeg can read, or not within the limits."""


class Measurer:
    """Measures videos and sounds, one at a time.

    Args:
        ffmpeg: the program, see `find_ffmpeg`.
        folder: for temporary files, created if missing; that of a renderer's cache will do.
        max_bytes: limit for a file.
        memory: limit for ffmpeg, in bytes.
        seconds: limit for each run of ffmpeg, in real seconds.
    """

    def __init__(
        self,
        ffmpeg: str,
        folder: Path,
        *,
        max_bytes: int = MAX_RECORDING,
        memory: int = MEMORY,
        seconds: float = SECONDS,
    ) -> None:
        self._ffmpeg = ffmpeg
        self._folder = private.folder(folder.absolute())
        self.max_bytes = max_bytes
        self._memory = memory
        self._seconds = seconds
        self._one_at_a_time = asyncio.Lock()

    async def measure(
        self, data: Path | bytes, medium: Medium, *, loc: tuple[str | int, ...], value: object
    ) -> Recording:
        """Measure a video or a sound.

        A video may do as a sound if it has one. Errors name the field of the input that the file came from,
        as `("body", "video_url")`, and its value.

        Raises:
            ModelError: `file_too_large`, `unsupported_video_format` or `unsupported_audio_format`; fal's list
                has no error for a damaged video or sound.
            OSError: ffmpeg could not be started, or the disk is full.
        """
        if await asyncio.to_thread(_size, data) > self.max_bytes:
            raise ModelError("file_too_large", loc, value, {"max_size": self.max_bytes})
        refusal = ModelError(
            f"unsupported_{medium}_format", loc, value, {"supported_formats": FORMATS[medium]}
        )
        try:
            async with self._one_at_a_time:
                found = await self._measure(data)
        except Broken as error:
            raise refusal from error
        if not (found.has_video if medium == "video" else found.has_sound):
            raise refusal
        return found

    async def _measure(self, data: Path | bytes) -> Recording:
        async with scratch(self._folder) as folder:
            path = data if isinstance(data, Path) else folder / "input"
            if isinstance(data, bytes):
                await in_thread(private.write, path, data)
            return await self._read(path, folder)

    async def _read(self, path: Path, folder: Path) -> Recording:
        # Copying reads the whole file without decoding it: the length is known even if the header lacks it.
        report = await self._run(path, ["-map", "0:v?", "-map", "0:a?", "-c", "copy", "-f", "null", "-"])
        seconds = _seconds(report)
        streams = [line for line in report.splitlines() if line.lstrip().startswith("Stream #0:")]
        has_sound = any(": Audio: " in line for line in streams)
        video = next((line for line in streams if ": Video: " in line and _COVER not in line), None)
        if video is None:
            return Recording(seconds=seconds, has_sound=has_sound)
        first = await self._frame(path, folder / "first.ppm", ["-frames:v", "1"])
        if first is None:
            raise Broken("it has no frame")
        rate, frames = _rate(video), max(map(int, _FRAMES.findall(report)), default=0)
        start = max(0.0, min(seconds, frames / rate if rate else seconds) - _BEFORE_END)
        last = await self._frame(path, folder / "last.ppm", ["-update", "1"], start=start)
        if last is None:  # its last frame is longer
            last = await self._frame(path, folder / "last.ppm", ["-update", "1"])
        return Recording(
            width=first.width,
            height=first.height,
            seconds=seconds,
            frames_per_second=rate,
            has_video=True,
            has_sound=has_sound,
            first=first,
            last=last,
        )

    async def _frame(
        self, path: Path, target: Path, options: Sequence[str], start: float = 0
    ) -> Picture | None:
        await in_thread(target.unlink, True)  # noqa: FBT003 - missing_ok
        output = ["-map", "0:v:0", "-an", *options, "-f", "image2", f"file:{target}"]
        await self._run(path, output, ["-ss", f"{start:.3f}"] if start else [])
        return await in_thread(_picture, target)

    async def _run(self, path: Path, output: list[str], seek: Sequence[str] = ()) -> str:
        """Run ffmpeg on a file and return its report."""
        limits = ["-max_pixels", str(MAX_DECODED), "-threads", "1"]
        limits += ["-format_whitelist", _DEMUXERS, "-protocol_whitelist", "file"]
        arguments = [*seek, *limits, "-i", f"file:{path}", *output]
        command = [self._ffmpeg, "-hide_banner", "-nostdin", "-y", *arguments]
        try:
            done = await processes.run(
                command, limit=_MAX_REPORT, timeout=self._seconds, capture="stderr", memory=self._memory
            )
        except TimeoutError as error:
            raise Broken("it takes too long") from error
        except processes.TooMuchOutput as error:
            raise Broken("it has too many faults") from error
        report = done.output.decode(errors="replace")
        if done.code:
            raise Broken(report[-500:])
        return report


def _size(data: Path | bytes) -> int:
    return len(data) if isinstance(data, bytes) else data.stat().st_size


def _seconds(report: str) -> float:
    """Return the length from the header, or from the last progress line if the header lacks it."""
    stated = _DURATION.search(report)
    found = stated or next(reversed(list(re.finditer(r"time=(\d+):(\d\d):(\d\d\.\d+)", report))), None)
    if found is None:
        raise Broken("it has no length")
    hours, minutes, seconds = found.groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _rate(stream: str) -> float:
    found = _RATE.search(stream)
    return float(found[1]) * (1000 if found[2] else 1) if found else 0.0


def _picture(path: Path) -> Picture | None:
    """Read a frame that ffmpeg wrote; None if it wrote none."""
    if not path.exists() or not path.stat().st_size:
        return None
    with Image.open(path, formats=["PPM"]) as image:
        width, height = image.size
        if max(width, height) > MAX_SIDE:
            raise Broken("its frames are too large")
        kept = image.convert("RGB")
        shrink = min(1.0, KEPT_SIDE / min(width, height))
        kept.thumbnail((round(width * shrink), round(height * shrink)))
        return Picture.of(width, height, kept.size, kept.tobytes())
