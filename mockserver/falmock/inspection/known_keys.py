"""Keys that must not be shown: those of the settings, and those that callers have sent.

They are found in any text, also inside base64. `redaction` removes other escapes first (see `escapes`). The
time grows with the text and not with the number of keys.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ahocorasick_rs import BytesAhoCorasick, MatchKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from falmock.inspection.escapes import Span

SHORTEST: Final = 6  # characters of a key that a caller has sent; a shorter one is a part of many words
LONG_SECRET: Final = 16  # characters; a shorter one alone is as likely to be a word of the text
SHORTEST_BASE64: Final = 8
ENOUGH_BASE64: Final = 24  # characters by which a key in base64 is recognised
LONGEST: Final = 160  # bytes; keys of a longer header are not remembered. One of fal's takes 73
MOST: Final = 512  # headers; the oldest are forgotten first, until they are seen again
TOKENS: Final = (b"eyJ", b"gAAAA")  # how JSON web tokens and sealed ones begin
_REST_OF_BASE64: Final = re.compile(rb"[\w+/-]*=*")


class _Searcher:
    """Finds keys, in time that grows with the text."""

    def __init__(self, keys: Iterable[bytes]) -> None:
        patterns: dict[bytes, bool] = {}  # in base64 or not
        for key in keys:
            secret = key.partition(b":")[2]
            for text in (key, secret) if len(secret) >= LONG_SECRET else (key,):
                patterns[text] = False
                patterns.update(dict.fromkeys(_in_base64(text), True))
        self._encoded = list(patterns.values())
        self._automaton = BytesAhoCorasick(list(patterns), MatchKind.LeftmostLongest)

    def spans(self, data: bytes) -> Iterator[Span]:
        """Yield where a key is; in base64, up to the end of the encoded text."""
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
    """A set of headers, and a searcher for the keys in them."""

    headers: frozenset[bytes]
    searcher: _Searcher


class KnownKeys:
    """All keys of one emulator.

    Args:
        keys: "id:secret" pairs of the settings.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._settings = _Searcher(key.encode() for key in keys if key)
        self._seen: set[bytes] = set()
        self._fresh: set[bytes] = set()
        self._generations: list[_Generation] = []  # each larger than the next

    def see(self, authorization: bytes) -> None:
        """Remember the keys in an `Authorization` header. Called for each call: the rest is done later."""
        if authorization not in self._seen and len(authorization) <= LONGEST:
            self._seen.add(authorization)
            self._fresh.add(authorization)
            if len(self._fresh) >= MOST:
                self._refresh()

    def spans(self, data: bytes) -> Iterator[Span]:
        """Yield where a known key stands."""
        if self._fresh:
            self._refresh()
        for searcher in (self._settings, *(each.searcher for each in self._generations)):
            yield from searcher.spans(data)

    def _refresh(self) -> None:
        """Make a searcher for the new headers; it takes smaller ones over, so that there are few."""
        headers, self._fresh = frozenset(self._fresh), set()
        while self._generations and len(self._generations[-1].headers) <= len(headers):
            headers |= self._generations.pop().headers
        while self._generations and len(self._seen) > MOST:
            self._seen -= self._generations.pop(0).headers
        keys = (key for header in headers for key in keys_in(header))
        self._generations.append(_Generation(headers, _Searcher(keys)))


def keys_in(authorization: bytes) -> Iterator[bytes]:
    """Yield the keys in a header, whatever its scheme; not tokens, which are known by their form."""
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


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _in_base64(text: bytes) -> Iterator[bytes]:
    """Yield what base64 makes of a text, wherever in the encoded bytes it begins."""
    for before, cut in ((0, 0), (1, 2), (2, 3)):
        encoded = base64.b64encode(bytes(before) + text)
        if (before + len(text)) % 3:  # the last character depends on the text that follows
            encoded = encoded.rstrip(b"=")[:-1]
        core = encoded[cut:][:ENOUGH_BASE64]
        if len(core) >= SHORTEST_BASE64:
            yield core
            yield core.translate(bytes.maketrans(b"+/", b"-_"))
