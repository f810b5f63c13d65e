"""Media of every kind, made for real and read back."""

from __future__ import annotations

import asyncio
import json
import re
import struct
import subprocess
import threading
import wave
import zipfile
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image, ImageDraw, ImageStat

from falmock.media import (
    Clip,
    Document,
    Mesh,
    Picture,
    Renderer,
    Sound,
    Specification,
    Still,
    Weights,
    archive,
    find_ffmpeg,
)
from falmock.media.probe import probe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Rendered = Callable[[Specification], Path]

CLIP = Clip(width=64, height=48, frames=10, prompt="A lego chef", model="fal-ai/veo2", seed=3)
STILL = Still(width=101, height=67, prompt="A lego chef", model="fal-ai/flux/dev", seed=3)
RAW = {"pcm": "s16le", "ulaw": "mulaw", "alaw": "alaw"}


@dataclass(frozen=True)
class Decoded:
    """What ffmpeg makes of a file: its report, and the samples of its sound."""

    report: str
    samples: bytes

    @property
    def rate(self) -> int:
        return int(self._stream[1])

    @property
    def channels(self) -> int:
        return 1 if self._stream[2] == "mono" else 2

    @property
    def seconds(self) -> float:
        return len(self.samples) / 2 / self.channels / self.rate

    @property
    def loudest(self) -> int:
        return max(abs(int(value)) for (value,) in struct.iter_unpack("<h", self.samples))

    @property
    def _stream(self) -> re.Match[str]:
        found = re.search(r"Audio: .*?, (\d+) Hz, (mono|stereo)", self.report)
        assert found is not None
        return found


def decoded(path: Path, *options: str) -> Decoded:
    command = [find_ffmpeg(), "-hide_banner", "-xerror", *options, "-i", str(path), "-vn", "-f", "s16le", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    return Decoded(done.stderr.decode(), done.stdout)


def report(path: Path) -> str:
    command = [find_ffmpeg(), "-hide_banner", "-xerror", "-i", str(path), "-f", "null", "-"]
    return subprocess.run(command, capture_output=True, check=True).stderr.decode()


# Videos


@pytest.mark.parametrize("style", ["animate", "plain"])
@pytest.mark.parametrize(("rate", "exact"), [(24, 24), (16, 16), (23.976, 24000 / 1001), (30, 30)])
def test_a_video_has_its_frames_and_rate(rendered: Rendered, style: Any, rate: float, exact: float) -> None:
    facts = probe(rendered(replace(CLIP, frames_per_second=rate, style=style)))
    assert (facts.width, facts.height, facts.frames) == (64, 48, 10)
    assert facts.seconds == pytest.approx(10 / exact, abs=0.001)
    assert facts.faststart


def test_an_odd_video_is_a_pixel_larger(rendered: Rendered) -> None:
    facts = probe(rendered(replace(CLIP, width=63, height=47)))
    assert (facts.width, facts.height) == (64, 48)


@pytest.mark.parametrize(
    ("container", "codec", "sound", "pattern"),
    [
        ("mp4", "h264", True, r"Audio: aac"),
        ("mov", "h264", True, r"Audio: aac"),
        ("webm", "vp9", True, r"Audio: opus"),
        ("webm", "vp9", False, None),
        ("gif", "gif", True, None),
    ],
)
def test_each_container_has_its_codecs(
    rendered: Rendered, container: Any, codec: str, sound: bool, pattern: str | None
) -> None:
    text = report(rendered(replace(CLIP, container=container, sound=sound)))
    assert f"Video: {codec}" in text
    assert re.search(r"frame= +10 ", text)
    assert re.search(r", 64x48[, ]", text)
    assert ("Audio: " in text) is (pattern is not None)
    assert pattern is None or re.search(pattern, text)


def test_the_sound_of_a_video_is_as_long_as_it_and_quiet(rendered: Rendered) -> None:
    sound = decoded(rendered(replace(CLIP, sound=True, frames=24)))
    assert sound.seconds == pytest.approx(1, abs=0.03)
    assert 300 < sound.loudest < 10_000


@pytest.fixture(scope="session")
def red(picture_of: Callable[[Image.Image], Picture]) -> Picture:
    return picture_of(Image.new("RGB", (64, 48), (200, 40, 40)))


@pytest.fixture(scope="session")
def blue(picture_of: Callable[[Image.Image], Picture]) -> Picture:
    return picture_of(Image.new("RGB", (64, 48), (40, 40, 200)))


@pytest.mark.parametrize("count", [2, 3, 10])
def test_a_video_starts_with_one_picture_and_ends_with_another(
    frames: Callable[[Clip], list[Image.Image]], red: Picture, blue: Picture, count: int
) -> None:
    seen = frames(replace(CLIP, picture=red, last_picture=blue, frames=count))
    middles = [ImageStat.Stat(image.crop((8, 40, 56, 48))).mean for image in seen]
    assert middles[0] == pytest.approx((200, 40, 40), abs=12)
    assert middles[-1] == pytest.approx((40, 40, 200), abs=12)
    assert [each[2] for each in middles] == sorted(each[2] for each in middles)


def test_a_video_of_one_frame_shows_the_first_picture(
    frames: Callable[[Clip], list[Image.Image]], red: Picture, blue: Picture
) -> None:
    (seen,) = frames(replace(CLIP, picture=red, last_picture=blue, frames=1))
    assert ImageStat.Stat(seen.crop((8, 40, 56, 48))).mean == pytest.approx((200, 40, 40), abs=12)


# Images


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_an_image_has_exactly_its_size_and_format(rendered: Rendered, kind: Any, transparent: bool) -> None:
    with Image.open(rendered(replace(STILL, format=kind, transparent=transparent))) as image:
        image.load()
        assert image.format == kind.upper()
        assert image.size == (101, 67)
        assert (image.mode == "RGBA") is (transparent and kind != "jpeg")


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (60, 60), (64, 64)])
def test_an_image_may_have_any_size(rendered: Rendered, size: tuple[int, int]) -> None:
    with Image.open(rendered(replace(STILL, width=size[0], height=size[1], transparent=True))) as image:
        assert image.size == size


