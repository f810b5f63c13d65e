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
def test_only_the_owner_can_read_a_written_file(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        private.write(tmp_path / "secret", b"hush")

    assert mode(tmp_path / "secret") == 0o600


@pytest.mark.parametrize("mask", UMASKS, ids=oct)
def test_only_the_owner_can_enter_a_folder(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        private.folder(tmp_path / "state")

    assert mode(tmp_path / "state") == 0o700


def test_an_incomplete_file_of_a_killed_process_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "secret.part").write_bytes(b"hu")

    private.write(tmp_path / "secret", b"hush")

    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("secret", b"hush")]


def test_a_failed_write_leaves_the_earlier_file(tmp_path: Path) -> None:
    private.write(tmp_path / "secret", b"hush")

    with pytest.raises(TypeError):
        private.write(tmp_path / "secret", "no bytes")  # type: ignore[arg-type]

    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("secret", b"hush")]


def open_to_all(path: Path) -> Path:
    """Return a folder with entries that every user can read."""
    path.mkdir()
    (path / "own").mkdir()
    (path / "own" / "inner").write_text("x")
    for entry in (path, path / "own", path / "own" / "inner"):
        entry.chmod(0o777)
    return path


def test_own_restricts_the_folder_and_all_its_named_entries(tmp_path: Path) -> None:
    state = open_to_all(tmp_path / "state")

    private.own(state, {"own"})

    assert [mode(path) for path in (state, state / "own", state / "own" / "inner")] == [0o700, 0o700, 0o600]


def test_own_does_not_restrict_a_shared_folder_and_its_other_entries(tmp_path: Path) -> None:
    state = open_to_all(tmp_path / "state")
    (state / "theirs").write_text("x")
    (state / "theirs").chmod(0o644)

    private.own(state, {"own"})

    assert [mode(path) for path in (state, state / "theirs", state / "own")] == [0o777, 0o644, 0o700]


def test_own_does_not_follow_links(tmp_path: Path) -> None:
    elsewhere = open_to_all(tmp_path / "elsewhere")
    state = tmp_path / "state"
    state.mkdir()
    (state / "own").symlink_to(elsewhere)

    private.own(state, {"own"})

    assert mode(elsewhere) == 0o777
