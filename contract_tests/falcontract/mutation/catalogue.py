"""All mutants, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from falcontract.mutation import (
    access,
    cancelling,
    failures,
    inputs,
    media,
    results,
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
    access,
    streaming,
    cancelling,
    webhooks,
    inputs,
    media,
)
MUTANTS: Final[dict[str, Mutant]] = {mutant.name: mutant for topic in TOPICS for mutant in mutants_of(topic)}
