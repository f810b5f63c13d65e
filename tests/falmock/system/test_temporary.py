"""Temporary folders that killed processes leave are removed by the next one."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from falmock.system import temporary

HOLDS = """if True:
    import sys
    from falmock.system import temporary
    with temporary.folder() as folder:
        print(folder, flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary folders."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def age(path: Path) -> None:
    """Make a folder look as if it was last changed long ago."""
    os.utime(path, (0, 0), follow_symlinks=False)


def holder() -> tuple[subprocess.Popen[str], Path]:
    """Start a process that holds a temporary folder, which looks old."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    age(folder)
    return process, folder


def test_only_the_owner_can_read_a_temporary_folder(parent: Path) -> None:
    with temporary.folder() as folder:
        assert (folder.parent, stat.S_IMODE(folder.stat().st_mode)) == (parent, 0o700)


def test_a_temporary_folder_is_removed_with_its_contents_after_the_block(parent: Path) -> None:
    with temporary.folder() as folder:
        (folder / "upload").write_text("x")

    assert list(parent.iterdir()) == []


def test_the_folder_of_a_killed_process_is_removed_at_the_next_start(parent: Path) -> None:
    process, abandoned = holder()
    with process:
        process.kill()

    with temporary.folder() as folder:
        assert list(parent.iterdir()) == [folder]
    assert not abandoned.exists()


def test_the_folder_of_a_living_process_is_kept(parent: Path) -> None:
    process, used = holder()
    with process, temporary.folder():
        assert used.exists()
        process.communicate("")

    assert list(parent.iterdir()) == []


def test_a_folder_younger_than_a_minute_is_kept(parent: Path) -> None:
    young = parent / "falmock-young"
    young.mkdir()
    (young / temporary.LOCK).touch()

    with temporary.folder():
        assert young.exists()


def test_a_folder_without_a_lock_file_is_kept(parent: Path) -> None:
    state = parent / "falmock-state"
    state.mkdir()
    age(state)

    with temporary.folder():
        assert state.exists()


def test_a_folder_with_another_name_is_kept(parent: Path) -> None:
    other = parent / "other"
    other.mkdir()
    (other / temporary.LOCK).touch()
    age(other)

    with temporary.folder():
        assert other.exists()


def test_a_link_to_a_folder_elsewhere_is_kept_and_not_followed(parent: Path) -> None:
    (target := parent / "target").mkdir()
    (target / temporary.LOCK).touch()
    (link := parent / "falmock-link").symlink_to(target)
    age(target)
    age(link)

    with temporary.folder():
        assert (target / temporary.LOCK).exists()


def test_a_folder_of_another_user_is_kept(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = parent / "falmock-theirs"
    theirs.mkdir()
    (theirs / temporary.LOCK).touch()
    age(theirs)
    monkeypatch.setattr("falmock.system.temporary.os.getuid", lambda: theirs.stat().st_uid + 1)

    with temporary.folder():
        assert theirs.exists()
