"""Deliveries of a served emulator, verified as fal documents it and by usual libraries: PROTOCOL.md 9.2."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from processes import PATIENCE, Receiver, served
from programs import NODE, run, tool

import falqueue
from falqueue import keys_of, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Verifier = Callable[["Delivery", bytes], bool]

QUICK = ("--ephemeral", "--queue-seconds", "0", "--run-seconds", "0")
LEEWAY = 300  # seconds


@dataclass(frozen=True)
class Delivery:
    """A received delivery, and the key set of its sender."""

    headers: dict[str, str]
    body: bytes
    jwks: Any
    jwks_url: str

    def signed(self, body: bytes) -> tuple[bytes, bytes]:
        """Return the signature, and the message that it should belong to if this is the body."""
        names = ("request-id", "user-id", "timestamp")
        lines = [*(self.headers[f"x-fal-webhook-{name}"] for name in names), hashlib.sha256(body).hexdigest()]
        return bytes.fromhex(self.headers["x-fal-webhook-signature"]), "\n".join(lines).encode()


@pytest.fixture(scope="module")
def deliveries() -> Iterator[dict[str, Delivery]]:
    """One of a success and one of a failure, whose body has letters beyond ASCII."""
    with served(*QUICK) as server, Receiver() as receiver:
        url = f"{server.address}/rest.fal.ai/.well-known/jwks.json"
        taken = {}
        for name, more in {"OK": {}, "ERROR": {"duration": "9s", "prompt": "Ein Köder für 魚"}}.items():
            server.submit(f"?fal_webhook={receiver.url}", **more)
            headers, body = receiver.arrived.get(timeout=PATIENCE)
            taken[name] = Delivery(headers, body, server.http.get(url).json(), url)
        yield taken


@pytest.fixture(params=["OK", "ERROR"])
def delivery(deliveries: dict[str, Delivery], request: pytest.FixtureRequest) -> Delivery:
    found = deliveries[request.param]
    assert json.loads(found.body)["status"] == request.param
    return found


def accepts(check: Callable[[], object]) -> bool:
    try:
        check()
    except (InvalidSignature, falqueue.SignatureMismatch):
        return False
    return True


def documented(delivery: Delivery, body: bytes) -> bool:
    """Do what fal documents for Python: decode `x` as it is, and try every key."""
    if abs(time.time() - int(delivery.headers["x-fal-webhook-timestamp"])) > LEEWAY:
        return False
    signature, message = delivery.signed(body)
    decoded = [base64.urlsafe_b64decode(key["x"]) for key in delivery.jwks["keys"]]
    keys = [Ed25519PublicKey.from_public_bytes(raw) for raw in decoded]
    return any(accepts(lambda key=key: key.verify(signature, message)) for key in keys)  # type: ignore[misc]


def pyjwt(delivery: Delivery, body: bytes) -> bool:
    signature, message = delivery.signed(body)
    keys = jwt.PyJWKSet.from_dict(delivery.jwks).keys
    return any(key.Algorithm.verify(message, key.key, signature) for key in keys)


def by_falqueue(delivery: Delivery, body: bytes) -> bool:
    keys = keys_of(delivery.jwks)
    return accepts(lambda: verify(body, delivery.headers, keys, now=time.time()))


def compact(body: bytes) -> bytes:
    return json.dumps(json.loads(body), separators=(",", ":")).encode()


def unescaped(body: bytes) -> bytes:
    return json.dumps(json.loads(body), ensure_ascii=False, separators=(",", ":")).encode()


VERIFIERS = pytest.mark.parametrize(
    "verifier", [documented, pyjwt, by_falqueue], ids=lambda each: each.__name__
)


@VERIFIERS
def test_python_verifier_accepts_a_delivery(delivery: Delivery, verifier: Verifier) -> None:
    assert verifier(delivery, delivery.body)


@VERIFIERS
@pytest.mark.parametrize("serialised", [compact, unescaped], ids=lambda each: each.__name__)
def test_python_verifier_rejects_a_body_that_was_serialised_again(
    delivery: Delivery, verifier: Verifier, serialised: Callable[[bytes], bytes]
) -> None:
    assert not verifier(delivery, serialised(delivery.body))


def test_a_verifier_that_tries_only_the_first_key_rejects_a_delivery(delivery: Delivery) -> None:
    signature, message = delivery.signed(delivery.body)
    first = jwt.PyJWK(delivery.jwks["keys"][0])

    assert not first.Algorithm.verify(message, first.key, signature)


def test_javascript_verifiers_accept_a_delivery_and_reject_one_that_was_serialised_again() -> None:
    with served(*QUICK) as server, Receiver() as receiver:
        server.submit(f"?fal_webhook={receiver.url}")
        headers, body = receiver.arrived.get(timeout=PATIENCE)
        delivery = {
            "jwks_url": f"{server.address}/rest.fal.ai/.well-known/jwks.json",
            "headers": headers,
            "body": base64.b64encode(body).decode(),
        }
        report = run(tool("node"), str(NODE / "verify_webhook.mjs"), json.dumps(delivery)).report

    verifiers = ("documented", "libsodium's own base64", "jose")
    assert report["received"] == dict.fromkeys(verifiers, True)
    assert report["serialisedAgain"] == dict.fromkeys(verifiers, False)
    assert report["kids"] == report["thumbprints"]
