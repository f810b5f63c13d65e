"""Splits URLs of callers without caching them.

`urllib.parse.urlsplit` caches its last 128 arguments: forty data URIs of 8 MiB are 320 MiB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from urllib.parse import SplitResult

LONGEST: Final = 8192  # characters; servers refuse longer request lines by default


def split(url: str) -> SplitResult:
    """Split a URL as `urllib.parse.urlsplit` does.

    Raises:
        ValueError: it is invalid, longer than `LONGEST`, or a data URI.
    """
    if len(url) > LONGEST or url[:5].lower() == "data:":
        raise ValueError("a data URI, or a URL that is too long")
    return urlsplit(url)
