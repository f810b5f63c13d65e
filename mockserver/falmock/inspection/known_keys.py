"""Finds keys in texts: those of the settings, and those that callers have sent.

Keys in base64, in hexadecimal and in another case are found too; `redaction` undoes percent and JSON escapes
first, with `views`. The time grows with the text, not with the number of keys.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from bisect import bisect_right
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Span = tuple[int, int]

SHORTEST: Final = 6  # characters of a sent key that is masked; a shorter one occurs in ordinary text
LONG_SECRET: Final = 16  # characters of a secret that is masked without its id; a shorter one may be a word
SHORTEST_BASE64: Final = 8
ENOUGH_BASE64: Final = 24  # characters of a key in base64 that are searched for
LONGEST: Final = 160  # bytes; longer headers are not remembered. A key of fal's takes 73
MOST: Final = 512  # headers that are remembered; the oldest are forgotten first
TOKENS: Final = (b"eyJ", b"gAAAA")  # prefixes of JSON web tokens and Fernet tokens
ROUNDS: Final = 3  # levels of nested escapes that are undone
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})|\\u([0-9A-Fa-f]{4})|\\([/\"\\])")
_REST_OF_BASE64: Final = re.compile(rb"[\w+/-]*=*")


class _Searcher:
    """Finds a fixed set of keys."""

    def __init__(self, keys: Iterable[bytes]) -> None:
        patterns: dict[bytes, bool] = {}  # whether in base64
        for key in keys:
            secret = key.partition(b":")[2]
            for text in (key, secret) if len(secret) >= LONG_SECRET else (key,):
                for plain in _unescaped(text):
                    patterns.update(dict.fromkeys(_rewritten(plain), False))
                patterns.update(dict.fromkeys(_in_base64(text), True))
        self._encoded = list(patterns.values())
        self._automaton = BytesAhoCorasick(
            list(patterns),
            matchkind=MatchKind.LeftmostLongest,
            implementation=Implementation.ContiguousNFA,  # is built in a tenth of the time, and as fast
        )

    def spans(self, data: bytes) -> Iterator[Span]:
        """Yield the span of each key; in base64, up to the end of the encoded text."""
        reached = 0
        for pattern, start, end in self._automaton.find_matches_as_indexes(data):
            if not self._encoded[pattern]:
                yield start, end
            elif start >= reached:
                rest = _REST_OF_BASE64.match(data, end)
                reached = rest.end() if rest else end
                yield start, reached


@dataclass(frozen=True, slots=True)
class _Generation:
    """Headers, and a searcher for the keys in them."""

    headers: frozenset[bytes]
    searcher: _Searcher


class KnownKeys:
    """The keys of one emulator.

    Args:
        keys: "id:secret" pairs from the settings.

    Attributes:
        seen: the `Authorization` headers that are remembered.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._settings = _Searcher(key.encode() for key in keys if key)
        self.seen: set[bytes] = set()
        self._fresh: set[bytes] = set()
        self._generations: list[_Generation] = []  # each has more headers than the next

    def see(self, authorization: bytes) -> None:
        """Remember the keys in an `Authorization` header. Most work is deferred."""
        if authorization not in self.seen and len(authorization) <= LONGEST:
            self.seen.add(authorization)
            self._fresh.add(authorization)
            if len(self._fresh) >= MOST:
                self._refresh()

    def spans(self, data: bytes) -> Iterator[Span]:
        """Yield the span of each known key."""
        if self._fresh:
            self._refresh()
        for searcher in (self._settings, *(generation.searcher for generation in self._generations)):
            yield from searcher.spans(data)

    def _refresh(self) -> None:
        """Build a searcher for the new headers, merged with smaller generations to keep their number low."""
        headers, self._fresh = frozenset(self._fresh), set()
        while self._generations and len(self._generations[-1].headers) <= len(headers):
            headers |= self._generations.pop().headers
        while self._generations and len(self.seen) > MOST:
            self.seen -= self._generations.pop(0).headers
        keys = (key for header in headers for key in keys_in(header))
        self._generations.append(_Generation(headers, _Searcher(keys)))


def keys_in(authorization: bytes) -> Iterator[bytes]:
    """Yield the keys in a header of any scheme, except tokens, which are recognised by their form."""
    scheme, space, rest = authorization.strip().partition(b" ")
    key = rest.strip() if space else scheme
    forms = {key, key.decode("latin-1").encode()}
    if scheme.lower() == b"basic":
        with contextlib.suppress(binascii.Error):
            forms.add(base64.b64decode(key))
    for form in forms:
        shortest = SHORTEST if b":" in form else LONG_SECRET
        if len(form) >= shortest and not form.startswith(TOKENS) and _is_text(form):
            yield form


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
        view = _view(data)
        if view.data == data:
            return
        data, path = view.data, [view, *path]
        yield data, path


def _view(data: bytes) -> View:
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


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _unescaped(text: bytes) -> Iterator[bytes]:
    """Yield a text as it is, and as it becomes when its own escapes are undone with those around it."""
    yield text
    for view, _ in islice(views(text), 1, None):
        if len(view) >= SHORTEST:
            yield view


def _rewritten(text: bytes) -> Iterator[bytes]:
    """Yield a text as it is, in upper and in lower case, and in hexadecimal."""
    yield from (text, text.upper(), text.lower())
    yield from (text.hex().encode(), text.hex().upper().encode())


def _in_base64(text: bytes) -> Iterator[bytes]:
    """Yield the base64 forms of a text, one for each offset at which it can stand in the encoded bytes."""
    for before, cut in ((0, 0), (1, 2), (2, 3)):
        encoded = base64.b64encode(bytes(before) + text)
        if (before + len(text)) % 3:  # the last character depends on the text that follows
            encoded = encoded.rstrip(b"=")[:-1]
        core = encoded[cut:][:ENOUGH_BASE64]
        if len(core) >= SHORTEST_BASE64:
            yield core
            yield core.translate(bytes.maketrans(b"+/", b"-_"))
