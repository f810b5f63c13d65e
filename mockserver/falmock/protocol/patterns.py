"""Patterns with `*`, for endpoints and key ids."""

from __future__ import annotations

import re
from fnmatch import translate
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST: Final = 500  # characters


def matches(value: str, pattern: str) -> bool:
    """Match a value against a pattern, case-sensitively.

    `fnmatch.fnmatchcase` does the same, but caches up to 32,768 patterns.
    """
    return _matcher(pattern)(value) is not None


@lru_cache(maxsize=128)
def _matcher(pattern: str) -> Callable[[str], re.Match[str] | None]:
    if len(pattern) > LONGEST:
        raise ValueError(f"a pattern has at most {LONGEST} characters")
    return re.compile(translate(pattern)).match
