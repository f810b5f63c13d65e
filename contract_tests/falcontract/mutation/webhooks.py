"""Mutants of webhooks: registration, content, attempts, signatures."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import TYPE_CHECKING, Any

from falcontract.mutation.internals import errors, queue_host, signing, submission, webhooks
from falcontract.mutation.patching import DONE, Patch, planted, replaces

if TYPE_CHECKING:
    from collections.abc import Callable


def _change_payload(patch: Patch, change: Callable[[dict[str, Any]], object]) -> None:
    """Change deliveries before they are signed."""

    def payload(original: Any, *args: Any) -> bytes:
        body = json.loads(original(*args))
        change(body)
        return json.dumps(body, sort_keys=True).encode()

    patch.around(webhooks, "payload", payload)


def _change_verdict(patch: Patch, change: Callable[[str], str]) -> None:
    """Change the verdict on attempts: an HTTP status as text, or an error."""

    async def post(original: Any, *args: Any) -> str:
        return change(str(await original(*args)))

    patch.around(webhooks.Sender, "_post", post)


def _change_signature(patch: Patch, sign: Callable[[Any, dict[str, Any]], dict[str, str]]) -> None:
    """Sign deliveries differently; `sign` gets a function to sign with changed arguments, and those."""

    def headers(original: Any, signer: Any, **arguments: Any) -> dict[str, str]:
        return sign(lambda **changed: original(signer, **(arguments | changed)), arguments)

    patch.around(signing.Signer, "webhook_headers", headers)


@replaces(submission, "read")
async def webhooks_in_the_body_are_registered(original: Any, *args: Any, **kwargs: Any) -> Any:
    """A webhook in the body is registered."""
    submitted = await original(*args, **kwargs)
    try:
        given = json.loads(submitted.body)
    except ValueError:
        return submitted
    url = given.get("fal_webhook") if isinstance(given, dict) else None
    return dataclasses.replace(submitted, webhook=submitted.webhook or url)


def webhooks_are_ignored(patch: Patch) -> None:
    """No webhook is registered."""

    patch.around(submission, "webhook_of", lambda original, query: None)


def payloads_have_an_envelope(patch: Patch) -> None:
    """The payload of a delivery is wrapped in an object."""
    _change_payload(patch, lambda body: body.update(payload={"output": body["payload"]}))


def deliveries_have_status_completed(patch: Patch) -> None:
    """The status of a delivery is COMPLETED."""
    _change_payload(patch, lambda body: body.update(status=DONE))


def deliveries_have_no_error(patch: Patch) -> None:
    """The delivery of a failure has no error."""
    _change_payload(patch, lambda body: body.pop("error", None))


def deliveries_have_the_last_id(patch: Patch) -> None:
    """A delivery has the id of the job that was delivered before."""
    ids: list[str] = []

    def change(body: dict[str, Any]) -> None:
        ids.append(body["request_id"])
        body["request_id"] = ids[-2] if len(ids) > 1 else ids[-1]

    _change_payload(patch, change)


def null_payloads_have_no_reason(patch: Patch) -> None:
    """A delivery without a payload has no reason."""
    _change_payload(patch, lambda body: body.pop("payload_error", None))


def deliveries_are_tried_once(patch: Patch) -> None:
    """A failed delivery is not retried."""
    patch.around(webhooks, "next_attempt", lambda original, *args: None)


def only_200_ends_a_delivery(patch: Patch) -> None:
    """201 and 204 count as failures."""
    _change_verdict(patch, lambda v: "500" if v.startswith("2") and v != "200" else v)


def deliveries_are_retried_forever(patch: Patch) -> None:
    """A failed delivery is retried every minute, without end."""
    patch.around(webhooks, "next_attempt", lambda original, attempts, now, *args: now + 60)


def redirects_are_retried(patch: Patch) -> None:
    """A redirect counts as a failure."""
    _change_verdict(patch, lambda v: "500" if v.startswith("3") else v)


@replaces(webhooks, "next_attempt")
def retries_have_no_delay(original: Any, attempts: int, now: float, *args: Any) -> Any:
    """The first three retries come without a delay."""
    return now if attempts < 4 else original(attempts, now, *args)


def signature_is_over_other_bytes(patch: Patch) -> None:
    """The signature is over the body as another JSON library would write it."""
    _change_signature(patch, lambda sign, given: sign(body=errors.compact(json.loads(given["body"]))))


def timestamps_are_milliseconds(patch: Patch) -> None:
    """The timestamp is in milliseconds."""
    _change_signature(patch, lambda sign, given: sign(timestamp=given["timestamp"] * 1000))


@planted(_change_signature)
def signature_is_base64(sign: Any, _: Any) -> dict[str, str]:
    """The signature is base64 instead of hex."""
    headers: dict[str, str] = sign()
    raw = bytes.fromhex(headers["X-Fal-Webhook-Signature"])
    return headers | {"X-Fal-Webhook-Signature": base64.b64encode(raw).decode()}


@planted(_change_signature)
def signature_does_not_cover_the_user(sign: Any, given: dict[str, Any]) -> dict[str, str]:
    """The signature does not cover the user id."""
    headers: dict[str, str] = sign(user_id="")
    return headers | {"X-Fal-Webhook-User-Id": given["user_id"]}


def published_key_is_another(patch: Patch) -> None:
    """The key set has a key that signs nothing."""
    other = signing.Signer(b"another secret".ljust(32))
    patch.around(signing.Signer, "jwks", lambda original, signer: original(other))


@replaces(signing.Signer, "rotate")
def rotation_removes_the_old_key(original: Any, signer: Any) -> None:
    """After a rotation the key set has only the new key."""
    original(signer)
    del signer._keys[1:]


@replaces(webhooks.Sender, "_post")
async def retries_have_other_bytes(original: Any, sender: Any, delivery: Any) -> str:
    """A delivery contains the number of attempts."""
    body = errors.compact(json.loads(delivery.body) | {"attempt": delivery.attempts})
    return str(await original(sender, dataclasses.replace(delivery, body=body)))


def retries_keep_the_timestamp(patch: Patch) -> None:
    """A retry has the timestamp of the first attempt."""
    first: dict[str, int] = {}

    def change(sign: Any, given: dict[str, Any]) -> dict[str, str]:
        return dict(sign(timestamp=first.setdefault(given["request_id"], given["timestamp"])))

    _change_signature(patch, change)


@replaces(queue_host.QueueHost, "_status")
def webhooks_come_before_the_end(original: Any, host: Any, context: Any, scope: Any, job: Any) -> Any:
    """The status is IN_PROGRESS for a second after the webhook was sent."""
    now = host._emulator.clock.now()
    if job.webhook and job.completed_at is not None and now < job.completed_at + 1:
        job = dataclasses.replace(job, state="IN_PROGRESS")
    return original(host, context, scope, job)
