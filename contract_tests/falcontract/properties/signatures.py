"""Verification of webhook signatures, as a receiver does it (PROTOCOL.md 9.2)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

if TYPE_CHECKING:
    from collections.abc import Mapping

TOLERANCE: Final = 300  # seconds
HEADERS: Final = tuple(
    f"x-fal-webhook-{name}" for name in ("request-id", "user-id", "timestamp", "signature")
)


def problem(headers: Mapping[str, str], body: bytes, jwks: Any, now: float) -> str | None:
    """Return why a delivery is not authentic, or None if it is.

    The names of the headers are in lower case; `now` is in unix seconds.
    """
    if missing := [name for name in HEADERS if name not in headers]:
        return f"{missing[0]} is missing"
    request_id, user_id, timestamp, signature = (headers[name] for name in HEADERS)
    if not timestamp.isascii() or not timestamp.isdecimal() or abs(now - int(timestamp)) > TOLERANCE:
        return f"the timestamp is {timestamp}, more than {TOLERANCE} s from {now:.0f}"
    message = "\n".join((request_id, user_id, timestamp, hashlib.sha256(body).hexdigest())).encode()
    try:
        raw = bytes.fromhex(signature)
    except ValueError:
        return "the signature is not hex"
    if not any(_verifies(key, raw, message) for key in _keys(jwks)):
        return "no key of the set verifies the signature"
    return None


def _keys(jwks: Any) -> list[Ed25519PublicKey]:
    found = []
    for key in jwks.get("keys", []) if isinstance(jwks, dict) else []:
        if key.get("kty") == "OKP" and key.get("crv") == "Ed25519":
            try:
                raw = base64.urlsafe_b64decode(key["x"] + "=" * (-len(key["x"]) % 4))
                found.append(Ed25519PublicKey.from_public_bytes(raw))
            except (binascii.Error, ValueError, KeyError):
                continue
    return found


def _verifies(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True
