"""Makes fonts for tests: Pillow's own, with its letters assigned to other characters."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import ImageFont

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def make_font(path: Path, letters: Mapping[str, str], *, wide: bool = False) -> Path:
    """Write a font that draws each key as the letter of Pillow's font that is its value.

    Args:
        path: of the font.
        letters: the characters that it has.
        wide: use format 12 of the table of characters, which all characters fit in, and not format 4.
    """
    own = ImageFont.load_default(10)
    source = getattr(own, "path", None)
    assert isinstance(source, BytesIO)
    data = source.getvalue()
    tables = _tables(data)
    glyphs = _glyphs(tables[b"cmap"])
    wanted = sorted((ord(character), glyphs[ord(letter)]) for character, letter in letters.items())
    tables[b"cmap"] = _groups(wanted) if wide else _segments(wanted)
    path.write_bytes(_font(data[:4], tables))
    return path


def _tables(data: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">H", data, 4)
    entries = [struct.unpack_from(">4sLLL", data, 12 + 16 * index) for index in range(count)]
    return {name: data[offset : offset + length] for name, _, offset, length in entries}


def _glyphs(cmap: bytes) -> dict[int, int]:
    """Read format 4 of a table of characters."""
    (count,) = struct.unpack_from(">H", cmap, 2)
    offsets = [struct.unpack_from(">L", cmap, 4 + 8 * index + 4)[0] for index in range(count)]
    start = next(offset for offset in offsets if struct.unpack_from(">H", cmap, offset)[0] == 4)
    (double,) = struct.unpack_from(">H", cmap, start + 6)
    found = {}
    for index in range(0, double, 2):
        (last,) = struct.unpack_from(">H", cmap, start + 14 + index)
        first, delta, offset = (
            struct.unpack_from(">H", cmap, start + 16 + part * double + index)[0] for part in (1, 2, 3)
        )
        for code in range(first, last + 1):
            glyph = (code + delta) % 65536
            if offset:
                at = start + 16 + 3 * double + index + offset + 2 * (code - first)
                glyph = struct.unpack_from(">H", cmap, at)[0] if at + 2 <= len(cmap) else 0
            found[code] = glyph
    return found


def _segments(wanted: list[tuple[int, int]]) -> bytes:
    each = [*wanted, (0xFFFF, 0)]
    count = len(each)
    codes = struct.pack(f">{count}H", *(code for code, _ in each))
    deltas = struct.pack(f">{count}H", *((glyph - code) % 65536 for code, glyph in each))
    body = struct.pack(">4H", 2 * count, 0, 0, 0) + codes + b"\0\0" + codes + deltas + bytes(2 * count)
    return struct.pack(">HHHHL", 0, 1, 3, 1, 12) + struct.pack(">3H", 4, 6 + len(body), 0) + body


def _groups(wanted: list[tuple[int, int]]) -> bytes:
    groups = b"".join(struct.pack(">3L", code, code, glyph) for code, glyph in wanted)
    head = struct.pack(">HHLLL", 12, 0, 16 + len(groups), 0, len(wanted))
    return struct.pack(">HHHHL", 0, 1, 3, 10, 12) + head + groups


def _font(kind: bytes, tables: dict[bytes, bytes]) -> bytes:
    start = 12 + 16 * len(tables)
    head = kind + struct.pack(">4H", len(tables), 0, 0, 0)
    body = b""
    for name, content in sorted(tables.items()):
        head += struct.pack(">4sLLL", name, 0, start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    return head + body
