"""Tools for a model, in memory."""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from falmock.media import Picture, Recording
from falmock.protocol.model_errors import ModelError

if TYPE_CHECKING:
    from falmock.media import Specification

Loc = tuple[str | int, ...]

PICTURE = Picture.of(1600, 900, (1, 1), b"one")
LAST_PICTURE = Picture.of(1600, 900, (1, 1), b"end")
FIRST_FRAME = Picture.of(640, 480, (1, 1), b"1st")
LAST_FRAME = Picture.of(640, 480, (1, 1), b"nth")
VIDEO = Recording(
    width=640,
    height=480,
    seconds=4.0,
    frames_per_second=25,
    has_video=True,
    has_sound=True,
    first=FIRST_FRAME,
    last=LAST_FRAME,
)
SOUND = Recording(seconds=7.5, has_sound=True)


@dataclass(frozen=True, slots=True)
class Published:
    url: str
    content_type: str
    file_name: str
    file_size: int


@dataclass(slots=True)
class RecordedTools:
    """Finds a picture, video or sound at each URL by its words, and records all media.

    Attributes:
        first: the picture at a URL.
        video: the video at a URL.
        sound: the sound at a URL.
        remote: no file is on this machine.
        broken: part of the URL of a file that cannot be decoded.
        specifications: of the media, in order.
        files: the published ones, by URL.
        loads: the places of the files that were fetched.
    """

    seed: int = 20_000_000_000
    style: Literal["animate", "plain"] = "plain"
    first: Picture = PICTURE
    video: Recording = VIDEO
    sound: Recording = SOUND
    remote: bool = False
    broken: str = "no such URL"
    random: random.Random = field(default_factory=lambda: random.Random(1))
    specifications: list[Specification] = field(default_factory=list)
    files: dict[str, Published] = field(default_factory=dict)
    loads: list[Loc] = field(default_factory=list)

    async def picture(self, url: str, *, loc: Loc) -> Picture | None:
        self.loads.append(loc)
        if self.broken in url:
            raise ModelError("image_load_error", loc, url)
        is_last = any(word in url for word in ("end_", "last_", "tail_"))
        return None if self.remote else LAST_PICTURE if is_last else self.first

    async def recording(self, url: str, *, loc: Loc, medium: Literal["video", "audio"]) -> Recording | None:
        self.loads.append(loc)
        return None if self.remote else self.sound if medium == "audio" else self.video

    async def publish(self, spec: Specification, *, name: str) -> Published:
        url = f"https://files.test/{name}"
        assert url not in self.files, "two files of a request have one name"
        self.files[url] = Published(url, spec.content_type, name, 1000 + len(self.files))
        self.specifications.append(spec)
        return self.files[url]

    async def inline(self, spec: Specification) -> str:
        self.specifications.append(spec)
        return f"data:{spec.content_type};base64,{base64.b64encode(bytes(100)).decode()}"
