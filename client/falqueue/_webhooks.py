"""Webhooks: is this delivery fal's, and what does it say (PROTOCOL.md 9).

The signature is Ed25519, which httpx does not bring along: `verify` imports `cryptography` when it is called,
so that a client which only polls does not load it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, overload

from falqueue._errors import (
    HeaderMissing,
    ProtocolError,
    RequestFailed,
    SignatureMismatch,
    TimestampRejected,
    UsageError,
)
from falqueue._replies import json_object, outcome_kind, refusal
from falqueue._steps import Ask, Flow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from falqueue._requests import Json, TypedRequest
    from falqueue._sending import Sending

T = TypeVar("T")

LEEWAY_SECONDS: Final = 300
DAY_SECONDS: Final = 24 * 3600
REFRESH_SECONDS: Final = 60
PREFIX: Final = "x-fal-webhook-"
KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a verified webhook says. fal may deliver it more than once: act once per `request_id`.

    >>> body = {"request_id": "019e", "status": "OK", "payload": {"video": {"url": "https://v3.fal.media/a.mp4"}}}
    >>> Delivery.parse(body).result()["video"]["url"]
    'https://v3.fal.media/a.mp4'
    """

    request_id: str
    gateway_request_id: str
    status: Literal["OK", "ERROR"]
    payload: Any = field(repr=False)
    error: str | None = None
    payload_error: str | None = None

    @classmethod
    def parse(cls, body: Json) -> Delivery:
        """Read a delivery's JSON, without any question where it came from: for one that `verify` has passed.

        Raises:
            ProtocolError: no delivery of fal's.
        """
        status, request_id = body.get("status"), body.get("request_id")
        if status not in {"OK", "ERROR"} or not isinstance(request_id, str):
            raise ProtocolError("a webhook without a request_id or with a status that fal does not have")
        return cls(
            request_id=request_id,
            gateway_request_id=str(body.get("gateway_request_id", request_id)),
            status=status,
            payload=body.get("payload"),
            error=body.get("error"),
            payload_error=body.get("payload_error"),
        )

    @overload
    def result(self) -> Json: ...
    @overload
    def result(self, model: type[TypedRequest[T]]) -> T: ...
    def result(self, model: type[TypedRequest[Any]] | None = None) -> Any:
        """Return the output.

        Raises:
            RequestFailed: the job failed, of the same class that `Client.result` would raise.
            ProtocolError: OK, but the output did not fit into the webhook: fetch it with `Client.result`.
        """
        if self.status == "ERROR":
            raise self._failure()
        if not isinstance(self.payload, dict):
            reason = self.payload_error or "there is no payload"
            raise ProtocolError(f"{reason} Fetch it with Client.result", request_id=self.request_id)
        try:
            return model.output(self.payload) if model else self.payload
        except (KeyError, TypeError, ValueError) as error:
            raise ProtocolError("the payload is malformed", request_id=self.request_id) from error

    def _failure(self) -> RequestFailed:
        body = self.payload if isinstance(self.payload, dict) else {}
        kind, error_type, errors = outcome_kind(body)
        words = "; ".join(map(str, errors)) or body.get("detail") or self.error or "the job failed"
        return kind(
            f"{words!s:.500}",
            status_code=None,
            error_type=error_type,
            request_id=self.request_id,
            errors=errors,
        )


