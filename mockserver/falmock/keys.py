"""Who is calling: the `Authorization` header, and which keys are known."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from falmock.settings import Settings

ANONYMOUS = "anonymous"


class Problem(Enum):
    """Why a call has no caller."""

    MISSING = auto()  # no header
    UNREADABLE = auto()  # another scheme than Key, or a key without a colon
    UNKNOWN = auto()  # a pair that belongs to nobody


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose key came with a call."""

    key_id: str
    locked: bool = False


class Keyring:
    """Tells callers by their keys (PROTOCOL.md 2). Secrets stay in here."""

    def __init__(self, settings: Settings) -> None:
        self._auth = settings.auth
        self._locked = frozenset(settings.locked)
        self._secrets: dict[str, str] | None = None
        if settings.keys is not None:
            pairs = (key.partition(":") for key in settings.keys)
            self._secrets = {key_id: secret for key_id, _, secret in pairs}

    def identify(self, authorization: str | None) -> Caller | Problem:
        """Return the caller, or why there is none."""
        found = self._read(authorization)
        if isinstance(found, Problem):
            return found if self._auth else self._caller(ANONYMOUS)
        return self._caller(found)

    def may_see(self, caller: Caller, owner: str) -> bool:
        """Tell whether a request of `owner` is any of this caller's business."""
        return not self._auth or caller.key_id == owner

    def _caller(self, key_id: str) -> Caller:
        return Caller(key_id, locked=key_id in self._locked)

    def _read(self, authorization: str | None) -> str | Problem:
        if authorization is None:
            return Problem.MISSING
        scheme, _, key = authorization.strip().partition(" ")
        key_id, _, secret = key.strip().partition(":")
        if scheme.lower() != "key" or not key_id or not secret:
            return Problem.UNREADABLE
        if self._secrets is not None:
            expected = self._secrets.get(key_id, "")
            if not hmac.compare_digest(expected.encode(), secret.encode(errors="replace")):
                return Problem.UNKNOWN
        return key_id
