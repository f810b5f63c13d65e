"""A model as the engine runs it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from falmock.catalogue import pricing
from falmock.protocol.model_errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pydantic import BaseModel

    from falmock.catalogue.entries import Entry
    from falmock.catalogue.performing import Performance
    from falmock.catalogue.pricing import Made
    from falmock.catalogue.tools import Tools


async def _perform(entry: Entry, model_input: BaseModel, tools: Tools) -> Performance:
    from falmock.catalogue import performing  # noqa: PLC0415 - loads the makers of media

    return await performing.perform(entry, model_input, tools)


@dataclass(frozen=True)  # no slots, for the cached properties
class Model:
    """One endpoint of a catalogue. Its pydantic classes are built at their first use.

    Attributes:
        entry: the facts of its endpoint.
        perform: makes the output; may raise ModelError.
    """

    entry: Entry
    perform: Callable[[Entry, BaseModel, Tools], Awaitable[Performance]] = _perform

    @property
    def endpoint(self) -> str:
        return self.entry.endpoint

    @cached_property
    def input(self) -> type[BaseModel]:
        """Validates the body of a request."""
        from falmock.catalogue import schema  # noqa: PLC0415 - loads pydantic

        return schema.build(self.entry.schemas, self.entry.input)

    @cached_property
    def logs(self) -> tuple[tuple[float, str], ...]:
        """The log lines of a run, as (share of the run, message)."""
        from falmock.catalogue import performing  # noqa: PLC0415 - see above

        return performing.logs(self.entry)

    def units(self, model_input: BaseModel, made: Made) -> float | None:
        """Return the number of billed units; None if the price is unknown or by time.

        The header of the result has it as Python writes it, an int as 5 and a float as 5.0.
        """
        return pricing.units(self.entry, model_input, made)

    def expected_units(self, model_input: BaseModel) -> float | None:
        """Return the units of a run whose input files are not known; 0 for one that fails."""
        from falmock.catalogue import performing  # noqa: PLC0415 - see above

        try:
            made = performing.expect(self.entry, model_input)
        except ModelError:
            return 0.0
        return self.units(model_input, made)
