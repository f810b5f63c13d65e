"""Finds fonts on the system that can draw a text, by the characters that they have.

Pillow includes one font, Aileron, which has little more than Latin letters. The others are searched for in
the usual folders when a text needs them, and their tables of characters are read once.
"""

from __future__ import annotations

import hashlib
import os
import struct
from bisect import bisect_right
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from PIL import Image, ImageDraw, ImageFont, features

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

_SUFFIXES: Final = {".ttf", ".otf", ".ttc", ".otc"}
_MOST_FONTS: Final = 4000
_MAX_TABLE: Final = 4 * 1024 * 1024  # bytes of a table of characters
_MAX_RANGES: Final = 100_000
_STRIKES: Final = (109, 128, 136, 160, 96, 64, 32, 20)  # sizes of fonts that are made of bitmaps
_TRIAL: Final = 20.0  # pixels
_EMOJI: Final = 0x1F000  # from here on, colour is better
_UNWELCOME: Final = (  # in names of fonts; a plain upright one of normal weight comes first
    *("bold", "italic", "oblique", "slanted", "thin", "light", "black", "medium", "heavy", "semi", "extra"),
    *("condensed", "narrow", "mono", "serif", "display", "math", "symbols", "ui", "supplement"),
    *("nastaliq", "kufi", "naskh", "looped", "unjoined", "rashi"),
)
_SHAPED: Final = ((0x0590, 0x08FF), (0x0900, 0x0DFF), (0x0F00, 0x109F), (0x1780, 0x17FF), (0xFB1D, 0xFEFC))


class BrokenFont(ValueError):
    """The file is not a font with a table of characters."""


