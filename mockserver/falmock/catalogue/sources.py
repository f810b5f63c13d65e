"""Fetches and measures the files that an input names, and checks them against the limits of their fields."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from falmock.catalogue.outputs import resolve, target_of
from falmock.protocol.model_errors import ModelError

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Mapping

    from falmock.catalogue.entries import Entry, Json
    from falmock.catalogue.reading import Fields
    from falmock.media import Picture, Recording, Specification

Loc = tuple[str | int, ...]
Kind = Literal["archive", "video", "audio", "image"]

# By the name of the field, without an index as in "image_url_2"
_KINDS: Final[tuple[tuple[Kind, re.Pattern[str]], ...]] = (
    ("archive", re.compile(r"(^|_)data_url$|archive|zip")),
    ("video", re.compile(r"(^|_)(videos?|media)(_file)?(_urls?)?$")),
    ("audio", re.compile(r"(^|_)(audios?|sound|voice|speech|music|song|vocals)(_file)?_urls?$")),
    ("audio", re.compile(r"(^|_)audios?$")),
    ("image", re.compile(r"(^|_)(images?|picture|photo|mask|face|selfie|garment|texture)(_file)?(_urls?)?$")),
    ("image", re.compile(r"(^|_)(frames?|masks)_urls?$")),
)
_LAST: Final = re.compile(r"(^|_)(end|last|tail)_")
_FIRST: Final = re.compile(r"(^|_)(start|first)_")
# Pictures that guide a model, other than its start
_GUIDES: Final = re.compile(
    r"mask|ref(erence)?_|control|style|garment|pose|depth|canny|background|texture|trajector|loras|adapter"
    r"|elements|guide|normal_|segmentation|teed|swap|fill|product|change_map|back_|left_|right_"
)
_NOT_TEXT: Final = frozenset({"integer", "number", "boolean"})
_MOST: Final = 64  # files of one input


class Published(Protocol):
    """A file on the CDN."""

    @property
    def url(self) -> str: ...

    @property
    def file_size(self) -> int | None: ...


class Tools(Protocol):
    """Services of the runner for a model that runs."""

    seed: int  # follows from the emulator's seed and the input
    random: random.Random  # seeded with it
    style: Any  # of media, from the settings: "animate" or "plain"

    async def picture(self, url: str, *, loc: Loc) -> Picture | None:
        """Return the image at a URL or in a data URI; None for a remote one, which is not fetched.

        Raises:
            ModelError: it could not be fetched or decoded.
        """
        ...

    async def recording(self, url: str, *, loc: Loc, medium: Literal["video", "audio"]) -> Recording | None:
        """Measure the video or sound at a URL or in a data URI; None for a remote one.

        Raises:
            ModelError: it could not be fetched or decoded.
        """
        ...

    async def publish(self, spec: Specification, *, name: str) -> Published:
        """Render a medium and publish it under a file name, which no other file of the request has."""
        ...

    async def inline(self, spec: Specification) -> str:
        """Render a medium and return it as a data URI."""
        ...


@dataclass(slots=True)
class Sources:
    """The input files of a request. Of one that was not fetched, only the kind is known."""

    first: Picture | None = None  # the output starts from it
    last: Picture | None = None  # a video ends with it
    video: Recording | None = None  # the output continues or changes it
    sound: Recording | None = None  # the output follows it
    pictures: list[tuple[int, int]] = field(default_factory=list)  # the sizes of all input pictures
    kinds: set[Kind] = field(default_factory=set)


async def fetch(entry: Entry, fields: Fields, tools: Tools) -> Sources:
    """Fetch all input files that the caller gave.

    Raises:
        ModelError: one could not be fetched or decoded, or is beyond the limits of its field.
    """
    sources = Sources()
    starts: list[tuple[int, Picture]] = []
    required = entry.schemas[entry.input].get("required", ())
    given = {  # an empty text stands for no file, unless the file is required
        name: value
        for name, value in fields.values.items()
        if name in fields.given and (value != "" or name in required)
    }
    found = _files(entry.schemas, given, ("body",), {"properties": fields.properties})
    for loc, url, kind, bounds in islice(found, _MOST):
        names = "/".join(map(str, loc[1:]))
        guides = _GUIDES.search(names) is not None
        sources.kinds.add(kind)
        if kind == "image":
            picture = await tools.picture(url, loc=loc)
            if picture is None:
                continue
            _check_picture(bounds, picture, loc, url)
            sources.pictures.append((picture.width, picture.height))
            if _LAST.search(names):
                sources.last = sources.last or picture
            else:
                starts.append((2 if guides else 0 if _FIRST.search(names) else 1, picture))
        elif kind == "video" or kind == "audio":  # noqa: PLR1714 - narrows the type
            recording = await tools.recording(url, loc=loc, medium=kind)
            if recording is None:
                continue
            _check_recording(bounds, recording, kind, loc, url)
            if guides:
                continue
            if recording.has_video and kind == "video":
                sources.video = sources.video or recording
            else:
                sources.sound = sources.sound or recording
    if starts:
        _, sources.first = min(starts, key=lambda start: start[0])
    return sources


def kinds(entry: Entry) -> set[Kind]:
    """Return the kinds of files that the fields of a model's input take."""
    properties = entry.schemas[entry.input].get("properties", {})
    return {
        kind
        for name, schema in properties.items()
        if (kind := kind_of(name)) is not None
        and target_of(entry.schemas, schema)[0].get("type") not in _NOT_TEXT  # `num_images` is no image
    }


