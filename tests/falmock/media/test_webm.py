from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falmock.media.checks import BrokenFile, Shape, check_webm

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from falmock.media import Clip

SHAPE = Shape(64, 48, 6, Fraction(24), sound=True)


@pytest.fixture(scope="session")
def video(clip: Callable[..., Clip], rendered: Callable[[Clip], Path]) -> bytes:
    return rendered(clip(width=64, height=48, frames=6, container="webm", sound=True)).read_bytes()


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("webm") / "video.webm"


def checked(path: Path, data: bytes, shape: Shape = SHAPE) -> None:
    path.write_bytes(data)
    check_webm(path, shape)


def test_a_rendered_video_passes_the_check(path: Path, video: bytes) -> None:
    checked(path, video)


@pytest.mark.parametrize("change", [{"width": 66}, {"height": 50}, {"frames": 7}, {"sound": False}])
def test_a_video_with_another_size_length_or_sound_is_refused(
    path: Path, video: bytes, change: dict[str, Any]
) -> None:
    with pytest.raises(BrokenFile, match="instead of"):
        checked(path, video, replace(SHAPE, **change))


@pytest.mark.parametrize("data", [b"", b"noise", bytes(1000), b"\xff" * 1000, b"\x1a\x45\xdf\xa3\x80"])
def test_a_file_that_is_not_a_video_is_refused(path: Path, data: bytes) -> None:
    with pytest.raises(BrokenFile):
        checked(path, data)


def test_a_video_whose_sound_track_has_no_number_is_refused(path: Path, video: bytes) -> None:
    number = b"\xd7\x81\x02"  # the element TrackNumber
    assert number in video

    with pytest.raises(BrokenFile):
        checked(path, video.replace(number, b"\xec" + number[1:]))  # Void, which readers skip


@given(st.data())
def test_a_video_truncated_at_any_byte_is_refused(path: Path, video: bytes, data: st.DataObject) -> None:
    with pytest.raises(BrokenFile):
        checked(path, video[: data.draw(st.integers(0, len(video) - 1))])


@given(st.data())
def test_a_damaged_video_passes_or_is_refused(path: Path, video: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(video)))
    damage = data.draw(st.binary(min_size=1, max_size=8))
    with suppress(BrokenFile):
        checked(path, video[:start] + damage + video[start + len(damage) :])
