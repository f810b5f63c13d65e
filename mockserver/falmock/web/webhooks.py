"""The deliveries of webhooks, the newest first, with a form that sends one again.

Signatures are verified as a receiver must (PROTOCOL.md 9.2).
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from falmock.engine.delivery import reserialized, without_secrets
from falmock.engine.lifecycle import DeliveryState
from falmock.faults.effects import RESERIALIZED
from falmock.faults.vocabulary import FaultError, parse
from falmock.http.listing import newest
from falmock.protocol.errors import RequestNotFound
from falmock.web.answers import Done, Rejected, form
from falmock.web.live import Page, Regions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from markupsafe import Markup
    from starlette.requests import Request
    from starlette.responses import Response

    from falmock.engine.rows import Delivery
    from falmock.inspection.entries import Attempt
    from falmock.web.site import Site

PATH: Final = "/ui/webhooks"
ROWS: Final = 50  # on a page
OLDEST: Final = 300.0  # seconds between the timestamp of a signature and the receiver's clock
SIGNED: Final = ("request-id", "user-id", "timestamp")
# How a webhook is sent again: the texts of the menu, by the fault.
WAYS: Final = {
    "": "as it is",
    "webhook_twice": "twice",
    "webhook_bad_signature": "with a wrong signature",
    "webhook_old_timestamp": "with an old timestamp",
    "webhook_reserialized": "with the same JSON in other bytes",
    "webhook_rotated_key": "with a new key",
    "webhook_slow": "slowly",
}


class WebhooksPage(Page):
    """The list of deliveries. Its filter and its place in the list are in its address."""

    path = PATH

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.actions = {f"{PATH}/{{id}}/redeliver": self._redeliver}

    async def show(self, request: Request) -> Response:
        return self.page(
            request,
            "webhooks.html",
            title="Webhooks",
            regions=await self.look(request),
            outcomes=list(DeliveryState),
            outcome=request.query_params.get("outcome", ""),
        )

    async def look(self, request: Request) -> Regions:
        query = request.query_params
        rows, more = await self._find(query.get("outcome") or None, query.get("before"))
        parts = {
            "clock": self._site.clock(),
            "empty": self._site.render(
                "webhooks_empty.html", shown=not rows, filtered=bool(query.get("outcome"))
            ),
            "pages": self.pager(request, rows[-1].request_id if more else None),
        }
        return Regions(parts, {"rows": {f"w-{row.request_id}": self._row(row) for row in rows}})

    async def _find(self, outcome: str | None, before: str | None) -> tuple[list[Delivery], bool]:
        if outcome is not None and outcome not in set(DeliveryState):
            raise Rejected(422, f"There is no outcome {outcome!r}.")
        pages = self._emulator.store.delivery_pages_before(before)
        try:
            return await newest(
                pages, ROWS, view=lambda row: row, matches=lambda row: outcome in {None, row.outcome}
            )
        except KeyError:
            raise Rejected(404, "There is no such webhook: it was reset, or it has expired.") from None

    def _row(self, row: Delivery) -> Markup:
        return self._site.render(
            "webhook_row.html",
            row=row,
            request=self._emulator.store.request(row.request_id),
            url=without_secrets(row.url),
            ways=WAYS,
        )

    async def _redeliver(self, request: Request) -> Done:
        name = (await form(request)).get("fault", "")
        request_id = str(request.path_params["id"]).lower()
        try:
            self._emulator.manual.redeliver(request_id, parse(name) if name else None)
        except FaultError as error:
            raise Rejected(422, f"{error}.") from None
        except RequestNotFound:
            raise Rejected(
                404, "There is no webhook to send: the request has none, or is not completed."
            ) from None
        return Done(f"The webhook is sent again {WAYS.get(name, name)}.", f"/ui/requests/{request_id}")


def verdict(site: Site, attempt: Attempt, delivery: Delivery | None) -> dict[str, Any]:
    """Verify an attempt as its receiver does: `objection` is None for a valid one.

    `known` is false if the body is gone.
    """
    if delivery is None:
        return {"known": False, "objection": None}
    body = reserialized(delivery.body) if attempt.fault == RESERIALIZED else delivery.body
    arrived_at = site.emulator.clock.wall() - (site.journal.real() - attempt.real)
    keys = site.emulator.signer.jwks()["keys"]
    return {"known": True, "objection": objection(dict(attempt.headers), body, keys, arrived_at)}


def objection(
    headers: Mapping[str, str], body: bytes, keys: Iterable[Mapping[str, Any]], arrived_at: float
) -> str | None:
    """Return why a receiver must refuse a delivery that arrives at a real time, or None for a valid one.

    The names of the headers are in lower case; `keys` are those of the published JWKS.
    """
    try:
        lines = [headers[f"x-fal-webhook-{name}"] for name in SIGNED]
        signature = bytes.fromhex(headers["x-fal-webhook-signature"])
        age = arrived_at - int(lines[-1])
    except (KeyError, ValueError):
        return "its headers are incomplete"
    message = "\n".join([*lines, hashlib.sha256(body).hexdigest()]).encode()
    if not any(_verifies(key, signature, message) for key in keys):
        return "its signature does not match the body"
    if abs(age) > OLDEST:
        return f"its timestamp is {age:.0f} s old"
    return None


def _verifies(key: Mapping[str, Any], signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"])).verify(signature, message)
    except InvalidSignature:
        return False
    return True
