"""Keys that are not to be shown: those of the settings, and those that callers have sent.

They are found in any text, in time that grows with the text and not with the number of keys, also where
they are escaped (see `escapes`) or are part of what base64 says.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ahocorasick_rs import BytesAhoCorasick, MatchKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from falmock.escapes import Span

SHORTEST: Final = 6  # characters of a key that a caller has sent; a shorter one is a part of many words
LONG_SECRET: Final = 16  # characters; a shorter one alone is as likely to be a word of the text
SHORTEST_BASE64: Final = 8
TOKENS: Final = (b"eyJ", b"gAAAA")  # how JSON web tokens and sealed ones begin
LONGEST: Final = 1024  # bytes of a header whose keys are remembered
MOST: Final = 1024  # headers; the oldest are forgotten first, until they are seen again


@dataclass(frozen=True, slots=True)
class _Generation:
    """Headers whose keys one searcher finds."""

    headers: frozenset[bytes]
    searcher: BytesAhoCorasick


class KnownKeys:
    """All keys of one emulator.

    Args:
        keys: "id:secret" pairs of the settings.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        patterns = [pattern for key in keys if key for pattern in _patterns(key.encode())]
        self._settings = _searcher(patterns)
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
            for _, start, end in searcher.find_matches_as_indexes(data):
                yield start, end

    def _refresh(self) -> None:
        """Make a searcher for the new headers; it takes smaller ones over, so that there are few."""
        headers, self._fresh = frozenset(self._fresh), set()
        while self._generations and len(self._generations[-1].headers) <= len(headers):
            headers |= self._generations.pop().headers
        while self._generations and len(self._seen) > MOST:
            self._seen -= self._generations.pop(0).headers
        patterns = (pattern for header in headers for key in keys_in(header) for pattern in _patterns(key))
        self._generations.append(_Generation(headers, _searcher(patterns)))


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


def _patterns(key: bytes) -> Iterator[bytes]:
    yield key
    yield from _in_base64(key)
    secret = key.partition(b":")[2]
    if len(secret) >= LONG_SECRET:
        yield secret
        yield from _in_base64(secret)


def _in_base64(text: bytes) -> Iterator[bytes]:
    """Yield what base64 makes of a text, wherever in the encoded bytes it begins."""
    for before, cut in ((0, 0), (1, 2), (2, 3)):
        encoded = base64.b64encode(bytes(before) + text)
        if (before + len(text)) % 3:  # the last character also tells of what follows
            encoded = encoded.rstrip(b"=")[:-1]
        core = encoded[cut:]
        if len(core) >= SHORTEST_BASE64:
            yield core
            yield core.translate(bytes.maketrans(b"+/", b"-_"))


def _searcher(patterns: Iterable[bytes]) -> BytesAhoCorasick:
    return BytesAhoCorasick(sorted(set(patterns)), MatchKind.LeftmostLongest)
