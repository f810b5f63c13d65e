from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from example_count import examples
from hypothesis import given
from hypothesis import strategies as st

from falmock.media.checks import BrokenFile, Shape, check_mp4

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from falmock.media import Clip

SHAPE = Shape(160, 90, 24, Fraction(24))


@pytest.fixture(scope="session")
def video(clip: Callable[..., Clip], rendered: Callable[[Clip], Path]) -> bytes:
    return rendered(clip()).read_bytes()


@pytest.fixture(scope="session")
def with_sound(clip: Callable[..., Clip], rendered: Callable[[Clip], Path]) -> bytes:
    return rendered(clip(sound=True)).read_bytes()


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mp4") / "video.mp4"


def checked(path: Path, data: bytes, shape: Shape = SHAPE) -> None:
    path.write_bytes(data)
    check_mp4(path, shape)


def pictures(video: bytes) -> int:
    """Return where the content of the mdat box begins."""
    return video.index(b"mdat") + 4


def test_a_rendered_video_passes_the_check(path: Path, video: bytes) -> None:
    checked(path, video)


@pytest.mark.parametrize(
    "change",
    [
        {"height": 92},
        {"width": 162},
        {"frames": 23},
        {"frames": 25},
        {"rate": Fraction(25)},
        {"rate": Fraction(24000, 1001)},
        {"sound": True},
    ],
)
def test_a_video_with_another_size_length_rate_or_sound_is_refused(
    path: Path, video: bytes, change: dict[str, Any]
) -> None:
    with pytest.raises(BrokenFile, match="instead of"):
        checked(path, video, replace(SHAPE, **change))


def test_a_video_with_sound_passes_the_check(path: Path, with_sound: bytes) -> None:
    checked(path, with_sound, replace(SHAPE, sound=True))


def test_a_video_with_an_unexpected_sound_track_is_refused(path: Path, with_sound: bytes) -> None:
    with pytest.raises(BrokenFile, match="instead of"):
        checked(path, with_sound)


def test_a_sound_that_is_shorter_than_its_video_is_refused(path: Path, with_sound: bytes) -> None:
    times = with_sound.rindex(b"stts") + 12  # of the second track: number of samples, then the length of each
    shorter = with_sound[:times] + (20).to_bytes(4) + with_sound[times + 4 :]
    with pytest.raises(BrokenFile, match=r"of sound instead of 1\.0"):
        checked(path, shorter, replace(SHAPE, sound=True))


def test_a_sound_that_is_cut_off_is_refused(path: Path, with_sound: bytes) -> None:
    with pytest.raises(BrokenFile, match="missing"):
        checked(path, with_sound[:-10], replace(SHAPE, sound=True))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"noise",
        bytes(1000),
        b"\xff" * 1000,
        b"\0\0\0\x08ftyp",
        b"\0\0\0\x08ftyp\0\0\0\x08moov",
        b"\0\0\0\x08ftyp\xff\xff\xff\xffmoov",
        b"\0\0\0\x08moov",
    ],
)
def test_a_file_that_is_not_a_video_is_refused(path: Path, data: bytes) -> None:
    with pytest.raises(BrokenFile):
        checked(path, data)


def test_a_video_with_noise_for_frames_is_refused(path: Path, video: bytes) -> None:
    start = pictures(video)
    with pytest.raises(BrokenFile, match="a frame is missing or damaged"):
        checked(path, video[:start] + b"\x5a" * (len(video) - start))


def test_an_index_with_too_many_frames_is_refused(path: Path, video: bytes) -> None:
    sizes = video.index(b"stsz") + 8
    with pytest.raises(BrokenFile, match="table of frames"):
        checked(path, video[:sizes] + b"\0\0\0\x01\xff\xff\xff\xff" + video[sizes + 8 :])


@given(st.data())
def test_a_video_truncated_at_any_byte_is_refused(path: Path, video: bytes, data: st.DataObject) -> None:
    end = data.draw(st.integers(0, len(video) - 1))
    with pytest.raises(BrokenFile):
        checked(path, video[:end])


@given(st.data())
@examples(200)
def test_a_damaged_video_passes_or_is_refused(path: Path, video: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, pictures(video)))
    damage = data.draw(st.binary(min_size=1, max_size=8))
    with suppress(BrokenFile):
        checked(path, video[:start] + damage + video[start + len(damage) :])
