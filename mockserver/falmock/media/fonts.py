"""Finds fonts on the system that can draw a text, by the characters that they have.

Pillow includes one font, Aileron, which has little more than Latin letters. The others are searched for in
the usual folders when a text needs them, and their tables of characters are read once.
"""

from __future__ import annotations

import hashlib
import os
from functools import cache, cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import uharfbuzz
from PIL import Image, ImageDraw, ImageFont, features

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Iterator

_SUFFIXES: Final = {".ttf", ".otf", ".ttc", ".otc"}
_MOST_FONTS: Final = 4000
_STRIKES: Final = (109, 128, 136, 160, 96, 64, 32, 20)  # sizes of fonts that are made of bitmaps
_TRIAL: Final = 20.0  # pixels
_EMOJI: Final = 0x1F000  # from here on, colour is better
_UNWELCOME: Final = (  # in names of fonts; a plain upright one of normal weight comes first
    *("bold", "italic", "oblique", "slanted", "thin", "light", "black", "medium", "heavy", "semi", "extra"),
    *("condensed", "narrow", "mono", "serif", "display", "math", "symbols", "ui", "supplement"),
    *("nastaliq", "kufi", "naskh", "looped", "unjoined", "rashi"),
)
_SHAPED: Final = ((0x0590, 0x08FF), (0x0900, 0x0DFF), (0x0F00, 0x109F), (0x1780, 0x17FF), (0xFB1D, 0xFEFC))


class Font:
    """A font file and the characters that it has. Without a path it is the font that Pillow includes."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.is_emoji = path is not None and "emoji" in path.name.lower()

    def has(self, text: Iterable[str]) -> bool:
        """Return whether it has all characters of a text. A file that is not a font has none."""
        return all(ord(character) in self._characters for part in text for character in part)

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

    @cached_property
    def identity(self) -> str:
        """Name and version, for the keys of caches; empty for Pillow's."""
        if self.path is None:
            return ""
        with self.path.open("rb") as file:
            return f"{self.path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}"

    @cached_property
    def _characters(self) -> Container[int]:
        try:
            unicodes: Container[int] = uharfbuzz.Face(self._blob()).unicodes
        except uharfbuzz.HarfBuzzError:  # the file cannot be read
            return ()
        return unicodes

    def _blob(self) -> Any:
        if self.path is not None:
            return uharfbuzz.Blob.from_file_path(self.path)
        data = getattr(ImageFont.load_default(10), "path", None)
        return uharfbuzz.Blob(data.getvalue() if isinstance(data, BytesIO) else b"")


AILERON: Final = Font()


class Library:
    """The fonts in some folders and in everything below them; missing ones are ignored."""

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
