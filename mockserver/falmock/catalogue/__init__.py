"""fal's models as data: what is known about each endpoint, and how a request to it is answered."""

from falmock.catalogue.catalogue import BUNDLED, Catalogue
from falmock.catalogue.entries import Entry, Price
from falmock.catalogue.models import Model

__all__ = ["BUNDLED", "Catalogue", "Entry", "Model", "Price"]
