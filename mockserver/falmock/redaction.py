"""What may be shown of a call: no key, no token, no signed address, and no megabytes. Pure.

Everything that is not known to be harmless is masked: of an `Authorization` its scheme and key id are
left, of a URL's query the parameters of fal's own API, of a data URI its type, size and digest.
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

from falmock import urls

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK: Final = "***"
DEPTH: Final = 32  # of a JSON body; what lies deeper is left out
LONGEST_URI: Final = 200  # characters of a shortened data URI
LONG_SECRET: Final = 16  # characters; a shorter one alone is as likely to be a word of the text

# Query parameters that fal's API and the emulator's own know, and that carry no secret.
HARMLESS: Final = frozenset(
    {
        *("logs", "fal_max_queue_length", "storage_type", "expiration_duration_seconds"),
        *("endpoint_id", "limit", "cursor", "q", "category", "status", "expand"),
    }
)
_URLS: Final = frozenset({"fal_webhook"})  # parameters that are URLs themselves
_SCHEMES: Final = frozenset({"key", "bearer", "basic", "digest", "token"})
_NAMES: Final = r"(?:authorization|cookie|token|secret|password|(?:api|fal)[-_]?key|credential)s?|uploadid"
_SECRET_NAME: Final = re.compile(rf"(?:{_NAMES}|(?:^|[-_])key)$", re.IGNORECASE)
_SECRET_MEMBER: Final = re.compile(rf'("[^"\\]*(?:{_NAMES})"\s*:\s*")[^"]*', re.IGNORECASE)
_CREDENTIALS: Final = re.compile(r"\b(key|bearer)(\s+)([^\s:\"']+):[^\s\"',}]+", re.IGNORECASE)
_TOKENS: Final = re.compile(r"(?<![\w-])(?:eyJ[\w-]+\.[\w-]+\.[\w-]+|gAAAA[\w-]+=*)")  # JWT, Fernet
_PATH_TOKEN: Final = re.compile(r"(/multipart/)[^/?#\s\"]+")
_URL: Final = re.compile(r"https?://[^\s\"'<>\\]+", re.IGNORECASE)
_DATA_URI: Final = b'"data:'
_BASE64: Final = b";base64"
_BASE64_LETTERS: Final = string.ascii_letters.encode() + string.digits.encode() + b"+/"
_SLICE: Final = 64 * 1024  # bytes, a multiple of four


class Redactor:
    """Masks what is secret by its form, and what is known to be.

    Args:
        keys: "id:secret" pairs that are masked wherever they turn up.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        keys = tuple(filter(None, keys))
        secrets = (key.partition(":")[2] for key in keys)
        known = {*keys, *(secret for secret in secrets if len(secret) >= LONG_SECRET)}
        self._known = sorted(known, key=len, reverse=True)  # a whole key before the secret in it

    def text(self, text: str) -> str:
        """Return any text without secrets."""
        for secret in self._known:
            text = text.replace(secret, MASK)
        text = _URL.sub(lambda found: _bare(found[0]), text)
        text = _PATH_TOKEN.sub(rf"\1{MASK}", text)
        text = _CREDENTIALS.sub(rf"\1\2\3:{MASK}", text)
        return _TOKENS.sub(MASK, text)

    def url(self, url: str) -> str:
        """Return a URL without user info, and with those parameters alone that are harmless."""
        return self.text(_bare(url))

    def query(self, query: str) -> tuple[tuple[str, str], ...]:
        """Return the parameters of a query string."""
        return tuple((self.text(name), self.text(value)) for name, value in _parameters(query))

    def headers(self, headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
        """Return headers, names in lower case."""
        return tuple(
            self._header(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers
        )

    def body(self, body: bytes, content_type: str | None) -> Any:
        """Return a body as JSON, or as text; None for what is neither."""
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
        """Return what came out of JSON."""
        if isinstance(value, str):
            return shortened(value) if value[:5].lower() == "data:" else self.text(value)
        if depth > DEPTH:
            return "..."
        if isinstance(value, list):
            return [self.json(each, depth + 1) for each in value]
        if isinstance(value, dict):
            return {self.text(name): self._member(name, each, depth + 1) for name, each in value.items()}
        return value

    def _member(self, name: str, value: Any, depth: int) -> Any:
        return MASK if isinstance(value, str) and _SECRET_NAME.search(name) else self.json(value, depth)

    def _header(self, name: str, value: str) -> tuple[str, str]:
        if name == "authorization":
            return name, credentials(value)
        return name, MASK if _SECRET_NAME.search(name) else self.text(value)


def credentials(authorization: str) -> str:
    """Return "Key me" for "Key me:secret", and the scheme alone, if it is one, for what has no colon."""
    scheme, _, key = authorization.strip().partition(" ")
    key_id, colon, _ = key.strip().partition(":")
    if scheme.lower() not in _SCHEMES:
        return MASK
    return f"{scheme} {key_id}" if colon and key_id and scheme.lower() in {"key", "bearer"} else scheme


def shortened(uri: str) -> str:
    """Return "data:image/png;size=1234;sha256=..." for a data URI; the size is that of the data, in bytes."""
    return _compacted_uri(uri.encode(errors="replace")).decode()[:LONGEST_URI]


def compacted(body: bytes) -> bytes:
    """Return JSON with its data URIs shortened, without parsing it: it may have megabytes."""
    kept, end = [], 0
    while (start := body.find(_DATA_URI, end)) >= 0:
        close = body.find(b'"', start + len(_DATA_URI))
        if close < 0:
            break
        kept += [body[end : start + 1], _compacted_uri(body[start + 1 : close])]
        end = close
    return b"".join([*kept, body[end:]])


def _compacted_uri(uri: bytes) -> bytes:
    inner = uri.removesuffix(b"\\")  # of JSON within JSON, where the closing quote is escaped
    plain = inner.replace(rb"\/", b"/") if b"\\" in inner else inner
    head, comma, data = plain.partition(b",")
    if not comma:
        return uri
    encoded = head.lower().endswith(_BASE64)
    kind = head[: -len(_BASE64)] if encoded else head
    return kind + b";" + _measured(data, encoded=encoded).encode() + uri[len(inner) :]


def _measured(data: bytes, *, encoded: bool) -> str:
    with contextlib.suppress(binascii.Error):  # no base64 after all: measured as it stands
        data = _decoded(data) if encoded else data
    return f"size={len(data)};sha256={hashlib.sha256(data).hexdigest()}"


def _decoded(data: bytes) -> bytes:
    """Decode base64 in slices, for one call would hold up all threads until it is done."""
    if data.rstrip(b"=").translate(None, delete=_BASE64_LETTERS):  # to be skipped, and slices would not fit
        return base64.b64decode(data)
    return b"".join(base64.b64decode(data[start : start + _SLICE]) for start in range(0, len(data), _SLICE))


def _bare(url: str) -> str:
    try:
        parts = urls.split(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return MASK
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    query = "&".join(f"{quote(name)}={quote(value, safe=':/*')}" for name, value in _parameters(parts.query))
    return f"{parts.scheme}://{host}{port}{parts.path}" + (f"?{query}" if query else "")


def _parameters(query: str) -> list[tuple[str, str]]:
    return [
        (name, _bare(value) if name in _URLS else value if name in HARMLESS else MASK)
        for name, value in parse_qsl(query, keep_blank_values=True)
    ]
