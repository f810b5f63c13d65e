"""Percent and JSON escapes undone, with the way back to where each byte came from. Pure."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

Span = tuple[int, int]

ROUNDS: Final = 3  # escapes of escapes that are undone
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})|\\u([0-9A-Fa-f]{4})|\\([/\"\\])")


class View:
    """A text without its escapes.

    Attributes:
        data: its bytes.
    """

    def __init__(self, data: bytes, starts: list[int], sources: list[Span]) -> None:
        self.data = data
        self._starts = starts  # in `data`, of each piece
        self._sources = sources  # of each piece; an escape's piece is longer there than here

    def source(self, span: Span) -> Span:
        """Return where a span of `data` came from; an escape is taken whole."""
        return self._at(span[0])[0], self._at(span[1] - 1)[1]

    def _at(self, position: int) -> Span:
        """Return where a byte came from."""
        piece = bisect_right(self._starts, position) - 1
        start, end = self._sources[piece]
        following = self._starts[piece + 1] if piece + 1 < len(self._starts) else len(self.data)
        if end - start != following - self._starts[piece]:  # an escape
            return start, end
        offset = position - self._starts[piece]
        return start + offset, start + offset + 1


def views(data: bytes) -> Iterator[tuple[bytes, list[View]]]:
    """Yield a text as it is, and then with its escapes undone, as often as there are some.

    Each comes with the views to go back through, the last first.
    """
    way: list[View] = []
    yield data, way
    for _ in range(ROUNDS):
        if b"%" not in data and b"\\" not in data:
            return
        view = _unescaped(data)
        if view.data == data:
            return
        data, way = view.data, [view, *way]
        yield data, way


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
        add(_meant(found), found.span())
    add(data[end:], (end, len(data)))
    return View(b"".join(pieces), starts, sources)


def _meant(found: re.Match[bytes]) -> bytes:
    percent, unicode, plain = found.groups()
    if percent is not None:
        return bytes([int(percent, 16)])
    return plain or chr(int(unicode, 16)).encode(errors="surrogatepass")
