"""Masks keys, tokens and signed URLs, and shortens data URIs. Pure.

All values that are not known to be harmless are masked. Of an `Authorization` header, scheme and key id are
kept, of a query the parameters of fal's API, of a data URI its type, size and digest.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import json
import re
import string
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote

from falmock.inspection.known_keys import LONG_SECRET, KnownKeys, views
from falmock.protocol import urls

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from falmock.inspection.known_keys import Span

MASK: Final = "***"
DEPTH: Final = 32  # levels of a JSON body that are kept
SHORTEST_TEXT: Final = 3  # characters; a shorter text contains no key
LONGEST_URI: Final = 200  # characters of a shortened data URI

# Query parameters of fal's API and of the control API that carry no secret.
HARMLESS: Final = frozenset(
    {
        *("logs", "fal_max_queue_length", "storage_type", "expiration_duration_seconds"),
        *("endpoint_id", "limit", "cursor", "q", "category", "status", "expand"),
    }
)
_URLS: Final = frozenset({"fal_webhook"})  # parameters with a URL as their value
_SCHEMES: Final = frozenset({"key", "bearer", "basic", "digest", "token"})
_NAMES: Final = r"(?:authorization|cookie|token|secret|password|(?:api|fal)[-_]?key|credential)s?|uploadid"
_SECRET_NAME: Final = re.compile(rf"(?:{_NAMES}|(?:^|[-_])key)$", re.IGNORECASE)
_SECRET_MEMBER: Final = re.compile(rf'("[^"\\]*(?:{_NAMES})"\s*:\s*")[^"]*', re.IGNORECASE)
_CREDENTIALS: Final = re.compile(r"\b(key|bearer)(\s+)([^\s:\"']+):[^\s\"',}]+", re.IGNORECASE)
# A fal key: the id is a UUID, the secret 32 hexadecimal digits (PROTOCOL.md 2.2).
_FAL_KEY: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f-]{4,27}:([0-9a-f]{32,})", re.IGNORECASE)
_BASE64_RUN: Final = re.compile(rb"(?<![\w+/-])[\w+/-]{80,}")  # a fal key takes 92 characters
_BASIC: Final = re.compile(r"\b(basic\s+)([\w+/-]{4,}=*)", re.IGNORECASE)
_TOKENS: Final = re.compile(r"(?<![\w-])(?:eyJ[\w-]+\.[\w-]+\.[\w-]+|gAAAA[\w-]+=*)")  # JWT, Fernet
_PATH_TOKEN: Final = re.compile(r"(/multipart/)[^/?#\s\"]+")
_URL: Final = re.compile(r"https?://[^\s\"'<>\\]+", re.IGNORECASE)
_DATA_URI: Final = b'"data:'
_BASE64: Final = b";base64"
_BASE64_LETTERS: Final = string.ascii_letters.encode() + string.digits.encode() + b"+/"
_SLICE: Final = 64 * 1024  # bytes, a multiple of four


class Redactor:
    """Masks secrets of a known form, and known keys in any encoding."""

    def __init__(self, known: KnownKeys | None = None) -> None:
        self._known = known or KnownKeys()

    def text(self, text: str) -> str:
        """Return a text with its secrets masked."""
        if len(text) < SHORTEST_TEXT:
            return text
        text = self._without_keys(text)
        if "://" in text:
            text = _URL.sub(lambda found: _without_secrets(found[0]), text)
        if "/multipart/" in text:
            text = _PATH_TOKEN.sub(rf"\1{MASK}", text)
        if ":" in text:
            text = _CREDENTIALS.sub(rf"\1\2\3:{MASK}", text)
        text = _BASIC.sub(_without_basic, text)
        return _TOKENS.sub(MASK, text) if "eyJ" in text or "gAAAA" in text else text

    def _without_keys(self, text: str) -> str:
        data = text.encode(errors="surrogatepass")
        if not (spans := sorted(self._spans(data))):
            return text
        kept, end = [], 0
        for start, stop in spans:
            if start >= end:
                kept += [data[end:start], MASK.encode()]
            end = max(end, stop)
        return b"".join([*kept, data[end:]]).decode(errors="surrogatepass")

    def _spans(self, data: bytes) -> Iterator[Span]:
        for view, path in views(data):
            spans = [*self._known.spans(view), *(found.span(1) for found in _FAL_KEY.finditer(view))]
            spans += [found.span() for found in _BASE64_RUN.finditer(view) if _hides_key(found[0])]
            for span in spans:
                for step in path:
                    span = step.source(span)  # noqa: PLW2901 - a step back to the original
                yield span

    def name(self, name: str | None) -> str | None:
        """Return a name that a caller chose, such as a test, with its secrets masked."""
        return None if name is None else self.text(name)

    def url(self, url: str) -> str:
        """Return a URL without user info, with the values of unknown parameters masked."""
        return self.text(_without_secrets(url))

    def query(self, query: str) -> tuple[tuple[str, str], ...]:
        """Return the parameters of a query string, masked."""
        return tuple((self.text(name), self.text(value)) for name, value in _parameters(query))

    def headers(self, headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
        """Return headers, masked, names in lower case."""
        return tuple(
            self._header(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers
        )

    def body(self, body: bytes, content_type: str | None) -> Any:
        """Return a body as JSON or text, masked; None for other types."""
        try:
            return self.json(json.loads(body, parse_constant=str))
        except (ValueError, RecursionError):
            pass
        kind = (content_type or "text/plain").partition(";")[0].strip().lower()
        text = body.decode(errors="replace")
        if kind == "application/x-www-form-urlencoded":
            return dict(self.query(text))
        if not body or not kind.startswith(("text/", "application/json")):
            return None
        return self.text(_SECRET_MEMBER.sub(rf"\1{MASK}", text))

    def json(self, value: Any, depth: int = 0) -> Any:
        """Return a parsed JSON value, masked."""
        if isinstance(value, str):
            bare = value.lstrip()  # does not copy if there is nothing to strip
            return self.text(shortened(bare) if bare[:5].lower() == "data:" else value)
        if depth > DEPTH:
            return "..."
        if isinstance(value, list):
            return [self.json(item, depth + 1) for item in value]
        if isinstance(value, dict):
            return {self.text(name): self._member(name, item, depth + 1) for name, item in value.items()}
        return value

    def _member(self, name: str, value: Any, depth: int) -> Any:
        return MASK if isinstance(value, str) and _SECRET_NAME.search(name) else self.json(value, depth)

    def _header(self, name: str, value: str) -> tuple[str, str]:
        if name == "authorization":
            return name, credentials(value)
        name = name if len(name) < LONG_SECRET else self.text(name)
        return name, MASK if _SECRET_NAME.search(name) else self.text(value)


def credentials(authorization: str) -> str:
    """Return "Key me" for "Key me:secret", and a known scheme alone if there is no colon."""
    scheme, _, key = authorization.strip().partition(" ")
    key_id, colon, _ = key.strip().partition(":")
    if scheme.lower() not in _SCHEMES:
        return MASK
    return f"{scheme} {key_id}" if colon and key_id and scheme.lower() in {"key", "bearer"} else scheme


def _hides_key(run: bytes) -> bool:
    """Return whether the base64 text contains a fal key, at any offset."""
    plain = run.translate(bytes.maketrans(b"-_", b"+/"))
    for skipped in range(4):
        whole = plain[skipped : len(plain) - (len(plain) - skipped) % 4]
        if _FAL_KEY.search(base64.b64decode(whole)):
            return True
    return False


def _without_basic(found: re.Match[str]) -> str:
    """Mask the credentials after "basic", if they are a user and a password in base64."""
    encoded = found[2].rstrip("=").translate({ord("-"): "+", ord("_"): "/"})
    try:
        pair = base64.b64decode(encoded + "=" * (-len(encoded) % 4))
    except (ValueError, binascii.Error):
        return found[0]
    return found[1] + MASK if b":" in pair else found[0]


def shortened(uri: str) -> str:
    """Return "data:image/png;size=1234;sha256=..." for a data URI; the size is in decoded bytes."""
    return _compacted_uri(uri.encode(errors="replace")).decode()[:LONGEST_URI]


def compacted(body: bytes) -> bytes:
    """Return JSON with its data URIs shortened. It is not parsed, because it may have megabytes."""
    kept, end = [], 0
    while (start := body.find(_DATA_URI, end)) >= 0:
        close = body.find(b'"', start + len(_DATA_URI))
        if close < 0:
            break
        kept += [body[end : start + 1], _compacted_uri(body[start + 1 : close])]
        end = close
    return b"".join([*kept, body[end:]])


def _compacted_uri(uri: bytes) -> bytes:
    inner = uri.removesuffix(b"\\")  # in JSON within JSON the closing quote is escaped
    plain = inner.replace(rb"\/", b"/") if b"\\" in inner else inner
    head, comma, data = plain.partition(b",")
    if not comma:
        return uri
    encoded = head.lower().endswith(_BASE64)
    kind = head[: -len(_BASE64)] if encoded else head
    return kind + b";" + _measured(data, encoded=encoded).encode() + uri[len(inner) :]


def _measured(data: bytes, *, encoded: bool) -> str:
    with contextlib.suppress(binascii.Error):  # not base64 after all: measured unchanged
        data = _decoded(data) if encoded else data
    return f"size={len(data)};sha256={hashlib.sha256(data).hexdigest()}"


def _decoded(data: bytes) -> bytes:
    """Decode base64 in slices, because one long call would block all threads."""
    if data.rstrip(b"=").translate(
        None, delete=_BASE64_LETTERS
    ):  # characters that are skipped, so slices would be misaligned
        return base64.b64decode(data)
    return b"".join(base64.b64decode(data[start : start + _SLICE]) for start in range(0, len(data), _SLICE))


def _without_secrets(url: str) -> str:
    try:
        parts = urls.split(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return MASK
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    query = "&".join(
        # A lone surrogate, which JSON can contain, has no bytes.
        f"{quote(name, errors='replace')}={quote(value, safe=':/*', errors='replace')}"
        for name, value in _parameters(parts.query)
    )
    return f"{parts.scheme}://{host}{port}{parts.path}" + (f"?{query}" if query else "")


def _parameters(query: str) -> list[tuple[str, str]]:
    return [
        (name, _without_secrets(value) if name in _URLS else value if name in HARMLESS else MASK)
        for name, value in parse_qsl(query, keep_blank_values=True)
    ]
