from __future__ import annotations

import base64
import hashlib
import subprocess
import sys

import jwt
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from falmock.engine.signing import Signer

SIGNER = Signer(b"s" * 32)
NOW = 1_790_000_000


def public_key() -> Ed25519PublicKey:
    """Return the key that signs: the first one of the set is published for later."""
    _, key = SIGNER.jwks()["keys"]
    return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"]))


def message(body: bytes) -> bytes:
    return f"rid\nuser\n{NOW}\n{hashlib.sha256(body).hexdigest()}".encode()


def test_a_webhook_signature_verifies_with_the_published_key() -> None:
    headers = SIGNER.webhook_headers(request_id="rid", user_id="user", timestamp=NOW, body=b'{"a":1}')

    public_key().verify(bytes.fromhex(headers["X-Fal-Webhook-Signature"]), message(b'{"a":1}'))


def test_a_webhook_signature_does_not_verify_for_another_body() -> None:
    headers = SIGNER.webhook_headers(request_id="rid", user_id="user", timestamp=NOW, body=b'{"a":1}')

    with pytest.raises(InvalidSignature):
        public_key().verify(bytes.fromhex(headers["X-Fal-Webhook-Signature"]), message(b'{"a":2}'))


def test_webhook_headers_contain_the_signed_values() -> None:
    headers = SIGNER.webhook_headers(request_id="rid", user_id="user", timestamp=NOW, body=b"")

    assert list(headers) == [
        "X-Fal-Webhook-Request-Id",
        "X-Fal-Webhook-User-Id",
        "X-Fal-Webhook-Timestamp",
        "X-Fal-Webhook-Signature",
    ]
    assert headers["X-Fal-Webhook-Timestamp"] == str(NOW)


def test_each_rotation_adds_a_key_and_keeps_the_earlier_ones() -> None:
    signer = Signer(b"r" * 32)
    sets = []
    for _ in range(3):
        sets.append([key["kid"] for key in signer.jwks()["keys"]])
        signer.rotate()

    assert [len(set(kids)) for kids in sets] == [2, 3, 4]
    assert set(sets[0]) < set(sets[1]) < set(sets[2])


def test_a_sealed_token_opens_to_its_claims() -> None:
    assert SIGNER.open(SIGNER.seal({"a": 1}, now=NOW), now=NOW + 10, lifetime=10) == {"a": 1}


def test_a_sealed_token_does_not_open_with_another_secret() -> None:
    assert Signer(b"t" * 32).open(SIGNER.seal({"a": 1}, now=NOW), now=NOW, lifetime=10) is None


def test_an_expired_sealed_token_does_not_open() -> None:
    assert SIGNER.open(SIGNER.seal({}, now=NOW), now=NOW + 11, lifetime=10) is None


@pytest.mark.parametrize("token", ["", "gibberish", "\udc80", "é"])
def test_an_invalid_sealed_token_does_not_open(token: str) -> None:
    assert SIGNER.open(token, now=NOW, lifetime=10) is None


CLAIMS = {"sub": "me", "allowed_apps": ["veo2"], "iat": NOW, "exp": NOW + 60}


@pytest.mark.parametrize("now", [0.0, 1e6, 4e9])
def test_a_json_web_token_expires_by_the_given_time_and_not_by_real_time(now: float) -> None:
    token = SIGNER.jwt({"sub": "me", "iat": int(now), "exp": int(now) + 60})

    assert SIGNER.jwt_claims(token, now=now + 59) is not None
    assert SIGNER.jwt_claims(token, now=now + 60) is None


def test_a_json_web_token_can_be_read_without_a_key() -> None:
    token = SIGNER.jwt(CLAIMS)

    assert jwt.decode(token, options={"verify_signature": False}) == CLAIMS
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        "é",
        "\ud800",
        Signer(b"t" * 32).jwt(CLAIMS),
        jwt.encode(CLAIMS, "", "none"),
        SIGNER.jwt(CLAIMS).rpartition(".")[0] + ".",
    ],
    ids=["empty", "not base64", "not ASCII", "surrogate", "another key", "unsigned", "without signature"],
)
def test_an_invalid_json_web_token_has_no_claims(token: str) -> None:
    assert SIGNER.jwt_claims(token, now=NOW) is None


def test_pyjwt_is_not_imported_at_the_start() -> None:
    code = "import sys, falmock.app; sys.exit('jwt' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
