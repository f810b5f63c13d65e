"""Undoes percent and JSON escapes and maps each byte back to its position in the original text. Pure."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

Span = tuple[int, int]

ROUNDS: Final = 3  # levels of nested escapes that are undone
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})|\\u([0-9A-Fa-f]{4})|\\([/\"\\])")


class View:
    """A text with one level of escapes undone, made of pieces: escapes, and the text between them."""

    def __init__(self, data: bytes, starts: list[int], sources: list[Span]) -> None:
        self.data = data
        self._starts = starts  # of each piece, in `data`
        self._sources = sources  # of each piece, in the original; an escape is longer there

    def source(self, span: Span) -> Span:
        """Return the original span of a span of `data`, widened to whole escapes."""
        return self._at(span[0])[0], self._at(span[1] - 1)[1]

    def _at(self, position: int) -> Span:
        piece = bisect_right(self._starts, position) - 1
        start, end = self._sources[piece]
        following = self._starts[piece + 1] if piece + 1 < len(self._starts) else len(self.data)
        if end - start != following - self._starts[piece]:  # an escape
            return start, end
        offset = position - self._starts[piece]
        return start + offset, start + offset + 1


def views(data: bytes) -> Iterator[tuple[bytes, list[View]]]:
    """Yield a text unchanged, then with one more level of escapes undone each time.

    Each comes with the views that map a span back to the original, to be applied in order.
    """
    path: list[View] = []
    yield data, path
    for _ in range(ROUNDS):
        if b"%" not in data and b"\\" not in data:
            return
        view = _unescaped(data)
        if view.data == data:
            return
        data, path = view.data, [view, *path]
        yield data, path


def _unescaped(data: bytes) -> View:
    pieces: list[bytes] = []
    starts: list[int] = []
    sources: list[Span] = []
    size = end = 0

    def add(piece: bytes, source: Span) -> None:
        nonlocal size
        if piece:
            pieces.append(piece)
            starts.append(size)
            sources.append(source)
            size += len(piece)

    for found in _ESCAPE.finditer(data):
        add(data[end : found.start()], (end, found.start()))
        end = found.end()
        add(_unescape(found), found.span())
    add(data[end:], (end, len(data)))
    return View(b"".join(pieces), starts, sources)


def _unescape(found: re.Match[bytes]) -> bytes:
    percent, unicode, plain = found.groups()
    if percent is not None:
        return bytes([int(percent, 16)])
    return plain or chr(int(unicode, 16)).encode(errors="surrogatepass")
