from __future__ import annotations

import asyncio
import stat
import subprocess
import sys
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Self

import psutil
import pytest
import uvloop
from PIL import Image

from falmock.media import Clip, Decoder, Picture, Renderer, find_ffmpeg

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    RunAsync = Callable[[Coroutine[Any, Any, Any]], Any]
    Children = Callable[[], list[psutil.Process]]

FAKE_FFMPEG = """#!{python} -IS
import sys
if sys.argv[1] == "-version":
    print("ffmpeg version fake")
    sys.exit()
import os, shutil, socket
wire = socket.create_connection(("127.0.0.1", {port}))
wire.sendall(b"%d\\n" % os.getpid())
order, _, text = wire.makefile().readline().rstrip("\\n").partition(" ")
video = next(word for word in sys.argv if word.startswith("file:") and word.endswith(".mp4"))[5:]
if order == "write":
    shutil.copyfile({sample!r}, video)
if order == "put":
    open(video, "w").write(text)
if order == "flood":
    while True:
        os.write(2, bytes(65536))
if order == "fail":
    open(video, "w").write("half a vid")
    sys.exit(text)
"""


@dataclass
class FakeProcess:
    """A running process of a `FakeFfmpeg`."""

    pid: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def order(self, order: str) -> None:
        """Send "write", "put TEXT", "flood" or "fail TEXT"; anything else ends it."""
        self.writer.write(order.encode() + b"\n")

    async def wait(self) -> None:
        await self.reader.read()


class FakeFfmpeg:
    """A program in place of ffmpeg that follows orders of the test.

    Attributes:
        program: its path.
        sample: the video that the order "write" copies.
        processes: those that have started, in order.
        started: their number.
    """

    def __init__(self, folder: Path, sample: Path) -> None:
        self.sample = sample
        self.program = folder / "ffmpeg"
        self.processes: asyncio.Queue[FakeProcess] = asyncio.Queue()
        self.started = 0

    async def __aenter__(self) -> Self:
        self.server = await asyncio.start_server(self._connected, "127.0.0.1")
        port = self.server.sockets[0].getsockname()[1]
        self.program.write_text(FAKE_FFMPEG.format(python=sys.executable, port=port, sample=str(self.sample)))
        self.program.chmod(stat.S_IRWXU)
        self.writers: list[asyncio.StreamWriter] = []
        return self

    async def __aexit__(self, *_: object) -> None:
        for writer in self.writers:
            writer.close()
            await writer.wait_closed()
        self.server.close()
        await self.server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.started += 1
        self.writers.append(writer)
        await self.processes.put(FakeProcess(int(await reader.readline()), reader, writer))


@pytest.fixture
def children() -> Children:
    """Return a function that lists the processes started by the test; other tests' servers may run."""
    own = psutil.Process()
    before = own.children(recursive=True)
    return lambda: [child for child in own.children(recursive=True) if child not in before]


@pytest.fixture
def fake_ffmpeg(tmp_path: Path, clip: Callable[..., Clip], rendered: Callable[[Clip], Path]) -> FakeFfmpeg:
    return FakeFfmpeg(tmp_path, rendered(clip()))


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run_async(request: pytest.FixtureRequest) -> Iterator[RunAsync]:
    """Run a coroutine, on each kind of event loop that the server may have."""
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner.run


@pytest.fixture(scope="session")
def picture_of() -> Callable[[Image.Image], Picture]:
    def make(image: Image.Image) -> Picture:
        buffer = BytesIO()
        image.save(buffer, "PNG")
        return asyncio.run(Decoder().picture(buffer.getvalue(), loc=("body", "image_url"), value=None))

    return make


@pytest.fixture(scope="session")
def clip() -> Callable[..., Clip]:
    def make(**changes: object) -> Clip:
        facts = {
            "width": 160,
            "height": 90,
            "frames": 24,
            "prompt": "A lego chef",
            "model": "fal-ai/veo2",
            "seed": 0,
        }
        return Clip(**(facts | changes))  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Clip], Path]:
    """Render clips for real, each once for all tests."""
    cache = tmp_path_factory.mktemp("videos")

    async def render(clip: Clip) -> Path:
        return await Renderer(ffmpeg=find_ffmpeg(), cache=cache, at_once=1, timeout=120).render(clip)

    return lambda clip: asyncio.run(render(clip))


@pytest.fixture(scope="session")
def frames(rendered: Callable[[Clip], Path]) -> Callable[[Clip], list[Image.Image]]:
    """Render a clip and decode it to images."""

    def decode(clip: Clip) -> list[Image.Image]:
        command = [find_ffmpeg(), "-loglevel", "error", "-i", str(rendered(clip)), "-f", "rawvideo"]
        done = subprocess.run([*command, "-pix_fmt", "rgb24", "-"], capture_output=True, check=True)
        size = clip.width * clip.height * 3
        starts = range(0, len(done.stdout), size)
        return [
            Image.frombytes("RGB", (clip.width, clip.height), done.stdout[start : start + size])
            for start in starts
        ]

    return decode
