"""Verification and parsing of webhooks."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

import falqueue
from falqueue import Client, Delivery, Veo2ImageToVideo, keys_of, verify

if TYPE_CHECKING:
    from collections.abc import Callable

    import respx

NOW = 1_000_000.0
ID = "019e7b6a-5c1d-7f3e-9a2b-4c5d6e7f8091"
JWKS = "https://rest.fal.ai/.well-known/jwks.json"
OK = {"request_id": ID, "gateway_request_id": ID, "status": "OK", "payload": {"video": {"url": "u"}}}
FALS, OTHERS = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
Body = dict[str, Any]
NAMES = ("request-id", "user-id", "timestamp", "signature")


def public(*keys: Ed25519PrivateKey) -> list[bytes]:
    return [key.public_key().public_bytes_raw() for key in keys]


def jwks(*keys: Ed25519PrivateKey) -> Body:
    return {
        "keys": [
            {"kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(raw).rstrip(b"=").decode()}
            for raw in public(*keys)
        ]
    }


def signed(
    body: bytes, *, key: Ed25519PrivateKey = FALS, timestamp: str = "1000000", user: str = "user"
) -> dict[str, str]:
    """Return the headers that fal would send with `body`."""
    message = f"{ID}\n{user}\n{timestamp}\n{hashlib.sha256(body).hexdigest()}"
    values = (ID, user, timestamp, key.sign(message.encode()).hex())
    return {f"X-Fal-Webhook-{name.title()}": value for name, value in zip(NAMES, values, strict=True)}


def delivery(body: object) -> tuple[bytes, dict[str, str]]:
    raw = json.dumps(body).encode()
    return raw, signed(raw)


def fetch_keys_of_others(client: Client, fal: respx.Router) -> None:
    """Let a client fetch keys that have not signed the webhooks of `delivery`."""
    fal.get(JWKS).respond(200, json=jwks(OTHERS))
    raw = json.dumps(OK).encode()
    client.verify_webhook(raw, signed(raw, key=OTHERS))


class TestVerify:
    def test_verify_accepts_a_webhook_that_fal_signed(self) -> None:
        assert verify(*delivery(OK), keys=public(FALS), now=NOW) == Delivery.parse(OK)

    def test_verify_tries_every_key(self) -> None:
        assert verify(*delivery(OK), keys=public(OTHERS, FALS), now=NOW).request_id == ID

    def test_verify_accepts_a_user_id_with_a_provider(self) -> None:
        raw = json.dumps(OK, sort_keys=True).encode()
        assert verify(raw, signed(raw, user="github|1234567"), public(FALS), now=NOW).request_id == ID

    def test_verify_rejects_a_body_that_was_serialised_again(self) -> None:
        raw = json.dumps(OK, sort_keys=True).encode()
        again = json.dumps(json.loads(raw), separators=(",", ":")).encode()
        with pytest.raises(falqueue.SignatureMismatch):
            verify(again, signed(raw), public(FALS), now=NOW)

    @pytest.mark.parametrize("spelled", [str.lower, str.upper, str.title])
    def test_verify_accepts_header_names_in_any_case(self, spelled: Callable[[str], str]) -> None:
        body, headers = delivery(OK)
        headers = {spelled(name): value for name, value in headers.items()}
        assert verify(body, headers, public(FALS), now=NOW).status == "OK"

    @pytest.mark.parametrize("name", NAMES)
    def test_verify_names_the_header_that_is_missing(self, name: str) -> None:
        body, headers = delivery(OK)
        del headers[f"X-Fal-Webhook-{name.title()}"]
        with pytest.raises(falqueue.HeaderMissing, match=f"x-fal-webhook-{name} is missing"):
            verify(body, headers, public(FALS), now=NOW)

    @pytest.mark.parametrize("age", [-300, 0, 300])
    def test_verify_accepts_a_timestamp_up_to_five_minutes_off(self, age: int) -> None:
        assert verify(*delivery(OK), keys=public(FALS), now=NOW + age).status == "OK"

    @pytest.mark.parametrize("age", [-300.5, 300.5, 86400, -NOW, float("nan")])
    def test_verify_rejects_a_timestamp_more_than_five_minutes_off(self, age: float) -> None:
        with pytest.raises(falqueue.TimestampRejected, match="within 300 seconds"):
            verify(*delivery(OK), keys=public(FALS), now=NOW + age)

    @pytest.mark.parametrize(
        "timestamp", ["1_000_000", "1000000.0", "+1000000", "\uff11\uff10\uff10\uff10", "9" * 5000, "now"]
    )
    def test_verify_rejects_a_timestamp_that_is_not_digits(self, timestamp: str) -> None:
        with pytest.raises(falqueue.TimestampRejected):
            verify(b"{}", signed(b"{}", timestamp=timestamp), public(FALS), now=NOW)

    @pytest.mark.parametrize("signature", ["", "00", "zz" * 64, "00" * 64, "00" * 65, " " * 128])
    def test_verify_rejects_a_malformed_signature(self, signature: str) -> None:
        body, headers = delivery(OK)
        with pytest.raises(falqueue.WebhookRejected):
            verify(body, headers | {"X-Fal-Webhook-Signature": signature}, public(FALS), now=NOW)

    def test_verify_rejects_the_signature_of_another_key(self) -> None:
        with pytest.raises(falqueue.SignatureMismatch):
            verify(*delivery(OK), keys=public(OTHERS), now=NOW)

    def test_verify_rejects_everything_without_keys(self) -> None:
        with pytest.raises(falqueue.SignatureMismatch):
            verify(*delivery(OK), keys=[], now=NOW)

    @pytest.mark.parametrize("name", ["Request-Id", "User-Id"])
    def test_the_signature_covers_the_ids(self, name: str) -> None:
        body, headers = delivery(OK)
        with pytest.raises(falqueue.SignatureMismatch):
            verify(body, headers | {f"X-Fal-Webhook-{name}": "other\ud800"}, public(FALS), now=NOW)

    def test_the_signature_covers_the_timestamp(self) -> None:
        body, headers = delivery(OK)
        with pytest.raises(falqueue.SignatureMismatch):
            verify(body, headers | {"X-Fal-Webhook-Timestamp": "1000001"}, public(FALS), now=NOW)

    @given(position=st.integers(0, len(json.dumps(OK)) - 1), bit=st.integers(0, 7))
    def test_the_signature_covers_every_bit_of_the_body(self, position: int, bit: int) -> None:
        body, headers = delivery(OK)
        changed = bytearray(body)
        changed[position] ^= 1 << bit
        with pytest.raises(falqueue.SignatureMismatch):
            verify(bytes(changed), headers, public(FALS), now=NOW)

    def test_verify_gives_no_detail_about_a_wrong_signature(self) -> None:
        said = set()
        for signature in ("00", "zz" * 64, "00" * 64, signed(b"{}", key=OTHERS)["X-Fal-Webhook-Signature"]):
            headers = signed(b"{}") | {"X-Fal-Webhook-Signature": signature}
            with pytest.raises(falqueue.SignatureMismatch) as caught:
                verify(b"{}", headers, public(FALS), now=NOW)
            said.add(str(caught.value))
        assert said == {"no key signed this request"}

    @pytest.mark.parametrize("body", [b"nothing", b"[]", b"{}", b'{"status": "DONE", "request_id": "x"}'])
    def test_a_signed_body_that_is_no_webhook_is_a_protocol_error(self, body: bytes) -> None:
        with pytest.raises(falqueue.ProtocolError):
            verify(body, signed(body), public(FALS), now=NOW)

    def test_verify_without_cryptography_is_an_error_that_names_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
        with pytest.raises(falqueue.UsageError, match="cryptography"):
            verify(*delivery(OK), keys=public(FALS), now=NOW)


class TestKeys:
    def test_keys_of_other_types_are_ignored(self) -> None:
        mixed = {"keys": [{"kty": "RSA", "n": "x"}, {"kty": "OKP", "crv": "X25519"}, *jwks(FALS)["keys"]]}
        assert keys_of(mixed) == tuple(public(FALS))

    def test_keys_with_and_without_padding_are_accepted(self) -> None:
        document = jwks(FALS, OTHERS)
        document["keys"][0] |= {"x": document["keys"][0]["x"] + "=", "kid": "k", "use": "sig"}
        assert keys_of(document) == tuple(public(FALS, OTHERS))

    @pytest.mark.parametrize(
        "document",
        [
            {},
            {"keys": 7},
            {"keys": ["x"]},
            {"keys": [{"kty": "OKP", "crv": "Ed25519"}]},
            {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}]},
        ],
    )
    def test_a_malformed_key_set_is_an_error(self, document: Body) -> None:
        with pytest.raises(falqueue.ProtocolError):
            keys_of(document)


class TestVerifyWebhook:
    def test_the_client_caches_the_webhook_keys_for_a_day(
        self, client: Client, fal: respx.Router, time: Any
    ) -> None:
        route = fal.get(JWKS).respond(200, json=jwks(FALS))
        client.verify_webhook(*delivery(OK))
        client.verify_webhook(*delivery(OK))
        assert route.call_count == 1
        raw = json.dumps(OK).encode()
        time.now += 86_399
        client.verify_webhook(raw, signed(raw, timestamp=str(int(time.now))))
        assert route.call_count == 1
        time.now += 1
        client.verify_webhook(raw, signed(raw, timestamp=str(int(time.now))))
        assert route.call_count == 2

    def test_the_client_fetches_the_webhook_keys_without_its_own_key(
        self, client: Client, fal: respx.Router
    ) -> None:
        fal.get(JWKS).respond(200, json=jwks(FALS))
        client.verify_webhook(*delivery(OK))
        assert "authorization" not in fal.calls[0].request.headers

    def test_the_client_fetches_the_webhook_keys_again_for_an_unknown_signature(
        self, client: Client, fal: respx.Router, time: Any
    ) -> None:
        fetch_keys_of_others(client, fal)
        fal.get(JWKS).respond(200, json=jwks(OTHERS, FALS))
        time.now += 59
        with pytest.raises(falqueue.SignatureMismatch):
            client.verify_webhook(*delivery(OK))
        time.now += 1
        assert client.verify_webhook(*delivery(OK)).request_id == ID

    def test_forged_webhooks_do_not_cause_repeated_key_requests(
        self, client: Client, fal: respx.Router
    ) -> None:
        route = fal.get(JWKS).respond(200, json=jwks(OTHERS))
        for _ in range(5):
            with pytest.raises(falqueue.SignatureMismatch):
                client.verify_webhook(*delivery(OK))
        assert route.call_count == 1

    def test_forged_webhooks_do_not_cause_repeated_key_requests_while_there_is_no_answer(
        self, client: Client, fal: respx.Router, time: Any
    ) -> None:
        fetch_keys_of_others(client, fal)
        time.now += 60
        route = fal.get(JWKS).respond(503)
        with pytest.raises(falqueue.Unavailable):
            client.verify_webhook(*delivery(OK))
        calls = route.call_count
        with pytest.raises(falqueue.SignatureMismatch):
            client.verify_webhook(*delivery(OK))
        assert route.call_count == calls

    @pytest.mark.parametrize(
        "change", [{"X-Fal-Webhook-Signature": ""}, {"X-Fal-Webhook-Timestamp": "999699"}]
    )
    def test_a_webhook_with_unacceptable_headers_causes_no_key_request(
        self, client: Client, fal: respx.Router, change: dict[str, str]
    ) -> None:
        route = fal.get(JWKS).respond(200, json=jwks(FALS))
        body, headers = delivery(OK)
        with pytest.raises(falqueue.WebhookRejected):
            client.verify_webhook(body, headers | change)
        assert route.call_count == 0

    @pytest.mark.parametrize(("age", "accepted"), [(-301, False), (-300, True), (300, True), (301, False)])
    def test_the_client_accepts_timestamps_up_to_five_minutes_off(
        self, client: Client, fal: respx.Router, time: Any, age: int, accepted: bool
    ) -> None:
        fal.get(JWKS).respond(200, json=jwks(FALS))
        time.now = NOW + age
        if accepted:
            assert client.verify_webhook(*delivery(OK)).request_id == ID
        else:
            with pytest.raises(falqueue.TimestampRejected):
                client.verify_webhook(*delivery(OK))

    def test_webhook_keys_that_cannot_be_fetched_are_an_error(
        self, client: Client, fal: respx.Router
    ) -> None:
        fal.get(JWKS).respond(503)
        with pytest.raises(falqueue.Unavailable):
            client.verify_webhook(*delivery(OK))


class TestDelivery:
    def test_a_delivery_contains_the_output(self) -> None:
        assert Delivery.parse(OK).result() == {"video": {"url": "u"}}

    def test_a_delivery_gives_a_typed_output_for_a_model(self) -> None:
        assert Delivery.parse(OK).result(Veo2ImageToVideo).video.url == "u"

    @pytest.mark.parametrize(
        ("payload", "kind"),
        [
            (
                {"detail": [{"loc": ["body", "prompt"], "msg": "No", "type": "content_policy_violation"}]},
                falqueue.ContentPolicyViolation,
            ),
            (
                {"detail": [{"loc": ["body", "x"], "msg": "No", "type": "value_error.missing"}]},
                falqueue.InputRejected,
            ),
            ({"detail": "Runner disconnected", "error_type": "runner_disconnected"}, falqueue.PlatformFailed),
            ({"detail": "Cancelled", "error_type": "client_cancelled"}, falqueue.Cancelled),
            ({"detail": "Gone", "error_type": "client_disconnected"}, falqueue.Cancelled),
            ({"detail": "Path /x not found"}, falqueue.UnknownPath),
            (None, falqueue.RequestFailed),
        ],
    )
    def test_a_delivery_of_a_failure_raises_the_class_for_its_type(
        self, payload: object, kind: type[falqueue.RequestFailed]
    ) -> None:
        body = OK | {"status": "ERROR", "error": "Unexpected status code: 422", "payload": payload}
        with pytest.raises(falqueue.RequestFailed, match=ID) as caught:
            Delivery.parse(body).result()
        assert (type(caught.value), caught.value.status_code) == (kind, None)

    @pytest.mark.parametrize(
        ("payload", "retryable"),
        [
            ({"detail": [{"loc": ["body"], "msg": "No", "type": "internal_server_error"}]}, True),
            ({"detail": [{"loc": ["body"], "msg": "No", "type": "no_media_generated"}]}, False),
            ({"detail": "Runner disconnected", "error_type": "runner_disconnected"}, True),
            ({"detail": "Bad request", "error_type": "bad_request"}, False),
            ({"detail": "Cancelled", "error_type": "client_cancelled"}, False),
            (None, False),
        ],
    )
    def test_a_delivery_of_a_failure_says_whether_it_is_retryable(
        self, payload: object, retryable: bool
    ) -> None:
        with pytest.raises(falqueue.RequestFailed) as caught:
            Delivery.parse(OK | {"status": "ERROR", "payload": payload}).result()
        assert caught.value.retryable is retryable

    def test_a_delivery_without_payload_refers_to_client_result(self) -> None:
        body = OK | {"payload": None, "payload_error": "Response payload is not JSON serializable."}
        with pytest.raises(falqueue.ProtocolError, match=r"not JSON serializable.*Client\.result"):
            Delivery.parse(body).result()

    @pytest.mark.parametrize("status", [None, "DONE", ["OK"], {}])
    def test_a_delivery_with_an_unknown_status_is_an_error(self, status: object) -> None:
        with pytest.raises(falqueue.ProtocolError, match="unknown status"):
            Delivery.parse(OK | {"status": status})

    def test_a_delivery_with_a_malformed_payload_is_an_error(self) -> None:
        with pytest.raises(falqueue.ProtocolError):
            Delivery.parse(OK | {"payload": {"image": 1}}).result(Veo2ImageToVideo)

    def test_a_repeated_delivery_is_equal_to_the_first(self) -> None:
        raw = json.dumps(OK).encode()
        twice = [
            verify(raw, signed(raw, timestamp=timestamp), public(FALS), now=NOW)
            for timestamp in ("999900", "1000000")
        ]
        assert twice[0] == twice[1]

    def test_a_delivery_of_a_repeated_run_has_both_request_ids(self) -> None:
        again = Delivery.parse(OK | {"gateway_request_id": "other"})
        assert (again.request_id, again.gateway_request_id) == (ID, "other")
