"""All mutants, by name."""

from __future__ import annotations

from typing import Final

from falcontract.mutation.patching import Mutant, mutants_of
from falcontract.topics import modules_of

MUTANTS: Final[dict[str, Mutant]] = {
    mutant.name: mutant for topic in modules_of("mutation") for mutant in mutants_of(topic)
}
