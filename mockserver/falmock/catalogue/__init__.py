"""fal's models as data: the facts of each endpoint, and the outputs of runs."""

from falmock.catalogue.catalogue import BUNDLED, Catalogue, Model
from falmock.catalogue.entries import Entry, Price

__all__ = ["BUNDLED", "Catalogue", "Entry", "Model", "Price"]
