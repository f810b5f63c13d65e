"""The rows of the table, by name. Each starts its own servers, so that each can be measured alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.rows import clients, comparison, contract, live_page, starting, stored, uploads, webhooks

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.figures import Row
    from bench.setup import Setup

ROWS: Final[dict[str, Callable[[Setup, Row], None]]] = {
    "flows": comparison.flows,
    "polls": comparison.polls,
    "stored": stored.polls,
    "start": starting.start,
    "memory": starting.memory,
    "webhooks": webhooks.webhooks,
    "clients": clients.clients,
    "page": live_page.live_page,
    "upload": uploads.upload,
    "contract": contract.programs,
}
