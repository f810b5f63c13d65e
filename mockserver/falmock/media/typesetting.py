"""Sets a text in any script: chooses fonts, breaks it into lines, and draws them.

A word is drawn in one font if one has all its characters. What no font has is written as its code, as U+4E2D.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from itertools import chain, groupby
from typing import TYPE_CHECKING, Final

from PIL import Image, ImageDraw, ImageFont

from falmock.media import fonts
from falmock.media.fonts import AILERON, Font, Library

if TYPE_CHECKING:
    from collections.abc import Iterator

Point = tuple[float, float]

MAX_LENGTH: Final = 400  # characters of a text; more than its lines can hold
ASCENT: Final = 0.95  # of the size: from the upper edge of a line to its baseline
_ELLIPSIS: Final = "…"
_SPACES: Final = {"Cc", "Zl", "Zp", "Zs"}
_JOINERS: Final = "\u200c\u200d"
_SKIN_TONES: Final = range(0x1F3FB, 0x1F400)
_FLAG_LETTERS: Final = range(0x1F1E6, 0x1F200)
_BREAKABLE: Final = re.compile(  # scripts without spaces: a line may end after each character
    r"([\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])"
)
_RIGHT_TO_LEFT: Final = {"R", "AL"}


@dataclass(frozen=True, slots=True)
class Run:
    """Characters of one word in one font that has them all."""

    text: str
    font: Font
    right_to_left: bool | None  # None for marks that follow their surroundings
    glued: bool = False  # to the run before it, without a space
    is_code: bool = False  # of a character that no font has


def clean(text: str) -> str:
    """Return a text without controls, marks of direction and runs of spaces."""
    text = unicodedata.normalize("NFC", text[:MAX_LENGTH])
    kept = map(_cleaned, text)
    return " ".join("".join(kept).split())


def _cleaned(character: str) -> str:
    category = unicodedata.category(character)
    if category in _SPACES or character == "\u200b":
        return " "
    if category == "Pd":
        return "-"
    return "" if category == "Cf" and character not in _JOINERS else character


def runs(text: str, library: Library) -> list[Run]:
    """Choose the fonts for a text."""
    words = [part for word in clean(text).split() for part in _parts(word)]
    characters = {character for word, _ in words for character in _visible(word)}
    missing = [character for character in characters if not AILERON.has(character)]
    useful = library.useful(sorted(filter(fonts.can_be_shaped, missing))) if missing else []
    whole = {each for each in characters if not fonts.is_emoji(each) and fonts.can_be_shaped(each)}
    favourite = next((font for font in [AILERON, *useful] if font.has(whole)), AILERON)
    found: list[Run] = []
    for word, follows in words:
        glued = follows and not found[-1].is_code
        found += _word(word, [favourite, AILERON, *useful], glued=glued)
    return found


def _parts(word: str) -> Iterator[tuple[str, bool]]:
    """Split a word where a line may end, and say whether a part follows another without a space."""
    parts = [part for part in _BREAKABLE.split(word) if part]
    return ((part, index > 0) for index, part in enumerate(parts))


def _word(word: str, choice: list[Font], *, glued: bool) -> Iterator[Run]:
    """Yield the runs of a word, one for each letter with its marks."""
    shaped = all(map(fonts.can_be_shaped, word))
    ordinary = [cluster for cluster in _clusters(word) if not fonts.is_emoji(cluster)]
    one = next((font for font in choice if shaped and font.has(map(_visible, ordinary))), None)
    for cluster in _reduced(list(_clusters(word)), choice):
        usable = choice if one is None else [one, *choice]
        if fonts.is_emoji(cluster):
            usable = sorted(choice, key=lambda font: not font.is_emoji)
        can = all(map(fonts.can_be_shaped, cluster))
        font = next((font for font in usable if can and font.has(_visible(cluster))), None)
        if font is not None:
            yield Run(cluster, font, _is_right_to_left(cluster), glued=glued)
            glued = True
            continue
        for character in _visible(cluster) or cluster:
            yield Run(f"U+{ord(character):04X}", AILERON, right_to_left=False, is_code=True)
        glued = False


def _reduced(clusters: list[str], choice: list[Font]) -> Iterator[str]:
    """Yield clusters; for one that no font has, its plain letters, if it has such: "fi" for a ligature."""
    for cluster in clusters:
        visible = _visible(cluster)
        if any(font.has(visible) for font in choice):
            yield cluster
            continue
        plain = "".join(
            character
            for character in unicodedata.normalize("NFKD", cluster)
            if unicodedata.category(character) != "Mn"
        )
        yield from plain if plain and AILERON.has(plain) else [cluster]


def _clusters(word: str) -> Iterator[str]:
    """Split a word into letters with their marks, and emoji with all their parts."""
    cluster = ""
    for character in word:
        joins = (
            unicodedata.category(character) in {"Mn", "Mc", "Me"}
            or character in _JOINERS
            or ord(character) in _SKIN_TONES
            or cluster.endswith("\u200d")
            or (ord(character) in _FLAG_LETTERS and len(cluster) == 1 and ord(cluster) in _FLAG_LETTERS)
        )
        if cluster and not joins:
            yield cluster
            cluster = ""
        cluster += character
    if cluster:
        yield cluster


def _visible(cluster: str) -> str:
    """Return the characters that a font must have; joiners and variation selectors draw nothing."""
    return "".join(each for each in cluster if each not in _JOINERS and not "\ufe00" <= each <= "\ufe0f")


def _is_right_to_left(text: str) -> bool | None:
    for character in text:
        kind = unicodedata.bidirectional(character)
        if kind in _RIGHT_TO_LEFT:
            return True
        if kind in {"L", "EN", "AN"}:
            return False
    return None


class Setter:
    """Sets one text in letters of a size in pixels."""

    def __init__(self, text: str, size: float, library: Library) -> None:
        self._size = size
        self._space = 0.28 * size
        self._loaded: dict[Font, tuple[ImageFont.FreeTypeFont, float]] = {}
        self._runs = _joined(runs(text, library))
        sides = (run.right_to_left for run in self._runs)
        self._from_right = next((side for side in sides if side is not None), False)

    def lines(self, width: float, most: int) -> list[list[Run]]:
        """Break the text into lines of a width in pixels. What is too much becomes an ellipsis."""
        if not self._runs or most < 1:
            return []
        whole: list[list[Run]] = [[]]
        for run in self._fitting(width):
            fits = self.width([*whole[-1], run]) <= width
            if whole[-1] and not fits:
                whole.append([])
            whole[-1].append(run)
        if len(whole) <= most:
            return whole
        last, dots = whole[most - 1], Run(_ELLIPSIS, AILERON, right_to_left=None)
        while last and self.width([*last, dots]) > width:
            last.pop()
        return [*whole[: most - 1], [*last, dots]]

    def width(self, line: list[Run]) -> float:
        """Return the width of a line in pixels."""
        spaces = sum(not run.glued for run in line[1:])
        return sum(map(self._advance, line)) + spaces * self._space

    def draw(
        self, image: Image.Image, at: Point, line: list[Run], width: float, fill: tuple[int, ...]
    ) -> None:
        """Draw a line on an image in RGBA, from the left end of its baseline in a column of a width.

        A line that is read from the right ends at the right. Emoji have their own colours.
        """
        left, baseline = at
        if self._from_right:
            left += width - self.width(line)
        for run in _in_order(line, from_right=self._from_right):
            if run is None:
                left += self._space
            else:
                self._draw(image, (left, baseline), run, fill)
                left += self._advance(run)

    def _fitting(self, width: float) -> Iterator[Run]:
        """Yield the runs; one that is wider than a line comes in pieces."""
        for run in self._runs:
            rest, glued = run.text, run.glued
            while rest:
                end = len(rest)
                while end > 1 and self._advance(replace(run, text=rest[:end])) > width:
                    end = end * 9 // 10
                yield replace(run, text=rest[:end], glued=glued)
                rest, glued = rest[end:], True

    def _advance(self, run: Run) -> float:
        font, scale = self._load(run.font)
        return font.getlength(run.text, direction=_direction(font, run)) * scale

    def _load(self, font: Font) -> tuple[ImageFont.FreeTypeFont, float]:
        if font not in self._loaded:
            self._loaded[font] = font.at(self._size)
        return self._loaded[font]

    def _draw(self, image: Image.Image, at: Point, run: Run, fill: tuple[int, ...]) -> None:
        font, scale = self._load(run.font)
        if scale == 1:
            ImageDraw.Draw(image).text(
                at, run.text, fill, font, anchor="ls", direction=_direction(font, run), embedded_color=True
            )
            return
        left, upper, right, lower = font.getbbox(run.text, anchor="ls")
        glyph = Image.new("RGBA", (max(1, round(right - left)), max(1, round(lower - upper))))
        ImageDraw.Draw(glyph).text((-left, -upper), run.text, "white", font, anchor="ls", embedded_color=True)
        small = glyph.resize([max(1, round(side * scale)) for side in glyph.size], Image.Resampling.BOX)
        corner = at[0] + left * scale, at[1] + upper * scale
        image.alpha_composite(small, (max(0, round(corner[0])), max(0, round(corner[1]))))


def _direction(font: ImageFont.FreeTypeFont, run: Run) -> str | None:
    """Return the direction for Pillow, which takes one only if raqm shapes the text."""
    if font.layout_engine != ImageFont.Layout.RAQM:
        return None
    return "rtl" if run.right_to_left else "ltr"


def _joined(each: list[Run]) -> list[Run]:
    """Join the runs of a word that have the same font and direction, so that they are shaped together."""
    joined: list[Run] = []
    for run in each:
        last = joined[-1] if joined else None
        if last is not None and run.glued and _go_together(last, run):
            side = last.right_to_left if run.right_to_left is None else run.right_to_left
            joined[-1] = replace(last, text=last.text + run.text, right_to_left=side)
        else:
            joined.append(run)
    return joined


def _go_together(left: Run, right: Run) -> bool:
    sides = {left.right_to_left, right.right_to_left}
    breaks = _BREAKABLE.search(left.text[-1:] + right.text[:1])
    return left.font is right.font and sides != {True, False} and not breaks


def _in_order(line: list[Run], *, from_right: bool) -> list[Run | None]:
    """Return the runs of a line from left to right, with None for a space.

    Runs that are read in one direction stay together; what has no direction follows its neighbours, or else
    the line. This is Unicode's algorithm for one level.
    """
    items: list[Run | None] = []
    for index, run in enumerate(line):
        items += [run] if run.glued or not index else [None, run]
    own = [None if item is None else item.right_to_left for item in items]
    sides = []
    for index, side in enumerate(own):
        before = next((each for each in reversed(own[:index]) if each is not None), from_right)
        after = next((each for each in own[index:] if each is not None), from_right)
        sides.append(side if side is not None else before if before == after else from_right)
    stretches = [
        (side, [item for item, _ in stretch])
        for side, stretch in groupby(zip(items, sides, strict=True), key=lambda pair: pair[1])
    ]
    ordered = [stretch[::-1] if side else stretch for side, stretch in stretches]
    return list(chain.from_iterable(ordered[::-1] if from_right else ordered))
