from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from falmock.media import Clip, find_ffmpeg
from falmock.media.probe import Facts, main, probe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Rendered = Callable[[Clip], Path]


@pytest.mark.parametrize(
    ("size", "seconds", "style"),
    [((1280, 720), 5, "animate"), ((720, 1280), 8, "plain")],
)
def test_a_rendered_clip_has_the_properties_of_its_description(
    clip: Callable[..., Clip], rendered: Rendered, size: tuple[int, int], seconds: int, style: str
) -> None:
    video = rendered(clip(width=size[0], height=size[1], frames=24 * seconds, style=style))
    assert probe(video) == Facts(
        codec="h264",
        pixel_format="yuv420p",
        width=size[0],
        height=size[1],
        frames_per_second=24,
        seconds=seconds,
        frames=24 * seconds,
        faststart=True,
    )


def test_a_video_with_its_index_last_is_not_faststart(
    clip: Callable[..., Clip], rendered: Rendered, tmp_path: Path
) -> None:
    copy = remuxed(rendered(clip()), tmp_path / "copy.mp4")
    assert not probe(copy).faststart


def test_codec_and_frame_rate_are_reported(
    clip: Callable[..., Clip], rendered: Rendered, tmp_path: Path
) -> None:
    options = ["-c:v", "mpeg4", "-r", "25", "-s", "64x48"]
    facts = probe(remuxed(rendered(clip()), tmp_path / "other.mp4", *options))
    assert (facts.codec, facts.width, facts.height, facts.frames_per_second) == ("mpeg4", 64, 48, 25)


def remuxed(video: Path, copy: Path, *options: str) -> Path:
    command = [find_ffmpeg(), "-loglevel", "error", "-i", str(video), *(options or ["-c", "copy"]), str(copy)]
    subprocess.run(command, check=True)
    return copy


def test_a_truncated_video_is_refused(clip: Callable[..., Clip], rendered: Rendered, tmp_path: Path) -> None:
    data = rendered(clip()).read_bytes()
    (tmp_path / "half.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="is not a video"):
        probe(tmp_path / "half.mp4")


def test_a_video_without_frames_is_refused(
    clip: Callable[..., Clip], rendered: Rendered, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="is not a video"):
        probe(remuxed(rendered(clip()), tmp_path / "empty.mp4", "-c:v", "mpeg4", "-frames:v", "0"))


@pytest.mark.parametrize("content", [b"", b"\0\0\0\0moov", b"no video at all"])
def test_a_file_that_is_not_a_video_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "text.mp4").write_bytes(content)
    with pytest.raises(ValueError, match="is not a video"):
        probe(tmp_path / "text.mp4")


def test_the_probe_command_prints_one_fact_a_line(clip: Callable[..., Clip], rendered: Rendered) -> None:
    command = [sys.executable, "-W", "error", "-m", "falmock.media.probe", str(rendered(clip()))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "codec: h264",
        "pixel_format: yuv420p",
        "width: 160",
        "height: 90",
        "frames_per_second: 24.0",
        "seconds: 1.0",
        "frames: 24",
        "faststart: True",
    ]


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["one", "two"], 2), (["/nowhere/at.all"], 1)])
def test_the_probe_command_reports_an_error_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int
) -> None:
    assert main(arguments) == code
    assert len(capsys.readouterr().err.splitlines()) == 1
