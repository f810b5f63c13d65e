"""The catalogue: which applications exist, and what their runners do on which path."""

from __future__ import annotations

from typing import Final

from falmock.models import veo
from falmock.models.base import File, Model, Price, Tools
from falmock.protocol import endpoints

__all__ = ["APPLICATIONS", "MODELS", "OWNERS", "File", "Model", "Price", "Tools"]

MODELS: Final[dict[str, Model]] = {model.endpoint: model for model in (veo.IMAGE_TO_VIDEO,)}

_ENDPOINTS = [endpoint for name in MODELS if (endpoint := endpoints.parse(name))]

APPLICATIONS: Final = frozenset(endpoint.application for endpoint in _ENDPOINTS)
OWNERS: Final = frozenset(endpoint.owner for endpoint in _ENDPOINTS)
