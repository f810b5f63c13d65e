"""Reads the facts of a file from its bytes, with decoders that did not make it."""

from __future__ import annotations

import io
import json
import re
import subprocess
import wave
import zipfile
from functools import cache
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from PIL import Image

from falmock.media import find_ffmpeg
from falmock.media.probe import probe

if TYPE_CHECKING:
    from pathlib import Path

Facts = dict[str, Any]
PICTURES = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP", "image/gif": "GIF"}
VIDEOS = {"video/mp4": b"ftyp", "video/quicktime": b"ftyp", "video/webm": b"\x1a\x45\xdf\xa3"}
HEADERLESS = {"audio/pcm", "audio/basic", "audio/x-alaw-basic"}
_known: dict[tuple[str, bytes], Facts] = {}


def read(content_type: str, data: bytes, folder: Path) -> Facts:
    """Return the facts of a file by the names that fal's file objects have.

    Raises:
        AssertionError, or an error of a decoder: it is no file of that type.
    """
    key = content_type, data
    if key not in _known:
        _known[key] = _read(content_type, data, folder)
    return _known[key]


def _read(content_type: str, data: bytes, folder: Path) -> Facts:
    assert data
    if content_type in PICTURES:
        with Image.open(io.BytesIO(data), formats=[PICTURES[content_type]]) as image:
            image.load()
            size = {"width": image.width, "height": image.height}
            return size | ({"num_frames": _frames(image)} if content_type == "image/gif" else {})
    if content_type in VIDEOS:
        return _video(content_type, data, folder)
    if content_type == "audio/wav":
        with wave.open(io.BytesIO(data)) as file:
            rate, channels = file.getframerate(), file.getnchannels()
            return {"sample_rate": rate, "channels": channels, "duration": file.getnframes() / rate}
    if content_type in HEADERLESS:
        return {}
    if content_type.startswith("audio/"):
        return _sound(data, folder)
    return _other(content_type, data)


def _frames(image: Image.Image) -> int:
    return int(getattr(image, "n_frames", 1))


def _other(content_type: str, data: bytes) -> Facts:
    if content_type == "image/svg+xml":
        drawing = ET.fromstring(data)  # noqa: S314 - falmock made it
        return {side: int(drawing.attrib[side]) for side in ("width", "height")}
    if content_type == "application/json":
        json.loads(data)
    elif content_type == "application/zip":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.namelist()
            assert archive.testzip() is None
    elif content_type == "model/gltf-binary":
        assert (data[:4], int.from_bytes(data[8:12], "little")) == (b"glTF", len(data))
    elif content_type in {"application/x-subrip", "text/vtt"}:
        assert " --> " in data.decode()
    elif content_type.startswith("text/"):
        assert data.decode()
    elif content_type == "model/obj":
        assert re.search(rb"^v .*^f ", data, re.DOTALL | re.MULTILINE)
    elif content_type == "model/stl":
        assert len(data) == 84 + 50 * int.from_bytes(data[80:84], "little")
    elif not data.startswith(b"ply\n"):
        assert content_type == "application/octet-stream", f"no reader for {content_type}"
        assert json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])  # safetensors
    return {}


def _video(content_type: str, data: bytes, folder: Path) -> Facts:
    assert VIDEOS[content_type] in data[:8]
    assert content_type != "video/quicktime" or data[8:12] == b"qt  "
    path = folder / "probed"
    path.write_bytes(data)
    found = probe(path)
    return {
        "width": found.width,
        "height": found.height,
        "fps": found.frames_per_second,
        "num_frames": found.frames,
        "duration": found.seconds,
    }


def _sound(data: bytes, folder: Path) -> Facts:
    path = folder / "probed"
    path.write_bytes(data)
    decoded = subprocess.run(
        [_ffmpeg(), "-hide_banner", "-nostdin", "-xerror", "-i", str(path), "-f", "s16le", "-"],
        capture_output=True,
        check=True,
    )
    stream = re.search(r"Audio: .*?, (\d+) Hz, (mono|stereo)", decoded.stderr.decode(errors="replace"))
    assert stream is not None
    rate, channels = int(stream[1]), 1 if stream[2] == "mono" else 2
    return {
        "sample_rate": rate,
        "channels": channels,
        "duration": len(decoded.stdout) / 2 / channels / rate,
    }


@cache
def _ffmpeg() -> str:
    return find_ffmpeg()
