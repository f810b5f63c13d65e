from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from example_count import examples
from hypothesis import given
from hypothesis import strategies as st
from made_fonts import make_font
from PIL import Image, ImageChops, features

from falmock.media import Clip, fonts
from falmock.media.drawing import used_fonts
from falmock.media.fonts import Library
from falmock.media.typesetting import Setter

if TYPE_CHECKING:
    from pathlib import Path

CAT, SITS, EMOJI = "猫", "坐", "🐱"
ALEF, BET, GIMEL = "אבג"
NONE = Library([])
shaping = pytest.mark.skipif(not features.check("raqm"), reason="this Pillow does not shape text")


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Return fonts for two Chinese characters, three Hebrew letters, and an emoji."""
    folder = tmp_path_factory.mktemp("fonts")
    make_font(folder / "Chinese-Sans.ttf", {CAT: "W", SITS: ".", "a": "a", "b": "b", "é": "e"})
    (folder / "more").mkdir()
    make_font(folder / "more" / "Hebrew.otf", {ALEF: ".", BET: "W", GIMEL: "o"})
    make_font(folder / "Emoji.ttf", {EMOJI: "M", "🐶": "B"}, wide=True)
    (folder / "broken.ttf").write_bytes(b"\0\1\0\0" + bytes(100))
    (folder / "empty.ttc").touch()
    return Library([folder, folder / "missing"])


def drawn(text: str, library: Library, width: int = 600, lines: int = 2) -> Image.Image:
    image = Image.new("RGBA", (width, 40 * lines), "black")
    setter = Setter(text, 30, library)
    for row, line in enumerate(setter.lines(width, lines)):
        setter.draw(image, (0, 30 + 40 * row), line, width, (255, 255, 255, 255))
    return image


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (f"a {CAT}{SITS} b", "a W. b"),
        (f"{CAT}{EMOJI}", "WM"),
        ("🐶\ufe0f", "B"),
        ("caf\u0065\u0301", "cafe"),  # the font that has it draws it as an e
    ],
)
def test_a_text_is_drawn_in_the_fonts_that_have_its_characters(
    library: Library, text: str, same: str
) -> None:
    assert alike(drawn(text, library), drawn(same, NONE))


@shaping
def test_a_text_that_is_read_from_the_right_is_drawn_from_the_right(library: Library) -> None:
    line = drawn(ALEF * 5 + BET * 3, library, lines=1)
    box = line.convert("L").getbbox()
    assert box is not None
    assert box[2] > 590
    assert alike(cropped(line), cropped(drawn("WWW.....", NONE, lines=1)))
    assert not alike(cropped(line), cropped(drawn(".....WWW", NONE, lines=1)))


@shaping
def test_latin_words_keep_their_order_in_a_text_from_the_right(library: Library) -> None:
    text = f"{ALEF}{BET} one two {GIMEL}"
    assert alike(cropped(drawn(text, library, lines=1)), cropped(drawn("o one two W.", NONE, lines=1)))


@shaping
def test_hebrew_words_turn_round_in_a_text_from_the_left(library: Library) -> None:
    text = f"one {ALEF}{BET} {GIMEL} two"
    assert alike(drawn(text, library, lines=1), drawn("one o W. two", NONE, lines=1))
    assert not alike(drawn(text, library, lines=1), drawn("one W. o two", NONE, lines=1))


def alike(image: Image.Image, other: Image.Image) -> bool:
    """Return whether two images have nearly the same ink everywhere; letters may be a pixel apart."""
    size = max(image.width, other.width) // 12 * 12
    coarse = [each.crop((0, 0, size, 40)).convert("L").reduce((12, 20)) for each in (image, other)]
    _, largest = ImageChops.difference(*coarse).getextrema()
    return isinstance(largest, int | float) and largest < 40


def cropped(image: Image.Image) -> Image.Image:
    box = image.convert("L").getbbox()
    assert box is not None
    return image.crop((box[0], 0, box[2], image.height))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("a 中 b", "a U+4E2D b"),
        ("x中国y", "x U+4E2D U+56FD y"),
        ("\ud800", "U+D800"),
        ("👩‍👧", "U+1F469 U+1F467"),
        ("\U000e1234", "U+E1234"),
    ],
)
def test_what_no_font_has_is_written_as_its_code(text: str, same: str) -> None:
    assert drawn(text, NONE) == drawn(same, NONE)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("Café \u2013 crème brûlée", "Cafe - creme brulee"),
        ("two\nlines\tand\0more", "two lines and more"),
        ("zero\u200bwidth", "zero width"),
        ("\u202eabc\u2066", "abc"),
        ("Ｗｉｄｅ", "Wide"),
    ],
)
def test_characters_with_plain_letters_are_reduced_to_them_if_no_font_has_them(text: str, same: str) -> None:
    assert drawn(text, NONE) == drawn(same, NONE)


def test_scripts_that_need_shaping_are_written_as_codes_if_pillow_cannot_shape(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fonts, "_has_raqm", lambda: False)
    assert drawn(ALEF, library) == drawn("U+05D0", NONE)


@given(st.text(st.characters(), max_size=80), st.integers(20, 300), st.integers(1, 3))
@examples(60)
def test_lines_of_any_text_are_few_and_keep_their_width(text: str, width: int, most: int) -> None:
    setter = Setter(text, 12, NONE)
    lines = setter.lines(width, most)
    assert len(lines) <= most
    assert all(setter.width(line) <= width or len(line) == 1 for line in lines)


@pytest.mark.parametrize("text", ["word " * 200, "W" * 1000, "一只猫" * 100])
def test_a_long_text_ends_with_an_ellipsis(text: str) -> None:
    assert Setter(text, 12, NONE).lines(300, 2)[-1][-1].text == "…"


def test_a_line_may_end_after_each_chinese_character(library: Library) -> None:
    setter = Setter(CAT * 10, 20, library)
    lines = setter.lines(setter.width(setter.lines(1000, 1)[0]) / 2 + 1, 2)
    assert [sum(len(run.text) for run in line) for line in lines] == [5, 5]


@pytest.mark.parametrize(
    ("prompt", "names"),
    [("a cat", []), (CAT, ["Chinese-Sans.ttf"]), (CAT + EMOJI, ["Chinese-Sans.ttf", "Emoji.ttf"])],
)
def test_the_fonts_of_a_caption_are_known_for_its_key(
    library: Library, prompt: str, names: list[str]
) -> None:
    used = used_fonts(Clip(width=64, height=64, frames=1, prompt=prompt), library)
    assert [font.partition(" ")[0] for font in used] == names


def test_a_changed_font_has_another_identity(tmp_path: Path) -> None:
    clip = Clip(width=64, height=64, frames=1, prompt=CAT)
    identities = set()
    for letter in "WM":
        make_font(tmp_path / "Font.ttf", {CAT: letter})
        identities |= set(used_fonts(clip, Library([tmp_path])))
    assert len(identities) == 2


def test_upright_fonts_of_normal_weight_come_first(tmp_path: Path) -> None:
    for name in ("A-BoldItalic.ttf", "B-Bold.ttf", "C-Serif.ttf", "D-Sans.ttf", "E.ttf"):
        make_font(tmp_path / name, {CAT: "W"})
    found = Library([tmp_path]).useful(CAT)
    assert [font.path and font.path.name[0] for font in found] == ["D", "E", "B", "C", "A"]


@given(st.binary(max_size=200), st.integers(0, 400))
@examples(50)
def test_a_damaged_font_is_not_used(tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int) -> None:
    path = make_font(tmp_path_factory.mktemp("fonts") / "Font.ttf", {CAT: "W"})
    data = path.read_bytes()
    path.write_bytes(data[:at] + noise + data[at + len(noise) :])
    drawn(CAT, Library([path.parent]))


def test_the_fonts_of_the_system_are_searched_for_in_the_usual_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fonts").mkdir()
    make_font(tmp_path / "fonts" / "Font.ttf", {CAT: "W"})
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    fonts.installed.cache_clear()
    try:
        assert tmp_path / "fonts" / "Font.ttf" in [font.path for font in fonts.installed().useful(CAT)]
    finally:
        fonts.installed.cache_clear()
