"""Verifies the signature of a delivery as a receiver must (PROTOCOL.md 9.2). Pure."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OLDEST: Final = 300.0  # seconds between the timestamp and the receiver's clock
NAMES: Final = ("request-id", "user-id", "timestamp")


def objection(
    headers: Mapping[str, str], body: bytes, keys: Iterable[Mapping[str, Any]], arrived_at: float
) -> str | None:
    """Return why a receiver must refuse a delivery, or None for a valid one.

    Args:
        headers: names in lower case.
        body: the bytes that were sent.
        keys: the keys of the published JWKS.
        arrived_at: real time, unix seconds.
    """
    try:
        lines = [headers[f"x-fal-webhook-{name}"] for name in NAMES]
        signature = bytes.fromhex(headers["x-fal-webhook-signature"])
        age = arrived_at - int(lines[-1])
    except (KeyError, ValueError):
        return "its headers are incomplete"
    message = "\n".join([*lines, hashlib.sha256(body).hexdigest()]).encode()
    if not any(_verifies(key, signature, message) for key in keys):
        return "its signature does not match the body"
    if abs(age) > OLDEST:
        return f"its timestamp is {age:.0f} s old"
    return None


def _verifies(key: Mapping[str, Any], signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"])).verify(signature, message)
    except InvalidSignature:
        return False
    return True
