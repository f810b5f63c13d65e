from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from example_count import examples
from hypothesis import given
from hypothesis import strategies as st

from falmock.media.mp4 import BrokenVideo, Shape, check

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from falmock.media import Clip

SHAPE = Shape(160, 90, 24)


@pytest.fixture(scope="session")
def video(clip: Callable[..., Clip], rendered: Callable[[Clip], Path]) -> bytes:
    return rendered(clip()).read_bytes()


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mp4") / "video.mp4"


def checked(path: Path, data: bytes, shape: Shape = SHAPE) -> None:
    path.write_bytes(data)
    check(path, shape)


def pictures(video: bytes) -> int:
    """Return where the content of the mdat box begins."""
    return video.index(b"mdat") + 4


def test_a_rendered_video_passes_the_check(path: Path, video: bytes) -> None:
    checked(path, video)


@pytest.mark.parametrize(
    "shape", [Shape(160, 92, 24), Shape(162, 90, 24), Shape(160, 90, 23), Shape(160, 90, 25)]
)
def test_a_video_with_another_size_or_length_is_refused(path: Path, video: bytes, shape: Shape) -> None:
    with pytest.raises(BrokenVideo, match="instead of"):
        checked(path, video, shape)


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
    with pytest.raises(BrokenVideo):
        checked(path, data)


def test_a_video_with_noise_for_frames_is_refused(path: Path, video: bytes) -> None:
    start = pictures(video)
    with pytest.raises(BrokenVideo, match="a frame is missing or damaged"):
        checked(path, video[:start] + b"\x5a" * (len(video) - start))


def test_an_index_with_too_many_frames_is_refused(path: Path, video: bytes) -> None:
    sizes = video.index(b"stsz") + 8
    with pytest.raises(BrokenVideo, match="table of frames"):
        checked(path, video[:sizes] + b"\0\0\0\x01\xff\xff\xff\xff" + video[sizes + 8 :])


@given(st.data())
def test_a_video_truncated_at_any_byte_is_refused(path: Path, video: bytes, data: st.DataObject) -> None:
    end = data.draw(st.integers(0, len(video) - 1))
    with pytest.raises(BrokenVideo):
        checked(path, video[:end])


@given(st.data())
@examples(200)
def test_a_damaged_video_passes_or_is_refused(path: Path, video: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, pictures(video)))
    damage = data.draw(st.binary(min_size=1, max_size=8))
    with suppress(BrokenVideo):
        checked(path, video[:start] + damage + video[start + len(damage) :])
