"""Signs webhooks, upload tokens and URLs, and JSON web tokens, with keys that are derived from one secret.

The signed message of a webhook has four lines: request id, user id, timestamp, hex SHA-256 of the body.
Receivers get the public key from a JWKS document (PROTOCOL.md 9.2).

The keys are made at their first use. cryptography and PyJWT are loaded then, because that takes 20 and 50 ms.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.fernet import Fernet
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SECRET_BYTES: Final = 32
URL_SIGNATURE_BYTES: Final = 12  # 16 characters of base64


class Signer:
    """The keys of one emulator. The secret is the seed of the first Ed25519 key, and decides the others."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != SECRET_BYTES:
            raise ValueError(f"the secret has {len(secret)} bytes instead of {SECRET_BYTES}")
        self._secret = secret

    @cached_property
    def _keys(self) -> list[Ed25519PrivateKey]:
        """The keys of webhooks, the newest first."""
        return [_signing_key(self._secret)]

    @cached_property
    def _next(self) -> Ed25519PrivateKey:
        return self._webhook_key("next")

    @cached_property
    def _fernet(self) -> Fernet:
        from cryptography.fernet import Fernet  # noqa: PLC0415 - see above

        return Fernet(base64.urlsafe_b64encode(_derive(self._secret, b"falmock upload tokens")))

    @cached_property
    def _url_key(self) -> bytes:
        return _derive(self._secret, b"falmock upload URLs")

    @cached_property
    def _jwt_key(self) -> bytes:
        return _derive(self._secret, b"falmock JSON web tokens")

    def webhook_headers(
        self, *, request_id: str, user_id: str, timestamp: int, body: bytes
    ) -> dict[str, str]:
        """Return the four `X-Fal-Webhook-*` headers of a delivery; `timestamp` in unix seconds."""
        lines = (request_id, user_id, str(timestamp), hashlib.sha256(body).hexdigest())
        return {
            "X-Fal-Webhook-Request-Id": request_id,
            "X-Fal-Webhook-User-Id": user_id,
            "X-Fal-Webhook-Timestamp": str(timestamp),
            "X-Fal-Webhook-Signature": self._keys[0].sign("\n".join(lines).encode()).hex(),
        }

    def rotate(self) -> None:
        """Add a new key to the published set, and sign later webhooks with it."""
        self._keys.insert(0, self._webhook_key(str(len(self._keys))))

    def jwks(self) -> dict[str, Any]:
        """Return the key set of `/.well-known/jwks.json`: two keys, and one more for each rotation.

        No webhook is signed with the first one, so a receiver must try all keys.
        """
        return {"keys": [_jwk(key) for key in (self._next, *self._keys)]}

    def _webhook_key(self, name: str) -> Ed25519PrivateKey:
        return _signing_key(_derive(self._secret, f"falmock webhook key {name}".encode()))

    def url_signature(self, path: str) -> str:
        """Return 16 characters that only this signer can make for a path."""
        return _url64(hmac.digest(self._url_key, path.encode(), "sha256")[:URL_SIGNATURE_BYTES])

    def seal(self, claims: Mapping[str, Any], *, now: float) -> str:
        """Return an opaque token that only this signer can open."""
        return self._fernet.encrypt_at_time(json.dumps(claims).encode(), int(now)).decode()

    def open(self, token: str, *, now: float, lifetime: int) -> dict[str, Any] | None:
        """Return the claims of a token no older than `lifetime` seconds, or None."""
        from cryptography.fernet import InvalidToken  # noqa: PLC0415 - see above

        try:
            opened = self._fernet.decrypt_at_time(token.encode(), lifetime, int(now))
        except (InvalidToken, UnicodeEncodeError):
            return None
        claims: dict[str, Any] = json.loads(opened)
        return claims

    def jwt(self, claims: Mapping[str, Any]) -> str:
        """Return a JSON web token, signed with HS256. Its claims are readable without a key."""
        import jwt  # noqa: PLC0415 - see above

        return jwt.encode(dict(claims), self._jwt_key, "HS256")

    def jwt_claims(self, token: str, *, now: float) -> dict[str, Any] | None:
        """Return the claims of a token of this signer, or None if it is invalid or has expired."""
        import jwt  # noqa: PLC0415 - see above

        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._jwt_key,
                ["HS256"],
                options={"verify_exp": False, "verify_iat": False},  # PyJWT compares with real time
            )
        except (jwt.InvalidTokenError, UnicodeEncodeError):
            return None
        return claims if claims["exp"] > now else None


def _signing_key(seed: bytes) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - see above

    return Ed25519PrivateKey.from_private_bytes(seed)


def _derive(secret: bytes, purpose: bytes) -> bytes:
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415 - see above

    return HKDF(hashes.SHA256(), SECRET_BYTES, salt=None, info=purpose).derive(secret)


def _jwk(key: Ed25519PrivateKey) -> dict[str, str]:
    """Return a public key as fal publishes it: `x` has its padding, which RFC 7518 leaves out."""
    public = key.public_key().public_bytes_raw()
    required = {"crv": "Ed25519", "kty": "OKP", "x": base64.urlsafe_b64encode(public).decode()}
    thumbprint = hashlib.sha256(json.dumps(required, separators=(",", ":")).encode()).digest()  # RFC 7638
    return {
        "kty": required["kty"],
        "crv": required["crv"],
        "kid": _url64(thumbprint),
        "x": required["x"],
        "use": "sig",
    }


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
