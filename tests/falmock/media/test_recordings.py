from __future__ import annotations

import asyncio
import subprocess
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from example_count import examples
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageStat

from falmock.media import Clip, Measurer, Picture, Recording, Sound, find_ffmpeg
from falmock.protocol.model_errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from falmock.media import Specification
    from falmock.media.recordings import Medium

    Rendered = Callable[[Specification], Path]

LOC = ("body", "video_url")


def measured(data: Path | bytes, medium: Medium = "video", **limits: Any) -> Recording:
    with TemporaryDirectory() as folder:
        measurer = Measurer(find_ffmpeg(), Path(folder), **limits)
        try:
            return asyncio.run(measurer.measure(data, medium, loc=LOC, value="a URL"))
        finally:
            assert list(Path(folder).iterdir()) == []


def made(path: Path, *options: str) -> Path:
    """Make an input file with ffmpeg."""
    subprocess.run([find_ffmpeg(), "-loglevel", "error", *options, str(path)], check=True)
    return path


@pytest.fixture(scope="session")
def changing(picture_of: Callable[[Image.Image], Picture]) -> Clip:
    """Return a clip that starts with red and ends with blue."""
    red, blue = (picture_of(Image.new("RGB", (64, 48), colour)) for colour in ((200, 40, 40), (40, 40, 200)))
    return Clip(
        width=64, height=48, frames=36, frames_per_second=29.97, sound=True, picture=red, last_picture=blue
    )


def colour(picture: Picture | None) -> list[float]:
    assert picture is not None
    image = Image.frombytes("RGB", picture.size, picture.rgb)
    return ImageStat.Stat(image.crop((8, 40, 56, 48))).mean


@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_video_is_measured_with_its_first_and_last_frame(
    rendered: Rendered, changing: Clip, as_bytes: bool
) -> None:
    path = rendered(changing)
    found = measured(path.read_bytes() if as_bytes else path)
    assert (found.width, found.height, found.has_video, found.has_sound) == (64, 48, True, True)
    assert found.frames_per_second == 29.97
    assert found.seconds == pytest.approx(changing.seconds, abs=0.02)
    assert colour(found.first) == pytest.approx((200, 40, 40), abs=12)
    assert colour(found.last) == pytest.approx((40, 40, 200), abs=12)


@pytest.mark.parametrize("kind", ["wav", "mp3", "flac", "ogg", "m4a"])
def test_a_sound_is_measured(rendered: Rendered, kind: Any) -> None:
    found = measured(rendered(Sound(seconds=1.5, format=kind)), "audio")
    assert found.seconds == pytest.approx(1.5, abs=0.05)
    assert (found.has_video, found.has_sound, found.first, found.last) == (False, True, None, None)


def test_a_turned_video_is_measured_upright(tmp_path: Path) -> None:
    flat = made(tmp_path / "a.mp4", "-f", "lavfi", "-i", "testsrc=s=64x48:d=0.2", "-c:v", "libx264")
    found = measured(made(tmp_path / "b.mp4", "-display_rotation", "90", "-i", str(flat), "-c", "copy"))
    assert (found.width, found.height) == (48, 64)


def test_a_video_whose_header_has_no_length_is_measured(tmp_path: Path) -> None:
    source = ["-f", "lavfi", "-i", "testsrc=s=64x48:d=0.5:r=10", "-c:v", "libvpx", "-live", "1"]
    found = measured(made(tmp_path / "a.webm", *source))
    assert found.seconds == pytest.approx(0.5, abs=0.11)
    assert found.last is not None


def test_the_last_frame_is_found_in_a_video_that_is_shorter_than_its_sound(tmp_path: Path) -> None:
    source = ["-f", "lavfi", "-i", "testsrc=s=64x48:d=0.5", "-f", "lavfi", "-i", "sine=d=4"]
    found = measured(made(tmp_path / "a.mp4", *source))
    assert found.seconds == pytest.approx(4, abs=0.1)
    assert found.last is not None


def test_the_cover_of_a_song_is_no_video(tmp_path: Path) -> None:
    cover = ["-f", "lavfi", "-i", "color=s=16x16:d=0.04", "-map", "0", "-map", "1", "-c:v", "png"]
    path = made(tmp_path / "a.mp3", "-f", "lavfi", "-i", "sine=d=1", *cover, "-disposition:v", "attached_pic")
    assert measured(path, "audio").has_video is False
    with pytest.raises(ModelError, match="Unsupported video format"):
        measured(path, "video")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"noise" * 1000,
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile 'a.mp4'\n",
        b"<?xml version='1.0'?><MPD></MPD>",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
    ],
)
@pytest.mark.parametrize("medium", ["video", "audio"])
def test_a_file_that_is_no_recording_is_refused(data: bytes, medium: Any) -> None:
    with pytest.raises(ModelError) as caught:
        measured(data, medium)
    (entry,) = caught.value.body["detail"]
    assert entry["type"] == f"unsupported_{medium}_format"
    assert entry["loc"] == ["body", "video_url"]
    assert entry["input"] == "a URL"
    assert ".mp4" in entry["ctx"]["supported_formats"] or medium == "audio"


def test_a_playlist_of_a_readable_file_is_refused(rendered: Rendered, tmp_path: Path) -> None:
    video = rendered(Clip(width=64, height=48, frames=2, style="plain"))
    playlist = tmp_path / "playlist.mp4"
    playlist.write_text(f"ffconcat version 1.0\nfile 'file:{video}'\n")
    with pytest.raises(ModelError):
        measured(playlist)


def test_a_truncated_video_is_refused(rendered: Rendered, changing: Clip) -> None:
    with pytest.raises(ModelError, match="Unsupported video format"):
        measured(rendered(changing).read_bytes()[:500])


def test_a_recording_that_is_too_large_is_refused(rendered: Rendered, changing: Clip) -> None:
    with pytest.raises(ModelError) as caught:
        measured(rendered(changing), max_bytes=1000)
    assert caught.value.body["detail"][0]["ctx"] == {"max_size": 1000}


@pytest.mark.parametrize("limits", [{"memory": 30_000_000}, {"seconds": 0.001}])
def test_a_recording_that_needs_too_much_memory_or_time_is_refused(
    rendered: Rendered, changing: Clip, limits: dict[str, Any]
) -> None:
    with pytest.raises(ModelError, match="Unsupported video format"):
        measured(rendered(changing), **limits)


@given(st.data())
@examples(8)
def test_a_damaged_recording_is_measured_or_refused(
    rendered: Rendered, changing: Clip, data: st.DataObject
) -> None:
    whole = rendered(changing).read_bytes()
    start = data.draw(st.integers(0, len(whole)))
    damage = data.draw(st.binary(min_size=1, max_size=50))
    with suppress(ModelError):
        found = measured(whole[:start] + damage + whole[start + len(damage) :])
        assert found.first is not None
