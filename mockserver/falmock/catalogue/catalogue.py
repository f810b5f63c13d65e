"""The models that an emulator serves, as a value. Each emulator has its own."""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from falmock.catalogue import bundled
from falmock.catalogue.guessing import guess
from falmock.catalogue.models import Model
from falmock.protocol import endpoints

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from falmock.catalogue.entries import Entry

_LONGEST: Final = 100  # characters of an id that others are compared with


class Catalogue:
    """An immutable collection of models.

    Iterating it yields the models that were given, in order, then those of the source.

    Args:
        models: they replace models of the source with the same endpoint.
        source: further endpoint ids, and the function that reads the entry of one. A model is made at its
            first use.
        accepts_any: also serves any other endpoint id, with a guess. Iterating does not yield these.

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
    return None if endpoints.parse(endpoint) is None else Model(guess(endpoint))


BUNDLED: Final = Catalogue(source=(bundled.ids(), bundled.entry))
"""The models that come with falmock."""
