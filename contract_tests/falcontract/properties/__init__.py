"""The catalogue: PROPERTIES.md section 1, each row a function."""

from __future__ import annotations

from falcontract.claims import PROPERTIES, Property
from falcontract.properties import (
    access,
    agreement,
    cancelling,
    failures,
    following,
    inputs,
    media,
    results,
    statuses,
    submitting,
    webhooks,
)

__all__ = ["MODULES", "PROPERTIES", "catalogue"]

MODULES = (
    submitting,
    statuses,
    results,
    failures,
    access,
    following,
    cancelling,
    webhooks,
    inputs,
    media,
    agreement,
)


def catalogue() -> list[Property]:
    """Return all properties in their order."""
    return sorted(PROPERTIES.values(), key=lambda p: p.number)
