"""Content, pauses and URLs of webhooks; `webhooks` sends them.

From PROTOCOL.md 9: the first attempt may take 15 s, later ones 120 s; only 2xx is success; a redirect is a
permanent failure; there are at most 31 retries, until the stored result expires. The first six pauses are
as recorded, plus or minus a fifth. Later ones are assumed to be like the sixth.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from falmock.engine.ids import rng
from falmock.protocol import urls
from falmock.protocol.authorities import Authority, AuthorityError, parse_url
from falmock.protocol.errors import compact

if TYPE_CHECKING:
    import httpx

    from falmock.engine.rows import Delivery, Request
    from falmock.engine.signing import Signer
    from falmock.faults.effects import AttemptEffect

FIRST_TIMEOUT: Final = 15.0
LATER_TIMEOUT: Final = 120.0
RETRIES: Final = 31
PAUSES: Final = (2.0, 39.0, 75.0, 55.0, 190.0, 340.0)  # seconds

UNSERIALIZABLE: Final = (
    "Response payload is not JSON serializable. Either return a JSON serializable object or use the queue "
    "endpoint to retrieve the response."
)


@dataclass(slots=True)
class Answer:
    """The answer of a receiver."""

    status: int | None = None  # None without a usable answer
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""  # its first bytes
    error: str | None = None  # why there is no usable answer

    @property
    def verdict(self) -> str:
        """The status code as text, or the reason for no usable answer."""
        return str(self.status) if self.error is None else self.error


def timeout(attempts: int) -> float:
    """Return the time-out in real seconds of the attempt after this number of attempts."""
    return FIRST_TIMEOUT if attempts == 0 else LATER_TIMEOUT


def next_attempt(attempts: int, now: float, give_up_at: float, request_id: str) -> float | None:
    """Return when to retry after this number of failed attempts, or None to give up."""
    if attempts > RETRIES:
        return None
    pause = PAUSES[min(attempts, len(PAUSES)) - 1]
    # The last group of the request id follows from the seed and not from the time.
    at = now + pause * rng(0, "retry", request_id[-12:], attempts).uniform(0.8, 1.2)
    return at if at < give_up_at else None


def user_id(caller: str) -> str:
    """Return the user id in the webhooks of a key id, in the form of fal's (PROTOCOL.md 9.2)."""
    digest = hashlib.sha256(caller.encode(errors="replace")).digest()
    return f"github|{int.from_bytes(digest[:8]) % 10**9}"


def payload(request: Request, output: bytes | None) -> bytes:
    """Return the body for a completed request. The payload is null if `output` is None or not JSON."""
    body: dict[str, Any] = {"request_id": request.id, "gateway_request_id": request.gateway_id}
    good = request.status is not None and request.status < 400  # noqa: PLR2004 - HTTP's errors start here
    body["status"] = "OK" if good else "ERROR"
    try:
        body["payload"] = json.loads(output or b"")
    except ValueError:
        body["payload"] = None
        body["payload_error"] = UNSERIALIZABLE
    if not good:
        body["error"] = f"Unexpected status code: {request.status}"
    elif "payload_error" not in body:
        body["error"] = None
    return json.dumps(body, sort_keys=True).encode()  # fal's bytes: sorted, with blanks, in ASCII


def reserialized(body: bytes) -> bytes:
    """Return a body with the same content in other bytes, as `JSON.stringify(JSON.parse(body))` does."""
    return compact(json.loads(body))


def attempt_body(delivery: Delivery, effect: AttemptEffect) -> bytes:
    """Return the bytes that an attempt sends."""
    return reserialized(delivery.body) if effect.reserialized else delivery.body


def signed_headers(signer: Signer, delivery: Delivery, effect: AttemptEffect, now: float) -> dict[str, str]:
    """Return the headers of an attempt at `now`, in unix seconds of the wall clock."""
    if effect.rotate_key:
        signer.rotate()
    signature = signer.webhook_headers(
        request_id=delivery.request_id,
        user_id=delivery.user_id,
        timestamp=int(now - effect.timestamp_age),
        body=delivery.body + b" " if effect.wrong_signature else delivery.body,
    )
    return {
        **signature,
        "Content-Type": "application/json",
        "Content-Length": str(len(attempt_body(delivery, effect))),
    }


@lru_cache(256)
def parsed(url: str) -> httpx.URL:
    """Return the URL of a webhook, parsed. It is cached, because many webhooks have the same URL.

    Raises:
        httpx.InvalidURL: it is not a URL.
    """
    import httpx  # noqa: PLC0415 - loads slowly, and most requests have no webhook

    return httpx.URL(url)


def is_deliverable(url: str) -> bool:
    """Return whether a webhook can be posted to a URL."""
    import httpx  # noqa: PLC0415 - see above

    try:
        parts, target = urls.split(url), parsed(url)
        same = parts.hostname == target.host  # both parsers must agree on the host
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and same and parts.port != 0
    except (ValueError, httpx.InvalidURL):
        return False


@lru_cache(256)
def without_secrets(url: str) -> str:
    """Return a URL for logs: without query and user info, which may contain tokens."""
    try:
        parts = parse_url(url, userinfo=True)
    except AuthorityError:
        return "a URL that cannot be read"
    return f"{parts.scheme}://{parts.authority}{parts.path}"


def receiver(url: str) -> str:
    """Return scheme, host and port of a URL: attempts to one receiver share a limit."""
    import httpx  # noqa: PLC0415 - see above

    try:
        target = parsed(url)
    except httpx.InvalidURL:
        return url  # the attempt will fail
    return f"{target.scheme}://{Authority(target.host, target.port)}"
