"""The files in an input or a result, and the addresses on this origin at which a page may show them.

A page loads nothing from another host: an image elsewhere is a link. The CDN sends its files with a sandbox
(see `http.cdn`), so they run no script on this origin.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

from falmock.protocol import urls
from falmock.protocol.hosts import ALIASES, CDN, is_own

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from falmock.engine.emulator import Emulator

MOST: Final = 24  # files of one value that are shown
DEPTH: Final = 12  # levels of a value that are searched
# Types that a page shows from a data URI. SVG is not among them: it may contain scripts.
SHOWN: Final = frozenset(
    {
        *("image/png", "image/jpeg", "image/webp", "image/gif", "image/avif", "image/bmp"),
        *("video/mp4", "video/webm", "audio/mpeg", "audio/wav", "audio/x-wav", "audio/ogg", "audio/mp4"),
    }
)


@dataclass(frozen=True, slots=True)
class Medium:
    """A file in a value."""

    label: str  # its place in the value, as "images.0.url"
    url: str  # shortened if it is a data URI
    kind: str  # "image", "video", "audio" or "file"
    source: str = ""  # address on this origin, if there is one
    note: str = ""  # why it is not shown, or its type


def find(value: Any, emulator: Emulator, data_address: str = "") -> list[Medium]:
    """Return the files in a JSON value.

    Args:
        value: JSON.
        emulator: has the files.
        data_address: address at which data URIs of this value are served; their label is added to it.
    """
    media = (_medium(label, text, emulator, data_address) for label, text in texts(value))
    return list(islice(filter(None, media), MOST))


def texts(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield the texts in a value, each with its place."""
    if isinstance(value, str):
        yield ".".join(path), value
    elif len(path) < DEPTH and isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, item in items:
            yield from texts(item, (*path, str(name)))


def decode(uri: str) -> tuple[str, bytes] | None:
    """Return type and content of a data URI that a page may show, or None."""
    head, _, data = uri.partition(",")
    kind, *parameters = head[len("data:") :].split(";")
    kind = kind.strip().lower()
    if kind not in SHOWN or "base64" not in parameters:
        return None
    try:
        return kind, base64.b64decode(unquote(data))
    except (binascii.Error, ValueError):
        return None


def path_on_cdn(url: str, names: Collection[str]) -> str | None:
    """Return the path of a file on the emulator's CDN, or None for another URL."""
    try:
        parts = urls.split(url)
        host = parts.hostname or ""
    except ValueError:
        return None
    path = unquote(parts.path)
    if ALIASES.get(host) == CDN:
        return path
    first, _, rest = path.removeprefix("/").partition("/")
    if is_own(host, names) and ALIASES.get(first) == CDN:
        return f"/{rest}"
    return None


def _medium(label: str, text: str, emulator: Emulator, data_address: str) -> Medium | None:
    if text[:5].lower() == "data:":
        kind = text[5:].partition(",")[0].partition(";")[0].strip().lower()
        shown = data_address if kind in SHOWN else ""
        source = shown and shown + quote(label, safe="")
        return Medium(
            label, f"{text[:40]}…", kind.partition("/")[0] if shown else "file", source, kind or "data"
        )
    if text[:7].lower() != "http://" and text[:8].lower() != "https://":
        return None
    path = path_on_cdn(text, emulator.settings.own_names)
    if path is None:
        return Medium(label, text, "file", note="on another host")
    file = emulator.files.live(path, emulator.clock.now())
    if file is None:
        return Medium(label, text, "file", note="deleted or expired")
    if file.acl is not None:
        return Medium(label, text, "file", note="has an access list")
    kind = file.content_type.partition("/")[0]
    kind = kind if kind in {"image", "video", "audio"} else "file"
    return Medium(label, text, kind, f"/{CDN}{quote(path)}", file.content_type)
