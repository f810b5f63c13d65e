"""All programs, by name."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from falcontract.programs import (
    access,
    addressing,
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

if TYPE_CHECKING:
    from falcontract.steps import Program

TOPICS: Final = (
    submitting,
    statuses,
    results,
    failures,
    errors,
    access,
    addressing,
    headers,
    streaming,
    cancelling,
    clients,
    endings,
    webhooks,
    deliveries,
    inputs,
    media,
    models,
    files,
    services,
    restarts,
)


@cache
def catalogue() -> dict[str, Program]:
    return {program.name: program for topic in TOPICS for program in topic.programs()}
