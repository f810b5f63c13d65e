"""A delivery is authentic if it is signed, complete and recent."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from falcontract.properties.signatures import HEADERS, problem

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
NOW = 1_790_000_000
BODY = b'{"status": "OK"}'


def jwks(*keys: Ed25519PrivateKey) -> object:
    raw = [key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw) for key in keys]
    return {
        "keys": [
            {"kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(x).rstrip(b"=").decode()}
            for x in raw
        ]
    }


def signed(body: bytes = BODY, at: int = NOW, key: Ed25519PrivateKey = KEY) -> dict[str, str]:
    message = "\n".join(("rid", "user", str(at), hashlib.sha256(body).hexdigest()))
    return dict(zip(HEADERS, ("rid", "user", str(at), key.sign(message.encode()).hex()), strict=True))


def test_a_signed_delivery_is_authentic() -> None:
    assert problem(signed(), BODY, jwks(KEY), NOW) is None


def test_any_key_of_the_set_verifies_a_delivery() -> None:
    assert problem(signed(), BODY, jwks(OTHER, KEY), NOW) is None


@pytest.mark.parametrize("name", HEADERS)
def test_a_delivery_without_one_of_the_headers_is_refused(name: str) -> None:
    headers = {key: value for key, value in signed().items() if key != name}
    assert name in str(problem(headers, BODY, jwks(KEY), NOW))


@pytest.mark.parametrize("name", HEADERS)
def test_a_delivery_with_a_changed_header_is_refused(name: str) -> None:
    headers = signed() | {name: "1790000001" if "timestamp" in name else "ab"}
    assert problem(headers, BODY, jwks(KEY), NOW)


@pytest.mark.parametrize("keys", [jwks(OTHER), jwks(), None, {"keys": [{"kty": "RSA"}]}])
def test_a_delivery_signed_by_a_key_outside_the_set_is_refused(keys: object) -> None:
    assert problem(signed(), BODY, keys, NOW)


@pytest.mark.parametrize(
    ("late", "valid"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)]
)
def test_a_timestamp_is_valid_for_five_minutes(late: int, valid: bool) -> None:
    assert (problem(signed(), BODY, jwks(KEY), NOW + late) is None) is valid


def test_a_delivery_with_a_changed_body_is_refused() -> None:
    assert problem(signed(), BODY + b" ", jwks(KEY), NOW)


def test_a_signature_that_is_not_hex_is_refused() -> None:
    assert problem(signed() | {HEADERS[3]: "zz"}, BODY, jwks(KEY), NOW)
