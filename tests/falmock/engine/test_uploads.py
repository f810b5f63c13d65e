"""Uploads on disk: complete or not there."""

from __future__ import annotations

import errno
import hashlib
import os
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from falmock.engine.files import Files
from falmock.engine.signing import Signer
from falmock.engine.store import Store
from falmock.engine.uploads import Upload, Uploads
from falmock.protocol.errors import BodyTooLarge, PlatformError, StorageFull

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

UPLOAD = Upload("one", "/files/b/one", "text/plain", "me", None)
DATA = bytes(range(256)) * 8


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    with Store(None) as store:
        yield Files(store, tmp_path, max_size=4096)


@pytest.fixture
def uploads(files: Files) -> Uploads:
    return Uploads(files, Signer(bytes(32)), now=lambda: 0.0, new_rng=Random)


async def chunks(*data: bytes) -> AsyncIterator[bytes]:
    for each in data:
        yield each


async def part(uploads: Uploads, number: int, data: bytes) -> tuple[int, str]:
    arrival = await uploads.receive(chunks(data))
    uploads.keep_part(UPLOAD, number, arrival)
    return number, arrival.etag


def left(files: Files) -> list[str]:
    return [path.name for path in files.uploads.iterdir()]


def full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_what_arrives_is_on_disk_with_its_checksum(uploads: Uploads) -> None:
    arrival = await uploads.receive(chunks(DATA[:1000], b"", DATA[1000:]))

    assert arrival.file.read_bytes() == DATA
    assert arrival.etag == hashlib.md5(DATA, usedforsecurity=False).hexdigest()


async def test_of_too_many_bytes_none_is_kept(uploads: Uploads, files: Files) -> None:
    with pytest.raises(BodyTooLarge):
        await uploads.receive(chunks(DATA, DATA, b"x"))

    assert left(files) == []


async def test_where_the_disk_is_full_nothing_is_kept_of_an_upload(
    uploads: Uploads, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("falmock.system.disk.write_all", full)

    with pytest.raises(StorageFull):
        await uploads.receive(chunks(DATA))

    assert left(files) == []


async def test_where_the_disk_is_full_the_parts_stay_for_another_completion(
    uploads: Uploads, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [await part(uploads, 1, DATA[:1000]), await part(uploads, 2, DATA[1000:])]
    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfileobj", full)
        with pytest.raises(StorageFull):
            await uploads.complete(UPLOAD, parts)
    assert left(files) == [UPLOAD.id]

    file = await uploads.complete(UPLOAD, parts)

    assert (files.on_disk(file).read_bytes(), left(files)) == (DATA, [])


async def test_where_the_disk_is_full_a_file_at_the_same_path_stays_as_it_was(
    uploads: Uploads, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = uploads.publish(UPLOAD, (await uploads.receive(chunks(b"first"))).file)
    second = await uploads.receive(chunks(b"second"))
    monkeypatch.setattr("falmock.engine.files.link", full)

    with pytest.raises(StorageFull):
        uploads.publish(UPLOAD, second.file)

    assert files.live(UPLOAD.path, 0.0) == first
    assert (files.on_disk(first).read_bytes(), left(files)) == (b"first", [])


@pytest.mark.parametrize("etag", ["", "0" * 32, "../one/1." + "0" * 32, "f" * 5000, "\0", "\ud800"])
async def test_a_part_with_another_etag_is_refused(uploads: Uploads, etag: str) -> None:
    await part(uploads, 1, DATA)

    with pytest.raises(PlatformError, match="parts"):
        await uploads.complete(UPLOAD, [(1, etag)])