class Font:
    """A font file and the characters that it has.

    Args:
        path: of the file; None for the font that Pillow includes.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.is_emoji = path is not None and "emoji" in path.name.lower()
        self._ranges: list[int] | None = None
        self._identity = ""

    def has(self, text: Iterable[str]) -> bool:
        """Return whether it has all characters of a text. A file that is not a font has none."""
        if self._ranges is None:
            try:
                self._ranges = self._read()
            except (OSError, BrokenFont, struct.error):
                self._ranges = []
        return all(bisect_right(self._ranges, ord(character)) % 2 for part in text for character in part)

    def at(self, size: float) -> tuple[ImageFont.FreeTypeFont, float]:
        """Return the font in a size, and the factor by which to scale what it draws.

        Raises:
            OSError: it cannot be loaded.
        """
        if self.path is None:
            font = ImageFont.load_default(size)
            assert isinstance(font, ImageFont.FreeTypeFont)  # noqa: S101 - the other kind has no size
            return font, 1
        if not self.is_emoji:
            return ImageFont.truetype(self.path, size), 1
        for strike in _STRIKES:
            try:
                return ImageFont.truetype(self.path, strike), size / strike
            except OSError:
                continue
        return ImageFont.truetype(self.path, size), 1

    def draws(self, character: str) -> bool:
        """Return whether a character leaves ink. It does not if the file is damaged or too new for Pillow."""
        try:
            font, _ = self.at(_TRIAL)
            trial = Image.new("RGBA", (2 * _STRIKES[0], 2 * _STRIKES[0]))
            ImageDraw.Draw(trial).text((0, 0), character, "white", font, embedded_color=True)
        except (OSError, ValueError):
            return False
        return trial.getbbox() is not None

    @property
    def identity(self) -> str:
        """Name and version, for the keys of caches."""
        if self.path is not None and not self._identity:
            with self.path.open("rb") as file:
                self._identity = f"{self.path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}"
        return self._identity

    def _read(self) -> list[int]:
        if self.path is None:
            source = ImageFont.load_default(10)
            data = getattr(source, "path", None)
            with BytesIO(data.getvalue() if isinstance(data, BytesIO) else b"") as file:
                return _ranges(file)
        with self.path.open("rb") as file:
            return _ranges(file)


AILERON: Final = Font()


class Library:
    """The fonts in some folders.

    Args:
        folders: searched with everything in them; missing ones are ignored.
    """

    def __init__(self, folders: Collection[Path]) -> None:
        self._folders = folders
        self._fonts: list[Font] | None = None

    def fonts(self) -> list[Font]:
        """Return all fonts, those for ordinary text first."""
        if self._fonts is None:  # at worst, two threads do it at once
            paths = sorted(set(self._paths()), key=lambda path: (_rank(path.stem), path.name, str(path)))
            self._fonts = [Font(path) for path in paths[:_MOST_FONTS]]
        return self._fonts

    def useful(self, characters: Collection[str]) -> list[Font]:
        """Return the fonts with at least one of some characters. Emoji fonts come last."""
        found = []
        for font in self.fonts():
            known = next((character for character in characters if font.has(character)), None)
            if known is not None and font.draws(known):
                found.append(font)
        return sorted(found, key=lambda font: font.is_emoji)

    def _paths(self) -> Iterator[Path]:
        for top in self._folders:
            for folder, _, names in os.walk(top):
                yield from (Path(folder, name) for name in names if Path(name).suffix.lower() in _SUFFIXES)


@cache
def installed() -> Library:
    """Return the library of the system's and the user's fonts."""
    home = Path.home()
    data = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    own = os.environ.get("XDG_DATA_HOME") or str(home / ".local/share")
    shared = [Path(folder, "fonts") for folder in [own, *data.split(":")] if folder]
    mac = [home / "Library/Fonts", Path("/Library/Fonts"), Path("/System/Library/Fonts")]
    return Library([home / ".fonts", *shared, *mac])


def is_emoji(cluster: str) -> bool:
    return ord(cluster[0]) >= _EMOJI or "\ufe0f" in cluster


def can_be_shaped(character: str) -> bool:
    """Return whether Pillow draws a character as its script wants it. It needs raqm for Arabic or Hindi."""
    code = ord(character)
    return _has_raqm() or not any(first <= code <= last for first, last in _SHAPED)


@cache
def _has_raqm() -> bool:
    return bool(features.check("raqm"))


def _rank(name: str) -> tuple[int, int]:
    words = name.lower()
    return sum(word in words for word in _UNWELCOME), "sans" not in words


# The table of characters (cmap) of OpenType: a list of segments in format 4, of groups in format 12.


def _ranges(file: BinaryIO) -> list[int]:
    """Return the characters of a font as a flat list: start, end (excluded), start, end, ..."""
    table = _table(file)
    (count,) = struct.unpack_from(">H", table, 2)
    found: dict[int, int] = {}  # format: offset
    for index in range(count):
        platform, encoding, offset = struct.unpack_from(">HHL", table, 4 + 8 * index)
        if platform == 0 or (platform == 3 and encoding in {1, 10}):  # noqa: PLR2004 - Unicode
            found[struct.unpack_from(">H", table, offset)[0]] = offset
    if 12 in found:  # noqa: PLR2004
        pairs = _groups(table, found[12])
    elif 4 in found:  # noqa: PLR2004
        pairs = _segments(table, found[4])
    else:
        raise BrokenFont("no table of Unicode characters")
    return _merged(sorted(pairs))


def _table(file: BinaryIO) -> bytes:
    head = file.read(12)
    if head[:4] == b"ttcf":  # a collection; its first font stands for all
        file.seek(struct.unpack(">L", file.read(4))[0])
        head = file.read(12)
    (count,) = struct.unpack_from(">H", head, 4)
    for _ in range(count):
        name, _, offset, length = struct.unpack(">4sLLL", file.read(16))
        if name == b"cmap" and length <= _MAX_TABLE:
            file.seek(offset)
            return file.read(length)
    raise BrokenFont("no table of characters")


def _groups(table: bytes, start: int) -> Iterator[tuple[int, int]]:
    (count,) = struct.unpack_from(">L", table, start + 12)
    for index in range(min(count, _MAX_RANGES)):
        first, last, glyph = struct.unpack_from(">LLL", table, start + 16 + 12 * index)
        yield first + (glyph == 0), last + 1


def _segments(table: bytes, start: int) -> Iterator[tuple[int, int]]:
    (double,) = struct.unpack_from(">H", table, start + 6)
    columns = [start + 14, start + 16 + double, start + 16 + 2 * double, start + 16 + 3 * double]
    for index in range(0, double, 2):
        last, first, delta, offset = (
            struct.unpack_from(">H", table, column + index)[0] for column in columns
        )
        if not offset:
            hole = -delta % 65536  # the character whose glyph would be 0, which is "missing"
            yield from (
                (low, high) for low, high in ((first, min(hole, last + 1)), (max(hole + 1, first), last + 1))
            )
            continue
        for code in range(first, last + 1):
            where = columns[3] + index + offset + 2 * (code - first)
            if where + 2 <= len(table) and struct.unpack_from(">H", table, where)[0]:
                yield code, code + 1


def _merged(pairs: Iterable[tuple[int, int]]) -> list[int]:
    flat: list[int] = []
    for start, end in pairs:
        if start >= end:
            continue
        if flat and start <= flat[-1]:
            flat[-1] = max(flat[-1], end)
        else:
            flat += [start, end]
    return flat
