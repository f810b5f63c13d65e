"""Writes are complete or an error, and a full disk is a refusal."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from falmock.protocol.errors import StorageFull
from falmock.system import disk


def test_a_write_to_a_full_disk_raises_storage_full() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")

    with (
        pytest.raises(StorageFull) as refused,
        disk.room(),
        Path("/dev/full").open("wb", buffering=0) as sink,
    ):
        disk.write_all(sink, b"x")

    assert (refused.value.status, refused.value.body["error_type"]) == (507, "storage_full")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_errors_about_space_quota_and_file_size_raise_storage_full(code: int) -> None:
    with pytest.raises(StorageFull), disk.room():
        raise OSError(code, os.strerror(code))


def test_a_write_to_a_full_database_raises_storage_full() -> None:
    db = sqlite3.connect(":memory:", isolation_level=None)
    try:
        db.execute("CREATE TABLE t (x)")
        db.execute("PRAGMA max_page_count = 2")
        with pytest.raises(StorageFull), disk.room():
            db.execute("INSERT INTO t VALUES (zeroblob(100000))")
    finally:
        db.close()


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "no"), sqlite3.OperationalError("no")])
def test_errors_that_are_not_about_storage_are_not_changed(error: Exception) -> None:
    with pytest.raises(type(error)), disk.room():
        raise error


def test_write_all_repeats_partial_writes_until_all_bytes_are_written() -> None:
    data = os.urandom(10_000)
    got = bytearray()

    class Slow:
        """A sink that takes 1000 bytes at a time."""

        def write(self, chunk: memoryview) -> int:
            got.extend(chunk[:1000])
            return min(1000, len(chunk))

    disk.write_all(Slow(), data)  # type: ignore[arg-type]

    assert bytes(got) == data


def appended(tmp_path: Path) -> bytes:
    """Append a file to another one, and return what that has then."""
    source, sink = tmp_path / "source", tmp_path / "sink"
    source.write_bytes(b"bytes" * 1000)
    with source.open("rb", buffering=0) as read, sink.open("wb", buffering=0) as written:
        written.write(b"more ")
        disk.append(read, written)
    return sink.read_bytes()


def test_a_file_is_appended_to_another(tmp_path: Path) -> None:
    assert appended(tmp_path) == b"more " + b"bytes" * 1000


def test_a_file_is_appended_where_the_system_cannot_copy_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> int:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)

    assert appended(tmp_path) == b"more " + b"bytes" * 1000


def test_a_file_is_appended_on_a_system_without_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "copy_file_range", raising=False)

    assert appended(tmp_path) == b"more " + b"bytes" * 1000


def test_a_file_that_the_system_copied_in_part_is_appended_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy_some(source: int, sink: int, count: int) -> int:
        if os.lseek(source, 0, os.SEEK_CUR):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return os.write(sink, os.read(source, min(count, 700)))

    monkeypatch.setattr(os, "copy_file_range", copy_some, raising=False)

    assert appended(tmp_path) == b"more " + b"bytes" * 1000