# Sounds


@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (16000, 1)])
@pytest.mark.parametrize("kind", ["wav", "mp3", "flac", "ogg", "opus", "m4a", "aac", "pcm", "ulaw", "alaw"])
def test_a_sound_has_its_length_rate_and_channels(
    rendered: Rendered, kind: Any, rate: int, channels: int
) -> None:
    wanted = Sound(seconds=0.7331, format=kind, sample_rate=rate, channels=channels)
    layout = "mono" if channels == 1 else "stereo"
    options = ["-f", RAW[kind], "-ar", str(rate), "-ch_layout", layout] if kind in RAW else []
    found = decoded(rendered(wanted), *options)
    exact = 2 / rate if kind not in {"aac", "ogg", "opus"} else 0.15  # those have no exact length
    assert found.seconds == pytest.approx(0.7331, abs=exact)
    assert found.channels == channels
    assert found.rate == (48000 if kind == "opus" else rate)  # Opus is always decoded so
    assert 300 < found.loudest < 10_000


def test_a_wav_can_be_read_by_python(rendered: Rendered) -> None:
    with wave.open(str(rendered(Sound(seconds=0.5, sample_rate=8000)))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (8000, 1, 4000)


def test_the_seed_decides_the_tones(rendered: Rendered) -> None:
    sounds = {rendered(Sound(seconds=0.2, seed=seed)).read_bytes() for seed in (0, 1, 12, 10**25)}
    assert len(sounds) == 4


# Other files


def glb(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Read a binary glTF as its specification says; return its document and its buffer."""
    magic, version, length = struct.unpack_from("<4sII", data)
    size, kind = struct.unpack_from("<I4s", data, 12)
    assert (magic, version, length, kind) == (b"glTF", 2, len(data), b"JSON")
    rest = 20 + size
    binary, other = struct.unpack_from("<I4s", data, rest)
    assert other == b"BIN\0"
    assert size % 4 == binary % 4 == 0
    assert rest + 8 + binary == len(data)
    return json.loads(data[20:rest]), data[rest + 8 :]


def test_a_glb_has_a_closed_mesh_that_is_seen_from_outside(rendered: Rendered) -> None:
    document, buffer = glb(rendered(Mesh(seed=5)).read_bytes())
    assert 0 <= len(buffer) - document["buffers"][0]["byteLength"] < 4
    points, indices = (
        buffer[view.get("byteOffset", 0) :][: view["byteLength"]] for view in document["bufferViews"]
    )
    vertices = list(struct.iter_unpack("<3f", points))
    faces = list(struct.iter_unpack("<3H", indices))
    assert_closed(vertices, faces)
    accessors = document["accessors"]
    assert [each["count"] for each in accessors] == [len(vertices), len(vertices), 3 * len(faces)]
    assert accessors[0]["max"] == [max(axis) for axis in zip(*vertices, strict=True)]
    assert accessors[0]["min"] == [min(axis) for axis in zip(*vertices, strict=True)]


def assert_closed(vertices: list[tuple[Any, ...]], faces: list[tuple[Any, ...]]) -> None:
    """Check that each edge is in two faces, once in each direction, and that the faces look outward."""
    edges = [(face[index], face[index - 2]) for face in faces for index in range(3)]
    assert len(set(edges)) == len(edges)
    assert {(end, start) for start, end in edges} == set(edges)
    for face in faces:
        (ax, ay, az), (bx, by, bz), (cx, cy, cz) = (vertices[index] for index in face)
        volume = ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)
        assert volume > 0


def test_an_obj_has_the_same_mesh(rendered: Rendered) -> None:
    lines = [line.split() for line in rendered(Mesh(format="obj")).read_text().splitlines()]
    vertices = [tuple(map(float, line[1:])) for line in lines if line[0] == "v"]
    faces = [tuple(int(index) - 1 for index in line[1:]) for line in lines if line[0] == "f"]
    assert_closed(vertices, faces)


def test_a_ply_has_the_same_mesh(rendered: Rendered) -> None:
    head, _, body = rendered(Mesh(format="ply")).read_text().partition("end_header\n")
    count = int(re.findall(r"element vertex (\d+)", head)[0])
    rows = [line.split() for line in body.splitlines()]
    assert_closed(
        [tuple(map(float, row[:3])) for row in rows[:count]],
        [tuple(map(int, row[1:])) for row in rows[count:]],
    )


def test_an_stl_has_the_same_mesh(rendered: Rendered) -> None:
    data = rendered(Mesh(format="stl")).read_bytes()
    (count,) = struct.unpack_from("<I", data, 80)
    assert len(data) == 84 + 50 * count
    assert not data.startswith(b"solid")  # that would be the format in text
    triangles = [struct.unpack_from("<12f", data, 84 + 50 * index) for index in range(count)]
    vertices = sorted({values[start : start + 3] for values in triangles for start in (3, 6, 9)})
    assert_closed(
        vertices,
        [tuple(vertices.index(values[start : start + 3]) for start in (3, 6, 9)) for values in triangles],
    )


def test_weights_are_in_the_format_of_safetensors(rendered: Rendered) -> None:
    data = rendered(Weights(seed=1, rank=2)).read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + size])
    assert header.pop("__metadata__") == {"format": "pt"}
    assert size % 8 == 0
    ends = [0]
    for tensor in header.values():
        rows, columns = tensor["shape"]
        assert tensor["dtype"] == "F16"
        assert tensor["data_offsets"] == [ends[-1], ends[-1] + 2 * rows * columns]
        ends.append(tensor["data_offsets"][1])
    assert 8 + size + ends[-1] == len(data)


def test_a_document_has_its_bytes(rendered: Rendered) -> None:
    document = Document(name="words.srt", data=b"1\n\0\xff")
    assert rendered(document).read_bytes() == document.data
    assert rendered(document).suffix == ".srt"


def test_an_archive_depends_on_names_and_contents_only() -> None:
    members = {"a.txt": b"one", "b/c.txt": b"two" * 100}
    data = archive(members)
    with zipfile.ZipFile(BytesIO(data)) as file:
        assert {name: file.read(name) for name in file.namelist()} == members
    assert archive(members) == data


EACH: list[Specification] = [
    replace(CLIP, sound=True),
    replace(CLIP, sound=True, container="webm"),
    replace(CLIP, container="gif"),
    STILL,
    replace(STILL, format="webp"),
    *(Sound(seconds=0.2, format=kind) for kind in ("wav", "mp3", "flac", "ogg", "opus", "m4a")),
    Mesh(),
    Weights(),
]


@pytest.mark.parametrize("wanted", EACH, ids=lambda each: type(each).__name__ + each.suffix)
def test_a_damaged_medium_in_the_cache_is_made_again_to_the_same_bytes(
    rendered: Rendered, wanted: Specification, tmp_path: Path
) -> None:
    async def render() -> Path:
        return await Renderer(ffmpeg=find_ffmpeg(), cache=tmp_path, at_once=1, timeout=60).render(wanted)

    whole = rendered(wanted).read_bytes()
    damaged = tmp_path / rendered(wanted).name
    damaged.write_bytes(b"")
    assert asyncio.run(render()) == damaged
    assert damaged.read_bytes() == whole


@pytest.mark.parametrize("wanted", [STILL, Mesh(), Weights(), Document(name="a.txt", data=b"a")])
def test_what_needs_no_ffmpeg_starts_no_process(wanted: Specification, tmp_path: Path) -> None:
    renderer = Renderer(ffmpeg="/no/such/ffmpeg", cache=tmp_path, at_once=1, timeout=60)
    assert asyncio.run(renderer.render(wanted)).exists()


@pytest.mark.parametrize("wanted", [STILL, replace(CLIP, width=160, height=90, prompt="猫")])
def test_nothing_is_drawn_on_the_event_loop(
    wanted: Specification, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set()
    text = ImageDraw.ImageDraw.text

    def draw(*arguments: Any, **options: Any) -> None:
        threads.add(threading.current_thread())
        text(*arguments, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", draw)
    renderer = Renderer(ffmpeg=find_ffmpeg(), cache=tmp_path, at_once=1, timeout=60)
    asyncio.run(renderer.render(wanted))
    assert threads
    assert threading.main_thread() not in threads
