"""Uploads: their tokens, and files that are complete or absent."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import threading
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from falmock.engine.files import Files
from falmock.engine.signing import Signer
from falmock.engine.store import Store
from falmock.engine.uploads import Upload, Uploads
from falmock.protocol.errors import BodyTooLarge, InvalidToken, PlatformError, StorageFull

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

UPLOAD = Upload("one", "/files/b/one", "text/plain", "me", None)
DATA = bytes(range(256)) * 8


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    with Store(None) as store:
        yield Files(store, tmp_path, max_size=4096)


class Time:
    """The emulated time, unix seconds."""

    now = 1_790_000_000.0


@pytest.fixture
def uploads(files: Files) -> Uploads:
    return Uploads(files, Signer(bytes(32)), now=lambda: Time.now, new_rng=Random)


async def chunks(*data: bytes) -> AsyncIterator[bytes]:
    for chunk in data:
        yield chunk


async def part(uploads: Uploads, number: int, data: bytes) -> tuple[int, str]:
    return number, await uploads.receive_part(UPLOAD, number, chunks(data))


def left(files: Files) -> list[str]:
    return [path.name for path in files.uploads.iterdir()]


def full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_sealed_upload_opens_to_the_same_upload(uploads: Uploads) -> None:
    upload = uploads.announce(name="my cat.png", content_type="image/png", owner="me", lifecycle=None)

    assert uploads.open(uploads.seal(upload)) == upload


def test_a_signed_upload_is_found_by_its_path_and_signature(uploads: Uploads) -> None:
    upload = uploads.announce(name="my cat.png", content_type="image/png", owner="me", lifecycle=None)

    path, _, signature = uploads.sign(upload).partition("?signature=")

    assert re.fullmatch(r"[A-Za-z0-9_-]{16}", signature)
    assert uploads.signed(path, signature) == upload


def test_only_the_newest_signed_uploads_are_remembered(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("falmock.engine.uploads.MOST_ANNOUNCED", 3)
    signed = [
        uploads.sign(uploads.announce(name=name, content_type="a/b", owner="me", lifecycle=None))
        for name in "abcd"
    ]
    first, *others = [text.partition("?signature=")[::2] for text in signed]

    assert [uploads.signed(*each).path for each in others] == [path for path, _ in others]
    with pytest.raises(InvalidToken):
        uploads.signed(*first)


def test_an_upload_is_named_after_the_time_in_tens_of_seconds(uploads: Uploads) -> None:
    upload = uploads.announce(name="a", content_type="a/b", owner="me", lifecycle=None)

    assert upload.path.startswith(f"/files/b/{1_790_000_000 // 10:08x}/")


def test_the_owner_of_a_token_is_its_key_id(uploads: Uploads) -> None:
    assert uploads.owner(uploads.token("me")) == "me"


def test_a_token_is_not_a_sealed_upload(uploads: Uploads) -> None:
    with pytest.raises(InvalidToken):
        uploads.open(uploads.token("me"))


@pytest.mark.parametrize("lifetime", [1, 3600, 7 * 24 * 3600])
def test_a_token_is_invalid_after_its_lifetime(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch, lifetime: int
) -> None:
    token = uploads.token("me", lifetime)
    monkeypatch.setattr(Time, "now", Time.now + lifetime - 1)
    assert uploads.owner(token) == "me"

    monkeypatch.setattr(Time, "now", Time.now + 1)

    with pytest.raises(InvalidToken):
        uploads.owner(token)


async def test_received_bytes_are_on_disk(uploads: Uploads) -> None:
    file = await uploads.receive(chunks(DATA[:1000], b"", DATA[1000:]))

    assert file.read_bytes() == DATA


async def test_the_etag_of_a_part_is_its_md5(uploads: Uploads) -> None:
    _, etag = await part(uploads, 1, DATA)

    assert etag == hashlib.md5(DATA, usedforsecurity=False).hexdigest()


async def test_an_upload_over_the_limit_leaves_no_file(uploads: Uploads, files: Files) -> None:
    with pytest.raises(BodyTooLarge):
        await uploads.receive(chunks(DATA, DATA, b"x"))

    assert left(files) == []


async def test_an_upload_to_a_full_disk_leaves_no_file(
    uploads: Uploads, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("falmock.system.disk.write_all", full)

    with pytest.raises(StorageFull):
        await uploads.receive(chunks(DATA))

    assert left(files) == []


async def test_an_upload_that_is_cancelled_ends_after_the_write_that_has_begun(
    uploads: Uploads, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def write(*_: Any) -> None:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait()

    monkeypatch.setattr("falmock.system.disk.write_all", write)
    upload = asyncio.create_task(uploads.receive(chunks(DATA)))
    await begun.wait()

    upload.cancel()
    done, _ = await asyncio.wait({upload}, timeout=0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await upload

    assert not done
    assert left(files) == []


async def test_parts_are_kept_when_the_disk_is_full_at_their_completion(
    uploads: Uploads, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [await part(uploads, 1, DATA[:1000]), await part(uploads, 2, DATA[1000:])]
    with monkeypatch.context() as patch:
        patch.setattr("falmock.system.disk.append", full)
        with pytest.raises(StorageFull):
            await uploads.complete(UPLOAD, parts)
    assert left(files) == [UPLOAD.id]

    file = await uploads.complete(UPLOAD, parts)

    assert (files.on_disk(file).read_bytes(), left(files)) == (DATA, [])


async def test_a_published_file_is_not_changed_when_the_disk_is_full(
    uploads: Uploads, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = uploads.publish(UPLOAD, await uploads.receive(chunks(b"first")))
    second = await uploads.receive(chunks(b"second"))
    monkeypatch.setattr("falmock.engine.files.link", full)

    with pytest.raises(StorageFull):
        uploads.publish(UPLOAD, second)

    assert files.live(UPLOAD.path, Time.now) == first
    assert (files.on_disk(first).read_bytes(), left(files)) == (b"first", [])


@pytest.mark.parametrize("etag", ["", "0" * 32, "../one/1." + "0" * 32, "f" * 5000, "\0", "\ud800"])
async def test_a_completion_with_another_etag_is_refused(uploads: Uploads, etag: str) -> None:
    await part(uploads, 1, DATA)

    with pytest.raises(PlatformError, match="parts"):
        await uploads.complete(UPLOAD, [(1, etag)])
