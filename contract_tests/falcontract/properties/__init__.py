"""The properties of fal's queue, one module for each topic."""
