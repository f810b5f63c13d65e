"""Parses JSON of callers, with limits on depth and size."""

from __future__ import annotations

import json
from itertools import accumulate
from typing import Any, Final

from falmock.protocol.limits import DEFAULT, Limits

_BRACKETS: Final = b"[]{}"
_NO_BRACKETS: Final = bytes(set(range(256)) - set(_BRACKETS))
_STEP: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


class BodyTooComplexError(ValueError):
    """JSON is nested too deep or has too many members."""


def load(body: bytes, limits: Limits = DEFAULT) -> Any:
    """Parse a JSON body.

    Raises:
        BodyTooComplexError: it exceeds the limits.
        RecursionError: it is nested too deep for Python's parser.
        ValueError: it is not JSON or not UTF-8, or has a number with too many digits for Python.
    """
    measure(body, limits)
    return json.loads(body)


def load_or_none(body: bytes) -> Any:
    """Parse a JSON body; return None if it is not JSON, or exceeds the limits."""
    try:
        return load(body)
    except (ValueError, RecursionError):
        return None


def measure(body: bytes, limits: Limits = DEFAULT) -> None:
    """Check a body against the limits, without parsing it.

    Raises:
        BodyTooComplexError: it exceeds them.
    """
    if _opened(body) <= limits.depth and _members(body) <= limits.members:
        return  # the usual case: within the limits even if no bracket is part of a string
    bare = _without_strings(body, most=4 * limits.members + 2)  # a key and a value, two quotes each
    if bare is None or max(_members(bare), _closed(bare)) > limits.members or _depth(bare) > limits.depth:
        raise BodyTooComplexError(
            f"JSON may be nested {limits.depth} levels deep and have {limits.members} members"
        )


def _opened(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def _closed(text: bytes) -> int:
    return text.count(b"]") + text.count(b"}")


def _members(text: bytes) -> int:
    return _opened(text) + text.count(b",")


def _depth(bare: bytes) -> int:
    brackets = bare.translate(None, delete=_NO_BRACKETS)
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0)


def _without_strings(body: bytes, most: int) -> bytes | None:
    """Return a body without its strings, or None if it has more than `most` quotes."""
    plain = body.replace(rb"\\", b"").replace(rb"\"", b"")  # the quotes that remain begin or end a string
    return b"".join(plain.split(b'"')[::2]) if plain.count(b'"') <= most else None
