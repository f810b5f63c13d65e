"""JSON as people write and read it. Pure."""

from __future__ import annotations

import json
from typing import Any

from falmock.protocol import bodies


class NotJsonError(ValueError):
    """A text is not JSON; the message is one sentence for the user."""


def load(text: str) -> Any:
    """Parse a text.

    Raises:
        NotJsonError: it is not JSON.
    """
    try:
        return bodies.load(text.encode(errors="surrogatepass"))
    except json.JSONDecodeError as error:
        raise NotJsonError(
            f"This is not JSON: {error.msg} in line {error.lineno}, column {error.colno}."
        ) from None
    except (ValueError, RecursionError):
        raise NotJsonError("This is not JSON that fal reads: it is too large, or nested too deep.") from None


def dump(value: Any, *, indent: int | None = None) -> str:
    """Return JSON in Unicode, with escapes only for what UTF-8 cannot encode."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return text if is_unicode(text) else json.dumps(value, indent=indent)


def is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
