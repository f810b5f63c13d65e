"""Files and folders that only their owner can read or change."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from falmock.system import private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UMASKS = [0o000, 0o022, 0o077, 0o777]


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", UMASKS, ids=oct)
def test_only_the_owner_can_read_a_file(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        private.write(tmp_path / "secret", b"hush")

    assert mode(tmp_path / "secret") == 0o600


@pytest.mark.parametrize("mask", UMASKS, ids=oct)
def test_only_the_owner_can_enter_a_folder(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        private.folder(tmp_path / "state")

    assert mode(tmp_path / "state") == 0o700


def test_what_a_killed_process_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "secret.part").write_bytes(b"hu")

    private.write(tmp_path / "secret", b"hush")

    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("secret", b"hush")]


def test_a_file_that_cannot_be_written_whole_is_left_as_it_was(tmp_path: Path) -> None:
    private.write(tmp_path / "secret", b"hush")

    with pytest.raises(TypeError):
        private.write(tmp_path / "secret", "no bytes")  # type: ignore[arg-type]

    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("secret", b"hush")]


def open_to_all(path: Path) -> Path:
    """Return a folder as an earlier version made it."""
    path.mkdir()
    (path / "own").mkdir()
    (path / "own" / "inner").write_text("x")
    for entry in (path, path / "own", path / "own" / "inner"):
        entry.chmod(0o777)
    return path


def test_what_an_earlier_version_left_open_is_closed(tmp_path: Path) -> None:
    state = open_to_all(tmp_path / "state")

    private.own(state, {"own"})

    assert [mode(each) for each in (state, state / "own", state / "own" / "inner")] == [0o700, 0o700, 0o600]


def test_a_folder_that_others_use_too_stays_open_and_so_do_their_files(tmp_path: Path) -> None:
    state = open_to_all(tmp_path / "state")
    (state / "theirs").write_text("x")
    (state / "theirs").chmod(0o644)

    private.own(state, {"own"})

    assert [mode(each) for each in (state, state / "theirs", state / "own")] == [0o777, 0o644, 0o700]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    elsewhere = open_to_all(tmp_path / "elsewhere")
    state = tmp_path / "state"
    state.mkdir()
    (state / "own").symlink_to(elsewhere)

    private.own(state, {"own"})

    assert mode(elsewhere) == 0o777
