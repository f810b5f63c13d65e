"""The faults chosen for one request, and their form in the store."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from falmock.faults.vocabulary import parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from falmock.faults.vocabulary import Fault

LONGEST_CACHED: Final = 500  # characters of stored faults


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault chosen for one request or call, and the id of its rule; 0 if the call asks for it."""

    fault: Fault
    rule: int = 0


class Injections(dict[str, Injection]):
    """Injections by the name of their fault. Of several with one name, the last counts."""

    def __init__(self, injections: Iterable[Injection] = ()) -> None:
        super().__init__((injection.fault.name, injection) for injection in injections)

    @classmethod
    def parse(cls, text: str | None) -> Injections:
        """Read what `dump` returned.

        Raises:
            ValueError: the text is not valid, or this version has no such fault.
        """
        if not text:
            return NONE
        return _parse(text) if len(text) <= LONGEST_CACHED else _parse.__wrapped__(text)

    def dump(self) -> str | None:
        """Return JSON for the store: `[[rule id, fault], ...]`; None without injections."""
        pairs = [[injection.rule, str(injection.fault)] for injection in self.values()]
        return json.dumps(pairs) if pairs else None


NONE: Final = Injections()


@lru_cache(maxsize=1024)
def _parse(text: str) -> Injections:
    try:
        return Injections(Injection(parse(fault), rule) for rule, fault in json.loads(text))
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a list of rules and faults: {error}") from None
