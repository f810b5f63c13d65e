"""Ids, and random numbers: the same seed gives the same ids."""

from __future__ import annotations

import random
import uuid


def rng(seed: int, *purpose: object) -> random.Random:
    """Return a source of random numbers that depends on the seed and the purpose alone."""
    return random.Random(":".join(map(str, (seed, *purpose))))  # noqa: S311 - ids and timings, not secrets


def uuid4(rng: random.Random) -> uuid.UUID:
    """Return a version 4 UUID (RFC 9562): random bits."""
    return uuid.UUID(int=rng.getrandbits(128), version=4)


def uuid7(now: float, rng: random.Random) -> uuid.UUID:
    """Return a version 7 UUID (RFC 9562): unix time in milliseconds, then random bits."""
    value = int(now * 1000) << 80 | rng.getrandbits(80)
    return uuid.UUID(int=value & ~(0xF << 76 | 0x3 << 62) | 0x7 << 76 | 0x2 << 62)
