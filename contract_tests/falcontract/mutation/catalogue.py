"""All mutants, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from falcontract.mutation import (
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
from falcontract.mutation.patching import mutants_of

if TYPE_CHECKING:
    from falcontract.mutation.patching import Mutant

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
    clients,
)
MUTANTS: Final[dict[str, Mutant]] = {mutant.name: mutant for topic in TOPICS for mutant in mutants_of(topic)}
