"""The models of fal: their inputs, outputs and prices, and how each makes its output."""

from __future__ import annotations

from typing import Final

from falmock.models import veo
from falmock.models.base import File, Model, Price, Tools
from falmock.models.catalogue import Catalogue

__all__ = ["BUNDLED", "Catalogue", "File", "Model", "Price", "Tools"]

BUNDLED: Final = Catalogue([veo.IMAGE_TO_VIDEO])
"""The models that come with falmock."""