def verify(
    body: bytes,
    headers: Mapping[str, str],
    keys: Iterable[bytes],
    *,
    now: float,
    leeway: float = LEEWAY_SECONDS,
) -> Delivery:
    """Return what a webhook says, if fal signed it.

    Args:
        body: the raw body, byte for byte as it came in.
        headers: its headers; case does not matter.
        keys: fal's public keys, 32 bytes each, as `keys_of` reads them; any of them may have signed.
        now: the time of receipt, in Unix seconds.
        leeway: how far the timestamp may be from it, in seconds.

    Raises:
        WebhookRejected: its subclass says which part failed, and no more than that.
        ProtocolError: fal signed it, and it is no delivery.
        UsageError: `cryptography` is not installed.

    >>> verify(b"{}", {}, keys=[], now=0)
    Traceback (most recent call last):
    falqueue.HeaderMissing: x-fal-webhook-request-id is missing
    """
    request_id, user_id, timestamp, signature = _headers(headers)
    digest = hashlib.sha256(body).hexdigest()
    message = f"{request_id}\n{user_id}\n{timestamp}\n{digest}".encode(errors="replace")
    genuine = _signed_by_any(keys, signature, message)
    if not re.fullmatch(r"[0-9]{1,12}", timestamp) or abs(now - int(timestamp)) > leeway:
        raise TimestampRejected(f"the timestamp is not within {leeway:g} seconds of now")
    if not genuine:
        raise SignatureMismatch("no key signed this request")
    try:
        parsed = json.loads(body)
    except ValueError as error:
        raise ProtocolError("a signed webhook whose body is not JSON") from error
    return Delivery.parse(parsed if isinstance(parsed, dict) else {})


def keys_of(jwks: Mapping[str, Any]) -> tuple[bytes, ...]:
    """Return the Ed25519 keys of a JWKS document; entries of other kinds are passed over.

    Raises:
        ProtocolError: no such document.

    >>> keys_of({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}]}) == (bytes(32),)
    True
    """
    try:
        entries = [
            entry for entry in jwks["keys"] if (entry.get("kty"), entry.get("crv")) == ("OKP", "Ed25519")
        ]
        keys = tuple(base64.urlsafe_b64decode(entry["x"] + "=" * (-len(entry["x"]) % 4)) for entry in entries)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ProtocolError("not a JWKS document") from error
    if any(len(key) != KEY_BYTES for key in keys):
        raise ProtocolError("a key in the JWKS document is not 32 bytes long")
    return keys


@dataclass(slots=True)
class KeyCache:
    """fal's webhook keys, kept for a day; fetched anew when a signature fits none of them.

    That happens at most once a minute, so that forged deliveries cannot make us ask without end.
    `clock` gives Unix seconds.
    """

    url: str
    send: Sending
    clock: Callable[[], float]
    _keys: tuple[bytes, ...] = ()
    _fetched: float = float("-inf")

    def verify(self, body: bytes, headers: Mapping[str, str]) -> Flow[Delivery]:
        """Verify with the keys at hand, or with fresh ones."""
        now = self.clock()
        if now - self._fetched >= DAY_SECONDS:
            yield from self._fetch()
        try:
            return verify(body, headers, self._keys, now=now)
        except SignatureMismatch:
            if now - self._fetched < REFRESH_SECONDS:
                raise
        yield from self._fetch()
        return verify(body, headers, self._keys, now=now)

    def _fetch(self) -> Flow[None]:
        reply = yield from self.send.repeat(Ask("GET", self.url, timeout=15.0))
        if not reply.is_success:
            raise refusal(reply)
        self._keys, self._fetched = keys_of(json_object(reply)), self.clock()


def _headers(headers: Mapping[str, str]) -> list[str]:
    given = {name.lower(): value for name, value in headers.items()}
    values = []
    for name in ("request-id", "user-id", "timestamp", "signature"):
        if not given.get(PREFIX + name):
            raise HeaderMissing(f"{PREFIX}{name} is missing")
        values.append(given[PREFIX + name])
    return values


def _signed_by_any(keys: Iterable[bytes], signature: str, message: bytes) -> bool:
    try:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - only who verifies needs it
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
    except ImportError as error:
        raise UsageError("verifying webhooks needs the package `cryptography`") from error
    if not re.fullmatch(r"[0-9a-fA-F]{128}", signature):
        return False
    raw = bytes.fromhex(signature)
    for key in keys:
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(raw, message)
        except InvalidSignature:
            continue
        return True
    return False
