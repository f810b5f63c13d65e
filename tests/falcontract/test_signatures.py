"""A delivery is believed when it is signed, whole and fresh."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from falcontract.signatures import HEADERS, problem

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
    said = "\n".join(("rid", "user", str(at), hashlib.sha256(body).hexdigest()))
    return dict(zip(HEADERS, ("rid", "user", str(at), key.sign(said.encode()).hex()), strict=True))


def test_a_signed_delivery_is_believed() -> None:
    assert problem(signed(), BODY, jwks(KEY), NOW) is None


def test_any_key_of_the_set_will_do() -> None:
    assert problem(signed(), BODY, jwks(OTHER, KEY), NOW) is None


@pytest.mark.parametrize("name", HEADERS)
def test_each_header_is_needed(name: str) -> None:
    headers = {key: value for key, value in signed().items() if key != name}
    assert name in str(problem(headers, BODY, jwks(KEY), NOW))


@pytest.mark.parametrize("name", HEADERS)
def test_each_header_is_covered(name: str) -> None:
    headers = signed() | {name: "1790000001" if "timestamp" in name else "ab"}
    assert problem(headers, BODY, jwks(KEY), NOW)


@pytest.mark.parametrize("keys", [jwks(OTHER), jwks(), None, {"keys": [{"kty": "RSA"}]}])
def test_another_key_is_not_believed(keys: object) -> None:
    assert problem(signed(), BODY, keys, NOW)


@pytest.mark.parametrize(
    ("late", "believed"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)]
)
def test_a_delivery_is_believed_for_five_minutes(late: int, believed: bool) -> None:
    assert (problem(signed(), BODY, jwks(KEY), NOW + late) is None) is believed


def test_another_body_is_not_believed() -> None:
    assert problem(signed(), BODY + b" ", jwks(KEY), NOW)


def test_a_signature_that_is_no_hex_is_not_believed() -> None:
    assert problem(signed() | {HEADERS[3]: "zz"}, BODY, jwks(KEY), NOW)
