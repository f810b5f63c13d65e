from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from falmock.engine.signing import Signer

SIGNER = Signer(b"s" * 32)
NOW = 1_790_000_000


def public_key() -> Ed25519PublicKey:
    (key,) = SIGNER.jwks()["keys"]
    return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "="))


def message(body: bytes) -> bytes:
    return f"rid\nuser\n{NOW}\n{hashlib.sha256(body).hexdigest()}".encode()


def test_a_signature_verifies_with_the_published_key() -> None:
    headers = SIGNER.webhook_headers(request_id="rid", user_id="user", timestamp=NOW, body=b'{"a":1}')

    public_key().verify(bytes.fromhex(headers["X-Fal-Webhook-Signature"]), message(b'{"a":1}'))


def test_a_signature_does_not_verify_for_another_body() -> None:
    headers = SIGNER.webhook_headers(request_id="rid", user_id="user", timestamp=NOW, body=b'{"a":1}')

    with pytest.raises(InvalidSignature):
        public_key().verify(bytes.fromhex(headers["X-Fal-Webhook-Signature"]), message(b'{"a":2}'))


def test_the_headers_say_what_was_signed() -> None:
    headers = SIGNER.webhook_headers(request_id="rid", user_id="user", timestamp=NOW, body=b"")

    assert list(headers) == [
        "X-Fal-Webhook-Request-Id",
        "X-Fal-Webhook-User-Id",
        "X-Fal-Webhook-Timestamp",
        "X-Fal-Webhook-Signature",
    ]
    assert headers["X-Fal-Webhook-Timestamp"] == str(NOW)


def test_the_key_set_has_the_published_form() -> None:
    (key,) = SIGNER.jwks()["keys"]

    assert (key["kty"], key["crv"], "=" in key["x"]) == ("OKP", "Ed25519", False)


def test_a_sealed_token_opens_to_its_claims() -> None:
    assert SIGNER.open(SIGNER.seal({"a": 1}, now=NOW), now=NOW + 10, lifetime=10) == {"a": 1}


def test_a_token_is_opened_only_by_who_sealed_it() -> None:
    assert Signer(b"t" * 32).open(SIGNER.seal({"a": 1}, now=NOW), now=NOW, lifetime=10) is None


def test_a_token_that_is_too_old_stays_shut() -> None:
    assert SIGNER.open(SIGNER.seal({}, now=NOW), now=NOW + 11, lifetime=10) is None


@pytest.mark.parametrize("token", ["", "gibberish", "\udc80", "é"])
def test_what_is_no_token_stays_shut(token: str) -> None:
    assert SIGNER.open(token, now=NOW, lifetime=10) is None
