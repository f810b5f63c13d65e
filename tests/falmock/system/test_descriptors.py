"""When no file descriptor is left, accepted work waits for one."""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvloop
from few_descriptors import none_left
from image_bombs import pixels, png

from falmock.engine.files import LARGE_INPUT, Files
from falmock.engine.posting import post
from falmock.engine.signing import Signer
from falmock.engine.store import Store
from falmock.engine.uploads import Uploads
from falmock.media import Clip, Decoder, Renderer, find_ffmpeg
from falmock.system import descriptors
from falmock.system.descriptors import share, with_descriptors, with_spare
from falmock.system.dialler import NOWHERE, Dialler, OwnAddresses
from falmock.system.transport import CheckedTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from pathlib import Path

    Play = Callable[[Coroutine[Any, Any, Any]], Any]

CLIP = Clip(width=160, height=90, frames=24, model="fal-ai/veo2", seed=0, style="plain")


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def play(request: pytest.FixtureRequest) -> Iterator[Play]:
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner.run


def test_a_render_waits_for_a_descriptor(play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> int:
        renderer = Renderer(ffmpeg=find_ffmpeg(), cache=tmp_path, at_once=2, timeout=60)
        with none_left(monkeypatch) as relief:
            video = await renderer.render(CLIP)
        assert video.stat().st_size
        return relief.waits

    assert play(scene()) == 1


def test_the_decoding_of_a_large_image_waits_for_a_descriptor(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> int:
        data = png(2000, 1100, pixels(2000, 1100))
        with none_left(monkeypatch) as relief:
            assert (await Decoder().picture(data, loc=("body",), value=None)).width == 2000
        return relief.waits

    assert play(scene()) == 1


def test_a_webhook_waits_for_a_descriptor(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def scene() -> int:
        server = await asyncio.start_server(take, "127.0.0.1")
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        dialler = Dialler(OwnAddresses(), beyond=NOWHERE)
        async with server, CheckedTransport(dialler, verify=ssl.create_default_context()) as http:
            with none_left(monkeypatch) as relief:
                answer = await post(http, url, body=b"{}", headers={"Content-Length": "2"}, limit=15)
        assert answer.verdict == "204"
        return relief.waits

    assert play(scene()) == 1


def test_an_upload_waits_for_a_descriptor(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b"bytes"

    async def scene() -> int:
        uploads = Uploads(
            Files(Store(None), tmp_path, max_size=1000), Signer(bytes(32)), now=lambda: 0.0, new_rng=Random
        )
        with none_left(monkeypatch) as relief:
            file = await uploads.receive(content())
        assert file.read_bytes() == b"bytes"
        return relief.waits

    assert play(scene()) == 1


def submitted(body_file: str | None) -> Any:
    return SimpleNamespace(body_file=body_file)


def test_a_submitted_body_is_written_and_read_with_the_spare_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    payloads = Files(Store(None), tmp_path, max_size=1000).payloads
    one, two = b"1" * (LARGE_INPUT + 1), b"2" * (LARGE_INPUT + 1)
    first = submitted(payloads.keep_input("1", one))
    with none_left(monkeypatch):
        assert payloads.body(first) == one
    with none_left(monkeypatch):
        assert payloads.body(submitted(payloads.keep_input("2", two))) == two


def test_the_first_submitted_body_is_written_with_the_spare_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    descriptors.spare.give_up()  # as in a new process
    payloads = Files(Store(None), tmp_path, max_size=1000).payloads

    with none_left(monkeypatch):
        assert payloads.keep_input("1", b"1" * (LARGE_INPUT + 1))


def test_only_one_of_many_threads_gives_the_spare_descriptor_up(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Barrier(2)

    def close(descriptor: int) -> None:
        with suppress(threading.BrokenBarrierError):
            start.wait(0.1)  # lets the other thread in, unless a lock keeps it out
        usual(descriptor)

    usual = os.close
    descriptors.spare.reserve()
    monkeypatch.setattr("falmock.system.descriptors.os.close", close)
    with ThreadPoolExecutor(2) as pool:
        given_up = [pool.submit(descriptors.spare.give_up) for _ in range(2)]

    assert sorted(each.result() for each in given_up) == [False, True]


def test_errors_other_than_a_missing_descriptor_are_raised_immediately() -> None:
    async def fail() -> None:
        tries.append(1)
        raise FileNotFoundError

    tries: list[int] = []
    with pytest.raises(FileNotFoundError):
        asyncio.run(with_descriptors(fail))
    with pytest.raises(FileNotFoundError):
        with_spare(lambda: open("/no/such/file"))  # noqa: PTH123, SIM115 - any call that fails
    assert tries == [1]


def test_a_missing_descriptor_is_an_error_after_a_minute_of_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail() -> None:
        tries.append(1)
        raise OSError(errno.EMFILE, "Too many open files")

    async def no_time_passes(seconds: float) -> None:
        waited.append(seconds)

    tries: list[int] = []
    waited: list[float] = []
    monkeypatch.setattr("falmock.system.descriptors.asyncio.sleep", no_time_passes)
    with pytest.raises(OSError, match="Too many open files"):
        asyncio.run(with_descriptors(fail))
    assert len(tries) == len(waited) + 1
    assert sum(waited) == pytest.approx(descriptors.PATIENCE, abs=descriptors.LONGEST_PAUSE)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOENT])
def test_a_missing_descriptor_is_recognized_as_the_cause_of_other_errors(code: int, wrapped: bool) -> None:
    error: Exception = OSError(code, "")
    if wrapped:
        error, cause = httpx.ConnectError(""), error
        error.__cause__ = ExceptionGroup("", [cause])
    assert descriptors.none_left(error) == (code != errno.ENOENT)


@pytest.mark.parametrize(("soft", "slots"), [(8, 2), (1024, 256), (100_000, 256), (1, 1), (-1, 256)])
def test_webhooks_may_take_at_most_a_quarter_of_the_descriptors(
    monkeypatch: pytest.MonkeyPatch, soft: int, slots: int
) -> None:
    monkeypatch.setattr("falmock.system.descriptors.resource.getrlimit", lambda _: (soft, soft))
    assert share(4, most=256) == slots
