"""All programs, by name."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from falcontract.programs import (
    access,
    addressing,
    cancelling,
    deliveries,
    endings,
    errors,
    failures,
    files,
    headers,
    inputs,
    media,
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
    restarts,
    results,
    services,
    failures,
    files,
    headers,
    access,
    addressing,
    streaming,
    cancelling,
    deliveries,
    endings,
    errors,
    webhooks,
    inputs,
    media,
)


@cache
def catalogue() -> dict[str, Program]:
    return {program.name: program for topic in TOPICS for program in topic.programs()}
