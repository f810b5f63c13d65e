"""Keeps secrets out of files: three nets, each of which would do if the others had a hole.

1. Only headers on a list are ever written (`ALLOWED`).
2. The recorder knows the key, and refuses to write a text that has it, a half of it, or either in base64 or
   percent-encoding.
3. A scanner refuses whatever has the shape of a key, whoever's it is.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ALLOWED: Final = (
    "allow",
    "content-type",
    "x-fal-billable-units",
    "x-fal-error-type",
    "x-fal-needs-retry",
    "x-fal-request-id",
    "x-fal-request-timeout-type",
    "x-fal-retryable",
)
SENT: Final = ("content-type", "x-fal-no-retry", "x-fal-queue-priority", "x-fal-request-timeout")
SHAPE: Final = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\s*(?::|%3a|\\u003a)\s*[0-9a-f]{32}", re.IGNORECASE
)
SHORTEST: Final = 8  # a half of a key that is shorter than this would be found everywhere


class LeakError(Exception):
    """A text was not written because it holds a secret. The text is not repeated here."""


def allowed(headers: Mapping[str, str], names: tuple[str, ...] = ALLOWED) -> dict[str, str]:
    """Return the headers that may be written, names in lower case and in alphabetical order."""
    lower = {name.lower(): value for name, value in headers.items()}
    return {name: lower[name] for name in names if name in lower}


def encodings(secret: str) -> Iterator[str]:
    """Yield a secret, its halves, and each of them as it might be encoded."""
    for part in dict.fromkeys((secret, *secret.split(":"))):
        if len(part) < SHORTEST:
            continue
        raw = part.encode()
        yield from (part, part.lower(), part.upper(), part.replace("-", ""))
        yield from (quote(part, safe=""), quote_plus(part), "".join(f"%{byte:02X}" for byte in raw))
        yield from (
            quote(quote(part, safe=""), safe=""),
            raw.hex(),
            "".join(f"\\u{byte:04x}" for byte in raw),
        )
        for shift in range(3):  # base64 of a text that has the secret somewhere in it
            yield from _base64(raw, shift)


def _base64(raw: bytes, shift: int) -> Iterator[str]:
    """Yield what is the same in the base64 of every text in which `raw` begins at such an offset."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(b"\0" * shift + raw).decode().rstrip("=")
        first = (shift * 8 + 5) // 6
        last = (shift + len(raw)) * 8 // 6
        yield whole[first:last]


def check(text: str, secrets: tuple[str, ...]) -> str:
    """Return a text that may be written.

    Raises:
        LeakError: it holds a secret, or something that looks like one.
    """
    for secret in secrets:
        if any(form in text for form in encodings(secret) if len(form) >= SHORTEST):
            raise LeakError("refused to write a text that holds the key or a part of it")
    if SHAPE.search(text):
        raise LeakError("refused to write a text that holds something of the shape of a key")
    return text
