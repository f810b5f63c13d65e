"""falmock: an offline emulator of fal's queue for generative video models."""

__version__ = "0.1.0"
