"""Keeps secrets out of files, by three independent checks.

1. Only headers on a list are written (`RECORDED`).
2. The recorder has the key, and refuses a text with the key or half of it, plain or encoded.
3. A scanner refuses everything that has the form of a key.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RECORDED: Final = (
    "access-control-allow-credentials",
    "allow",
    "content-type",
    "strict-transport-security",
    "vary",
    "via",
    "x-fal-billable-units",
    "x-fal-error-type",
    "x-fal-needs-retry",
    "x-fal-raw-time",
    "x-fal-request-id",
    "x-fal-request-timeout-type",
    "x-fal-retryable",
    "x-fal-served-from",
    "x-robots-tag",
)
RECORDED_OF_REQUEST: Final = (
    "content-type",
    "x-fal-no-retry",
    "x-fal-queue-priority",
    "x-fal-request-timeout",
)
KEY_FORM: Final = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\s*(?::|%3a|\\u003a)\s*[0-9a-f]{32}", re.IGNORECASE
)
SHORTEST: Final = 8  # shorter parts of a key would match unrelated texts


class LeakError(Exception):
    """A text was not written because it contains a secret. The message does not repeat it."""


def allowed(headers: Mapping[str, str], names: tuple[str, ...] = RECORDED) -> dict[str, str]:
    """Return the headers that may be written: names in lower case, in alphabetical order."""
    lower = {name.lower(): value for name, value in headers.items()}
    return {name: lower[name] for name in names if name in lower}


def encodings(secret: str) -> Iterator[str]:
    """Yield a secret and its halves in every encoding."""
    for part in dict.fromkeys((secret, *secret.split(":"))):
        if len(part) < SHORTEST:
            continue
        raw = part.encode()
        quoted = quote(part, safe="")
        yield from (part, part.lower(), part.upper(), part.replace("-", ""))
        yield from (quoted, quote_plus(part), quote(quoted, safe=""))
        yield from (raw.hex(), "".join(f"%{b:02X}" for b in raw), "".join(f"\\u{b:04x}" for b in raw))
        for shift in range(3):
            yield from _base64(raw, shift)


def _base64(raw: bytes, shift: int) -> Iterator[str]:
    """Yield the part of a base64 text that is the same wherever `raw` begins at this offset modulo 3."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(b"\0" * shift + raw).decode().rstrip("=")
        first = (shift * 8 + 5) // 6
        last = (shift + len(raw)) * 8 // 6
        yield encoded[first:last]


def check(text: str, secrets: tuple[str, ...]) -> str:
    """Return a text that is safe to write.

    Raises:
        LeakError: it contains a secret, or something of the form of a key.
    """
    for secret in secrets:
        if any(form in text for form in encodings(secret) if len(form) >= SHORTEST):
            raise LeakError("refused to write a text that contains the key or a part of it")
    if KEY_FORM.search(text):
        raise LeakError("refused to write a text that contains something of the form of a key")
    return text
