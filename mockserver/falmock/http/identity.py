"""Proves that a server is the one that a server-info file describes: it knows the token in the file.

The token itself is never sent.
"""

from __future__ import annotations

import hmac
import re
import secrets
from typing import Final

_CHALLENGE: Final = re.compile(r"[0-9a-f]{32,128}")
_PURPOSE: Final = "falmock health "


class Identity:
    """A random token of one process, 64 hexadecimal digits, and its proofs."""

    def __init__(self, token: str | None = None) -> None:
        self.token = token or secrets.token_hex(32)

    def prove(self, challenge: str) -> str | None:
        """Return the HMAC-SHA256 of a challenge, 32 to 128 hexadecimal digits; None for anything else."""
        if _CHALLENGE.fullmatch(challenge) is None:
            return None
        return hmac.digest(self.token.encode(), f"{_PURPOSE}{challenge}".encode(), "sha256").hex()

    def accepts(self, challenge: str, proof: object) -> bool:
        """Return whether a proof fits a challenge."""
        expected = self.prove(challenge)
        if expected is None or not isinstance(proof, str):
            return False
        return hmac.compare_digest(expected.encode(), proof.encode(errors="replace"))


def challenge() -> str:
    return secrets.token_hex(32)
