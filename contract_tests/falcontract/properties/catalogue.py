"""All properties, by number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from falcontract.properties import (  # noqa: F401 - they register their properties
    access,
    addressing,
    agreement,
    cancelling,
    clients,
    deliveries,
    endings,
    errors,
    failures,
    files,
    headers,
    inputs,
    media,
    models,
    restarts,
    results,
    services,
    statuses,
    streaming,
    submitting,
    webhooks,
)
from falcontract.properties.claims import PROPERTIES

if TYPE_CHECKING:
    from falcontract.properties.claims import Property

__all__ = ["PROPERTIES", "catalogue"]


def catalogue() -> list[Property]:
    return sorted(PROPERTIES.values(), key=lambda p: p.number)
