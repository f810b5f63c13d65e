"""Finds keys in texts: those of the settings, and those that callers have sent.

Keys in base64, in hexadecimal and in another case are found too; `redaction` undoes other encodings first
(see `escapes`). The time grows with the text, not with the number of keys.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

from falmock.inspection.escapes import views

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from falmock.inspection.escapes import Span

SHORTEST: Final = 6  # characters of a sent key that is masked; a shorter one occurs in ordinary text
LONG_SECRET: Final = 16  # characters of a secret that is masked without its id; a shorter one may be a word
SHORTEST_BASE64: Final = 8
ENOUGH_BASE64: Final = 24  # characters of a key in base64 that are searched for
LONGEST: Final = 160  # bytes; longer headers are not remembered. A key of fal's takes 73
MOST: Final = 512  # headers that are remembered; the oldest are forgotten first
TOKENS: Final = (b"eyJ", b"gAAAA")  # prefixes of JSON web tokens and Fernet tokens
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
