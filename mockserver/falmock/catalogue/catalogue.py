"""The models that an emulator serves, as a value. Each emulator has its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final

from falmock.catalogue import bundled, notation, pricing
from falmock.protocol import endpoints
from falmock.protocol.model_errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

    from pydantic import BaseModel

    from falmock.catalogue.entries import Entry, Medium
    from falmock.catalogue.notation import Fields
    from falmock.catalogue.performing import Performance
    from falmock.catalogue.pricing import Made
    from falmock.catalogue.sources import Tools

_LONGEST: Final = 100  # characters of an id that others are compared with
_FILE: Final[Fields] = {
    "url": {"type": "string", "required": True},
    "content_type": {"type": "string", "null": True},
    "file_name": {"type": "string", "null": True},
    "file_size": {"type": "integer", "null": True},
}
_IMAGE: Final[Fields] = {
    "url": {"type": "string", "required": True},
    "width": {"type": "integer", "required": True},
    "height": {"type": "integer", "required": True},
    "content_type": {"type": "string", "null": True},
}
_TYPES: Final = {"File": {"class": "File", "fields": _FILE}, "Image": {"class": "Image", "fields": _IMAGE}}
_ONE_FILE: Final = {"ref": "File", "required": True}
_OUTPUTS: Final[Mapping[Medium, Fields]] = {  # of ids that are not in the catalogue
    "image": {
        "images": {"type": "array", "items": {"ref": "Image"}, "required": True},
        "seed": {"type": "integer", "required": True},
    },
    "video": {"video": _ONE_FILE},
    "audio": {"audio": _ONE_FILE},
    "text": {"output": {"type": "string", "required": True}},
    "mesh": {"model_mesh": _ONE_FILE},
    "weights": {"diffusers_lora_file": _ONE_FILE, "config_file": _ONE_FILE},
}


async def _perform(entry: Entry, model_input: BaseModel, tools: Tools) -> Performance:
    from falmock.catalogue import performing  # noqa: PLC0415 - loads the makers of media

    return await performing.perform(entry, model_input, tools)


@dataclass(frozen=True)  # no slots, for the cached properties
class Model:
    """One endpoint of a catalogue. Its pydantic classes are built at their first use."""

    entry: Entry
    perform: Callable[[Entry, BaseModel, Tools], Awaitable[Performance]] = _perform  # may raise ModelError

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


class Catalogue:
    """An immutable collection of models.

    Iterating it yields the models that were given, in order, then those of the source. A source has further
    endpoint ids, and the function that reads the entry of one; a model is made of it at its first use.
    With `accepts_any` there is a model for any other id, too, which iterating does not yield.

    Raises:
        ValueError: a model's endpoint is not an endpoint id, or two models have the same one.
    """

    def __init__(
        self,
        models: Iterable[Model] = (),
        source: tuple[Iterable[str], Callable[[str], Entry | None]] = ((), lambda _: None),
        *,
        accepts_any: bool = False,
    ) -> None:
        self._accepts_any = accepts_any
        self._models: dict[str, Model | None] = {}
        for model in models:
            if model.endpoint in self._models:
                raise ValueError(f"two models for the endpoint {model.endpoint}")
            self._models[model.endpoint] = model
        ids, self._read = source
        for name in ids:
            self._models.setdefault(name, None)
        self._applications: set[str] = set()
        self._owners: set[str] = set()
        for name in self._models:
            endpoint = endpoints.parse(name)
            if endpoint is None:
                raise ValueError(f"not an endpoint id: {name!r}")
            self._applications.add(endpoint.application)
            self._owners.add(endpoint.owner)
        self.nearest = lru_cache(maxsize=256)(self._nearest)

    def __iter__(self) -> Iterator[Model]:
        return filter(None, map(self.get, list(self._models)))

    def __len__(self) -> int:
        return len(self._models)

    @property
    def endpoints(self) -> Iterable[str]:
        """All endpoint ids."""
        return self._models.keys()

    def get(self, endpoint: str) -> Model | None:
        """Return the model of a full endpoint id such as "fal-ai/veo2/image-to-video"."""
        model = self._models.get(endpoint)
        if model is None and endpoint in self._models and (entry := self._read(endpoint)) is not None:
            model = self._models[endpoint] = Model(entry)
        return _guessed(endpoint) if model is None and self._accepts_any else model

    def entries(self) -> Iterator[Entry]:
        """Yield the entry of each model. Those of the source are read, and not kept."""
        for name, model in list(self._models.items()):
            entry = self._read(name) if model is None else model.entry
            if entry is not None:
                yield entry

    def has_application(self, application: str) -> bool:
        """Check whether any endpoint belongs to an application such as "fal-ai/veo2"."""
        return self._accepts_any or application in self._applications

    def has_owner(self, owner: str) -> bool:
        """Check whether any endpoint belongs to an owner such as "fal-ai"."""
        return self._accepts_any or owner in self._owners

    def _nearest(self, endpoint: str) -> str | None:
        """Return the endpoint that was probably meant: one below it, else one that is written like it."""
        below = (name for name in self._models if name.startswith(f"{endpoint}/"))
        alike = get_close_matches(endpoint[:_LONGEST], self._models, 1)
        return next(below, None) or next(iter(alike), None)


@lru_cache(maxsize=256)
def _guessed(endpoint: str) -> Model | None:
    """Return a model for any id: every input is valid, and the id decides the medium."""
    if endpoints.parse(endpoint) is None:
        return None
    found = notation.medium_of(endpoint)
    medium = found if found in _OUTPUTS else "image"  # most calls to fal ask for one
    facts = {"certainty": "guess", "date": "", "medium": medium, "input": {}, "output": _OUTPUTS[medium]}
    entry = notation.entry(endpoint, facts, _TYPES)
    anything = {**entry.schemas[entry.input], "additionalProperties": True}
    return Model(replace(entry, schemas={**entry.schemas, entry.input: anything}))


BUNDLED: Final = Catalogue(source=(bundled.ids(), bundled.entry))
"""The models that come with falmock."""
