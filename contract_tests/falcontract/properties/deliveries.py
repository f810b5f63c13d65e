"""Webhooks as a receiver gets them: bytes, headers, keys, address, times."""

from __future__ import annotations

import base64
import binascii
import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from falcontract.properties.claims import Claims, claim, equal, prop
from falcontract.properties.signatures import problem

if TYPE_CHECKING:
    from falcontract.traces import Trace

RECEIVE: Final = ("receive",)
HEADERS: Final = sorted(
    {
        *("accept", "accept-encoding", "content-length", "content-type", "host"),
        *(f"x-fal-webhook-{name}" for name in ("request-id", "signature", "timestamp", "user-id")),
    }
)
VALUES: Final = {"accept": "*/*", "accept-encoding": "gzip", "content-type": "application/json"}
USER: Final = re.compile(r"github\|\d+")
SIGNATURE: Final = re.compile("[0-9a-f]{128}")
# Seconds between attempts that a receiver answered with 400, recorded once (PROTOCOL.md 9.3).
GAPS: Final = (2, 39, 75, 55, 190, 340)
GAP_OFF: Final = 0.25  # accepted share


@prop(
    69,
    "webhook-bytes webhook-error webhook-retries",
    tier=2,
    needs=RECEIVE,
    evidence="PROTOCOL 9.1 (R 2025-07, 2026-07)",
    each="run",
)
def deliveries_are_written_by_json_dumps(trace: Trace) -> Claims:
    """The bytes of a delivery are those of json.dumps with sorted keys; `error` is null on success."""
    for d in trace.deliveries:
        dumped = json.dumps(d.json, sort_keys=True).encode()
        yield equal("bytes", d.body, dumped, "the bytes are those of json.dumps", d)
        names = ["error", "gateway_request_id", "payload", "request_id", "status"]
        found = sorted(d.json) if isinstance(d.json, dict) else None
        yield equal("members", found, names, "it has these members", d)


@prop(
    70,
    "webhook-bytes webhook-retries",
    tier=2,
    needs=RECEIVE,
    evidence="PROTOCOL 9.2, 9.3 (R 2026-07)",
    each="run",
)
def deliveries_have_their_headers(trace: Trace) -> Claims:
    """A delivery has the recorded headers and no user agent; an account has one id, github and digits."""
    users: dict[str, str] = {}
    for d in trace.deliveries:
        yield equal("names", sorted(d.headers.keys() - {"connection"}), HEADERS, "it has these headers", d)
        found = {name: d.headers.get(name) for name in VALUES}
        yield equal("values", found, VALUES, "they have the recorded values", d)
        length = d.headers.get("content-length")
        yield equal("length", length, str(len(d.body)), "its length is that of the body", d)
        user = d.headers.get("x-fal-webhook-user-id", "")
        yield claim("user", USER.fullmatch(user), "the user id has fal's form", d, user)
        signature = d.headers.get("x-fal-webhook-signature", "")
        yield claim("hex", SIGNATURE.fullmatch(signature), "the signature is lower-case hex", d, signature)
        submit = next((e for e in trace.submits() if e.step.webhook == d.receiver), None)
        if submit is not None:
            known = users.setdefault(submit.step.key, user)
            yield equal("account", user, known, "every delivery of an account has its user id", d)
    if len(users) > 1:
        yield equal("accounts", len(set(users.values())), len(users), "two accounts have two user ids")


@prop(71, "webhook-bytes", tier=0, needs=RECEIVE, evidence="PROTOCOL 9.2 (R 2026-07)")
def key_set_has_fals_form(trace: Trace) -> Claims:
    """The key set has two keys with `kid` and `use`; `x` is padded, so that a strict decoder reads it."""
    for e in trace.of("call"):
        keys = e.json.get("keys") if isinstance(e.json, dict) else None
        keys = [key if isinstance(key, dict) else {} for key in keys] if isinstance(keys, list) else []
        yield equal("code", e.status, 200, "the key set needs no key", e)
        yield equal("two", len(keys), 2, "there are two keys", e)
        for key in keys:
            kinds = [key.get(name) for name in ("kty", "crv", "use")]
            yield equal("kind", kinds, ["OKP", "Ed25519", "sig"], "a key is for Ed25519 signatures", e)
            yield equal("kid", len(str(key.get("kid"))), 43, "its id has 43 characters", e)
            yield equal("x", _decoded(key.get("x")), 32, "a strict decoder finds 32 bytes", e)
            yield equal("members", len(key), 5, "it has no other members", e)
        for name in ("kid", "x"):
            values = {str(key.get(name)) for key in keys}
            yield equal("distinct", len(values), len(keys), f"no two keys share {name}", e)


def _decoded(text: Any) -> int | None:
    """Return the number of bytes of a base64url text with its padding; None if it has none."""
    try:
        return len(base64.b64decode(str(text), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        return None


@prop(
    72,
    "webhook-address webhook-bytes",
    tier=2,
    needs=RECEIVE,
    evidence="PROTOCOL 4.1 (C), 9.1 (D-hook)",
    each="run",
)
def deliveries_arrive_at_the_address(trace: Trace) -> Claims:
    """A delivery is a POST to exactly the URL of the submit: path and query with their escapes."""
    for e, found in trace.webhooks():
        yield claim("arrives", found, "the webhook is delivered", e)
        asked = unquote(e.url.partition("fal_webhook=")[2].partition("&")[0])
        authority, _, target = asked.removeprefix("http://").partition("/")
        for d in found:
            yield equal("method", d.method, "POST", "it is a POST", d)
            yield equal("target", d.target, f"/{target}", "path and query are those of the URL", d)
            yield equal("host", d.headers.get("host"), authority, "its host is that of the URL", d)


@prop(
    73,
    "webhook-gaps",
    live="S",
    mock="D",
    tier=2,
    needs=RECEIVE,
    evidence="PROTOCOL 9.3 (R 2026-07: seen once)",
)
def attempts_have_recorded_gaps(trace: Trace) -> Claims:
    """The gaps between the first attempts are about the recorded ones: 2, 39, 75, 55, 190 and 340 s."""
    if not trace.exact_time:
        return
    times = [d.at for d in trace.deliveries]
    for number, (gap, (before, after)) in enumerate(zip(GAPS, pairwise(times), strict=False)):
        text = f"attempt {number + 2} comes about {gap} s after the one before"
        yield claim("gap", abs(after - before - gap) <= GAP_OFF * gap, text, found=after - before)
    if trace.ended and times:
        yield claim("count", len(times) > len(GAPS), "there are more attempts than gaps", found=len(times))


@prop(
    74,
    "webhook-clocks",
    needs=("receive", "configure"),
    evidence="PROTOCOL 9.2: receivers compare the timestamp with their own clock",
)
def timestamps_are_of_the_receivers_clock(trace: Trace) -> Claims:
    """A delivery verifies on the receiver's clock, also if emulated time is ahead of it."""
    for e, arrived in trace.webhooks():
        yield equal("attempts", len(arrived), len(e.step.answers), "the webhook is delivered", e)
        for d in arrived:
            found = problem(d.headers, d.body, trace.jwks, d.wall)
            yield equal("verifies", found, None, "the signature verifies now", d)
