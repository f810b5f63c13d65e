"""Webhook signatures and upload tokens: one Ed25519 key pair, and what follows from it. Pure.

A webhook is signed over four lines, its request id, user id, timestamp and the hex SHA-256 of its
body, and receivers find the public key in a JWKS document (PROTOCOL.md 9.2).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET_BYTES = 32
_JWT_HEADER = b'{"alg":"HS256","typ":"JWT"}'


class Signer:
    """Signs for one emulator.

    Args:
        secret: 32 bytes, the seed of the key pair. Keep it, and signatures stay verifiable.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._keys = [Ed25519PrivateKey.from_private_bytes(secret)]  # the newest first
        self._fernet = Fernet(base64.urlsafe_b64encode(_derive(secret, b"falmock upload tokens")))
        self._jwt_key = _derive(secret, b"falmock JSON web tokens")

    def webhook_headers(
        self, *, request_id: str, user_id: str, timestamp: int, body: bytes
    ) -> dict[str, str]:
        """Return the four `X-Fal-Webhook-*` headers for one delivery; `timestamp` in unix seconds."""
        lines = (request_id, user_id, str(timestamp), hashlib.sha256(body).hexdigest())
        return {
            "X-Fal-Webhook-Request-Id": request_id,
            "X-Fal-Webhook-User-Id": user_id,
            "X-Fal-Webhook-Timestamp": str(timestamp),
            "X-Fal-Webhook-Signature": self._keys[0].sign("\n".join(lines).encode()).hex(),
        }

    def rotate(self) -> None:
        """Sign webhooks with a new key from now on."""
        fresh = _derive(self._secret, f"falmock webhook key {len(self._keys)}".encode())
        self._keys.insert(0, Ed25519PrivateKey.from_private_bytes(fresh))

    def jwks(self) -> dict[str, Any]:
        """Return the key set that `/.well-known/jwks.json` serves, the newest key first."""
        raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        public = [key.public_key().public_bytes(*raw) for key in self._keys]
        return {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": _url64(key)} for key in public]}

    def seal(self, claims: Mapping[str, Any], *, now: float) -> str:
        """Return an opaque token that only this signer can open."""
        return self._fernet.encrypt_at_time(json.dumps(claims).encode(), int(now)).decode()

    def open(self, token: str, *, now: float, lifetime: int) -> dict[str, Any] | None:
        """Return the claims of a token no older than `lifetime` seconds, or None."""
        try:
            opened = self._fernet.decrypt_at_time(token.encode(), lifetime, int(now))
        except (InvalidToken, UnicodeEncodeError):
            return None
        claims: dict[str, Any] = json.loads(opened)
        return claims

    def jwt(self, claims: Mapping[str, Any]) -> str:
        """Return a JSON web token, signed with HS256; its claims are for all to read."""
        signed = f"{_url64(_JWT_HEADER)}.{_url64(json.dumps(claims).encode())}"
        return f"{signed}.{self._jwt_signature(signed)}"

    def jwt_claims(self, token: str, *, now: float) -> dict[str, Any] | None:
        """Return the claims of a token of this signer's that has not expired, or None."""
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(self._jwt_signature(signed).encode(), signature.encode(errors="replace")):
            return None
        payload = signed.partition(".")[2]
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return claims if claims["exp"] > now else None

    def _jwt_signature(self, signed: str) -> str:
        return _url64(hmac.digest(self._jwt_key, signed.encode(errors="replace"), "sha256"))


def _derive(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(hashes.SHA256(), SECRET_BYTES, salt=None, info=purpose).derive(secret)


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
