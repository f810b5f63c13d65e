"""fal's models as data: what is known about each endpoint, and how a request to it is answered."""
