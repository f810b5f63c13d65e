"""All properties, by number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from falcontract.properties.claims import PROPERTIES
from falcontract.topics import modules_of

if TYPE_CHECKING:
    from falcontract.properties.claims import Property

__all__ = ["PROPERTIES", "catalogue"]

modules_of("properties")  # they register their properties


def catalogue() -> list[Property]:
    return sorted(PROPERTIES.values(), key=lambda p: p.number)