def _files(
    schemas: Mapping[str, Json], value: Any, loc: Loc, schema: Json
) -> Iterator[tuple[Loc, str, Kind, Json]]:
    """Yield place, URL, kind and limits of each file in a part of an input."""
    resolved = resolve(schemas, schema)
    choices = resolved.get("anyOf") or resolved.get("allOf") or ()
    branches = [resolved, *(resolve(schemas, branch) for branch in choices)]
    if isinstance(value, dict):
        properties: Json = next((branch["properties"] for branch in branches if "properties" in branch), {})
        for name, member in value.items():
            yield from _files(schemas, member, (*loc, name), properties.get(name, {}))
    elif isinstance(value, list):
        described = (branch.get("items") for branch in branches)
        items: Json = next((each for each in described if isinstance(each, dict)), {})
        for index, member in enumerate(value):
            yield from _files(schemas, member, (*loc, index), items)
    elif isinstance(value, str) and (value or len(loc) == len(("body", "field"))):
        name = next(str(part) for part in reversed(loc) if isinstance(part, str))
        kind = kind_of(name)
        if kind is not None and ("url" in name or re.match(r"(https?|data):", value, re.IGNORECASE)):
            yield loc, value, kind, resolved.get("x-fal") or {}


def kind_of(name: str) -> Kind | None:
    """Return the kind of file that a field of this name takes, or None."""
    plain = re.sub(r"_\d+$", "", name)
    return next((kind for kind, pattern in _KINDS if pattern.search(plain)), None)


# The limits of a field: `x-fal` in fal's documents (PROTOCOL.md 14.2).


def _check_picture(limits: Json, picture: Picture, loc: Loc, url: str) -> None:
    def limit(default: float, *names: str) -> dict[str, float]:
        return {name: limits.get(name, default) for name in names}

    least, most = limit(1, "min_height", "min_width"), limit(math.inf, "max_height", "max_width")
    ratios = limit(0, "min_aspect_ratio") | limit(math.inf, "max_aspect_ratio")
    if picture.width < least["min_width"] or picture.height < least["min_height"]:
        raise _refusal("image_too_small", loc, url, least)
    if picture.width > most["max_width"] or picture.height > most["max_height"]:
        raise _refusal("image_too_large", loc, url, most)
    if not ratios["min_aspect_ratio"] <= picture.width / picture.height <= ratios["max_aspect_ratio"]:
        raise _refusal("image_aspect_ratio_error", loc, url, ratios)


def _check_recording(limits: Json, recording: Recording, kind: Kind, loc: Loc, url: str) -> None:
    seconds = round(recording.seconds, 3)
    shortest, longest = limits.get("min_duration", 0), limits.get("max_duration", math.inf)
    if seconds < shortest:
        facts = {"min_duration": shortest, "provided_duration": seconds}
        raise _refusal(f"{kind}_duration_too_short", loc, url, facts)
    if seconds > longest:
        facts = {"max_duration": longest, "provided_duration": seconds}
        raise _refusal(f"{kind}_duration_too_long", loc, url, facts)


def _refusal(error_type: str, loc: Loc, url: str, facts: Mapping[str, float]) -> ModelError:
    known = {name: fact for name, fact in facts.items() if fact != math.inf}
    return ModelError(error_type, loc, url, known)
