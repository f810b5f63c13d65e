"""Verification and parsing of webhooks (PROTOCOL.md 9).

Signatures are Ed25519. `cryptography` is imported only to verify one: polling clients do not need it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, overload

from falqueue._errors import HeaderMissing, ProtocolError, SignatureMismatch, TimestampRejected
from falqueue._handle import UsageError
from falqueue._responses import json_object, refusal, webhook_failure
from falqueue._steps import Flow, HttpRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from falqueue._sending import Sender
    from falqueue._types import Json, TypedRequest

T = TypeVar("T")

LEEWAY_SECONDS: Final = 300
DAY_SECONDS: Final = 24 * 3600
REFRESH_SECONDS: Final = 60
PREFIX: Final = "x-fal-webhook-"
KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Delivery:
    """The content of a webhook. fal may deliver it several times: act once per `request_id`.

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
        """Parse the JSON of a webhook that is already verified.

        Raises:
            ProtocolError: not the body of a webhook.
        """
        status, request_id = body.get("status"), body.get("request_id")
        if status not in ("OK", "ERROR") or not isinstance(request_id, str):
            raise ProtocolError("a webhook without a request_id, or with an unknown status")
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
            RequestFailed: the job failed. The class is the one that `Client.result` raises, if fal names a
                type; a webhook does not say that a `PlatformFailed` is a `StartTimedOut`.
            ProtocolError: the payload is malformed, or not in the webhook: use `Client.result`.
        """
        payload = self.payload if isinstance(self.payload, dict) else None
        if self.status == "ERROR":
            raise webhook_failure(payload or {}, error=self.error, request_id=self.request_id)
        if payload is None:
            reason = self.payload_error or "there is no payload"
            raise ProtocolError(f"{reason} Fetch it with Client.result", request_id=self.request_id)
        try:
            return model.output(payload) if model else payload
        except (KeyError, TypeError, ValueError) as error:
            raise ProtocolError("the payload is malformed", request_id=self.request_id) from error


def verify(
    body: bytes,
    headers: Mapping[str, str],
    keys: Iterable[bytes],
    *,
    now: float,
    leeway: float = LEEWAY_SECONDS,
) -> Delivery:
    """Return the content of a webhook that fal has signed.

    Args:
        body: the body, exactly as received.
        headers: names in any case.
        keys: fal's public keys from `keys_of`, any of which may have signed.
        now: the time of receipt in Unix seconds.
        leeway: the largest accepted difference between the timestamp and `now`, in seconds.

    Raises:
        WebhookRejected: not sent by fal; the subclass says why.
        ProtocolError: fal signed it, but it is not a webhook.
        UsageError: `cryptography` is not installed.

    >>> verify(b"{}", {}, keys=[], now=0)
    Traceback (most recent call last):
    falqueue.HeaderMissing: x-fal-webhook-request-id is missing
    """
    request_id, user_id, timestamp, signature = _read_headers(headers, now=now, leeway=leeway)
    digest = hashlib.sha256(body).hexdigest()
    message = f"{request_id}\n{user_id}\n{timestamp}\n{digest}".encode(errors="replace")
    if not _is_signed_by_any(keys, signature, message):
        raise SignatureMismatch("no key signed this request")
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a signed webhook whose body is not JSON") from error
    return Delivery.parse(parsed if isinstance(parsed, dict) else {})


def keys_of(jwks: Mapping[str, Any]) -> tuple[bytes, ...]:
    """Return the Ed25519 keys of a JWKS document, without keys of other types.

    Raises:
        ProtocolError: not a JWKS document.

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
    """fal's webhook keys, cached for a day.

    If no key fits a signature they are fetched again, at most once a minute, so that forged webhooks do not
    cause a request each. `clock` returns Unix seconds.
    """

    url: str
    sender: Sender
    clock: Callable[[], float]
    _keys: tuple[bytes, ...] = ()
    _fetched: float = float("-inf")
    _tried: float = float("-inf")

    def verify(self, body: bytes, headers: Mapping[str, str]) -> Flow[Delivery]:
        now = self.clock()
        _read_headers(headers, now=now, leeway=LEEWAY_SECONDS)  # before the keys are fetched
        if now - self._fetched >= DAY_SECONDS:
            yield from self._fetch()
        try:
            return verify(body, headers, self._keys, now=now)
        except SignatureMismatch:
            if now - self._tried < REFRESH_SECONDS:
                raise
        yield from self._fetch()
        return verify(body, headers, self._keys, now=now)

    def _fetch(self) -> Flow[None]:
        try:
            response = yield from self.sender.repeat(HttpRequest("GET", self.url, timeout=15.0))
        finally:
            self._tried = self.clock()
        if not response.is_success:
            raise refusal(response)
        self._keys, self._fetched = keys_of(json_object(response)), self.clock()


def _read_headers(headers: Mapping[str, str], *, now: float, leeway: float) -> list[str]:
    """Return request id, user id, timestamp and signature."""
    given = {name.lower(): value for name, value in headers.items()}
    values = []
    for name in ("request-id", "user-id", "timestamp", "signature"):
        if not given.get(PREFIX + name):
            raise HeaderMissing(f"{PREFIX}{name} is missing")
        values.append(given[PREFIX + name])
    timestamp = values[2]
    if not re.fullmatch(r"[0-9]{1,12}", timestamp) or not abs(now - int(timestamp)) <= leeway:
        raise TimestampRejected(f"the timestamp is not within {leeway:g} seconds of now")
    return values


def _is_signed_by_any(keys: Iterable[bytes], signature: str, message: bytes) -> bool:
    try:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - see the module docstring
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
