"""The topics of the suite, in their order: each has a module of programs, of properties and of mutants."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import ModuleType

TOPICS: Final = (
    "submitting",
    "statuses",
    "results",
    "failures",
    "errors",
    "access",
    "addressing",
    "headers",
    "streaming",
    "cancelling",
    "clients",
    "endings",
    "webhooks",
    "deliveries",
    "inputs",
    "media",
    "models",
    "files",
    "services",
    "restarts",
)


def modules_of(package: str) -> list[ModuleType]:
    """Import the modules of all topics in a package, such as "programs"."""
    return [import_module(f"falcontract.{package}.{topic}") for topic in TOPICS]
