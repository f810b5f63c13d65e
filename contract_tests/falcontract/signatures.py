"""Webhook signatures, verified as a receiver would (PROTOCOL.md 9.2). The hour is handed in."""

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
    """Return why a delivery is not to be believed, or None when all is well.

    Args:
        headers: names in lower case.
        body: as it came.
        jwks: the sender's key set.
        now: unix seconds at receipt.
    """
    if absent := [name for name in HEADERS if name not in headers]:
        return f"there is no {absent[0]}"
    request_id, user_id, timestamp, signature = (headers[name] for name in HEADERS)
    if not timestamp.isascii() or not timestamp.isdecimal() or abs(now - int(timestamp)) > TOLERANCE:
        return f"the timestamp is {timestamp}, more than {TOLERANCE} s from {now:.0f}"
    said = "\n".join((request_id, user_id, timestamp, hashlib.sha256(body).hexdigest())).encode()
    try:
        raw = bytes.fromhex(signature)
    except ValueError:
        return "the signature is no hex"
    if not any(_fits(key, raw, said) for key in _keys(jwks)):
        return "no key of the sender's set made this signature"
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


def _fits(key: Ed25519PublicKey, signature: bytes, said: bytes) -> bool:
    try:
        key.verify(signature, said)
    except InvalidSignature:
        return False
    return True
