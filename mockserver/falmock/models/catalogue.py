"""The models that an emulator serves, as a value. Each emulator has its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from falmock.protocol import endpoints

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from falmock.models.base import Model


class Catalogue:
    """An immutable collection of models. Iterating it yields them in the order in which they were given.

    Raises:
        ValueError: a model's endpoint is not an endpoint id, or two models have the same one.
    """

    def __init__(self, models: Iterable[Model]) -> None:
        self._models: dict[str, Model] = {}
        self._applications: set[str] = set()
        self._owners: set[str] = set()
        for model in models:
            endpoint = endpoints.parse(model.endpoint)
            if endpoint is None:
                raise ValueError(f"not an endpoint id: {model.endpoint!r}")
            if model.endpoint in self._models:
                raise ValueError(f"two models for the endpoint {model.endpoint}")
            self._models[model.endpoint] = model
            self._applications.add(endpoint.application)
            self._owners.add(endpoint.owner)

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    def __len__(self) -> int:
        return len(self._models)

    def get(self, endpoint: str) -> Model | None:
        """Return the model of a full endpoint id such as "fal-ai/veo2/image-to-video"."""
        return self._models.get(endpoint)

    def has_application(self, application: str) -> bool:
        """Check whether any endpoint belongs to an application such as "fal-ai/veo2"."""
        return application in self._applications

    def has_owner(self, owner: str) -> bool:
        """Check whether any endpoint belongs to an owner such as "fal-ai"."""
        return owner in self._owners
