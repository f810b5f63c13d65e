"""Fetches and measures the files that an input names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal

from falmock.catalogue import limits
from falmock.catalogue.outputs import resolve, target_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from falmock.catalogue.entries import Entry, Json
    from falmock.catalogue.reading import Fields
    from falmock.catalogue.tools import Tools
    from falmock.media import Picture, Recording

Loc = tuple[str | int, ...]
Kind = Literal["archive", "video", "audio", "image"]

# By the name of the field, without an index as in "image_url_2"
_KINDS: Final[tuple[tuple[Kind, re.Pattern[str]], ...]] = (
    ("archive", re.compile(r"(^|_)data_url$|archive|zip")),
    ("video", re.compile(r"(^|_)(videos?|media)(_file)?(_urls?)?$")),
    (
        "audio",
        re.compile(r"(^|_)(audios?|sound|voice|speech|music|song|vocals)(_file)?_urls?$|(^|_)audios?$"),
    ),
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


@dataclass(slots=True)
class Sources:
    """The input files of a request.

    A file that was not fetched, because it is not on this machine, is known by its kind only.

    Attributes:
        first: the picture that the output starts from.
        last: the picture that a video ends with.
        video: the video that the output continues or changes.
        sound: the sound that the output follows.
        pictures: the sizes of all input pictures.
        kinds: of the files, also of those that were not fetched: "image", "video", "audio", "archive".
    """

    first: Picture | None = None
    last: Picture | None = None
    video: Recording | None = None
    sound: Recording | None = None
    pictures: list[tuple[int, int]] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)


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
        names = "/".join(str(part) for part in loc[1:])
        guides = _GUIDES.search(names) is not None
        sources.kinds.add(kind)
        if kind == "image":
            picture = await tools.picture(url, loc=loc)
            if picture is None:
                continue
            limits.check_picture(bounds, picture, loc=loc, value=url)
            sources.pictures.append((picture.width, picture.height))
            if _LAST.search(names):
                sources.last = sources.last or picture
            else:
                starts.append((2 if guides else 0 if _FIRST.search(names) else 1, picture))
        elif kind == "video" or kind == "audio":  # noqa: PLR1714 - narrows the type
            recording = await tools.recording(url, loc=loc, medium=kind)
            if recording is None:
                continue
            limits.check_recording(bounds, recording, kind=kind, loc=loc, value=url)
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
        items: Json = next(
            (branch["items"] for branch in branches if isinstance(branch.get("items"), dict)), {}
        )
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
