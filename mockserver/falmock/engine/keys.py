"""Callers, by the `Authorization` header."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from falmock.settings import Settings

ANONYMOUS: Final = "anonymous"
BALANCE: Final = 100.0  # US dollars; the emulator has no accounts


class Problem(Enum):
    """Why a call has no caller."""

    MISSING = auto()  # no header
    UNREADABLE = auto()  # another scheme than Key, or a key without a colon
    UNKNOWN = auto()  # not one of the known keys


@dataclass(frozen=True, slots=True)
class Caller:
    """The key id of a call, and whether its account is locked."""

    key_id: str
    locked: bool = False

    @property
    def balance(self) -> float:
        """The credit in US dollars. A locked account has none: that is why it is locked."""
        return 0.0 if self.locked else BALANCE


class Keyring:
    """Identifies callers by keys, or by tokens that were issued for a key (PROTOCOL.md 2 and 7.1).

    Args:
        settings: the keys.
        token_claims: returns the claims of a token, or None for an invalid or expired one.
    """

    def __init__(
        self, settings: Settings, token_claims: Callable[[str], Mapping[str, Any] | None] = lambda _: None
    ) -> None:
        self._token_claims = token_claims
        self._auth = settings.auth
        self._locked = frozenset(settings.locked)
        self._secrets: dict[str, str] | None = None
        if settings.keys is not None:
            pairs = (key.partition(":") for key in settings.keys)
            self._secrets = {key_id: secret for key_id, _, secret in pairs}

    def identify(self, authorization: str | None, alias: str | None = None) -> Caller | Problem:
        """Return the caller, or the problem with the credentials.

        Args:
            authorization: the header.
            alias: of the called application. A token is valid only for the applications that it names.
        """
        found = self._read(authorization, alias)
        if isinstance(found, Problem):
            return found if self._auth else self._caller(ANONYMOUS)
        return self._caller(found)

    def may_see(self, caller: Caller, owner: str) -> bool:
        """Return whether a caller may see the requests of the key id `owner`."""
        return not self._auth or caller.key_id == owner

    def _caller(self, key_id: str) -> Caller:
        return Caller(key_id, locked=key_id in self._locked)

    def _read(self, authorization: str | None, alias: str | None) -> str | Problem:
        if authorization is None:
            return Problem.MISSING
        scheme, _, key = authorization.strip().partition(" ")
        if scheme.lower() == "bearer" and alias is not None:
            claims = self._token_claims(key.strip())
            return claims["sub"] if claims and alias in claims["allowed_apps"] else Problem.UNREADABLE
        key_id, _, secret = key.strip().partition(":")
        if scheme.lower() != "key" or not key_id or not secret:
            return Problem.UNREADABLE
        if self._secrets is not None:
            expected = self._secrets.get(key_id, "")
            if not hmac.compare_digest(expected.encode(), secret.encode(errors="replace")):
                return Problem.UNKNOWN
        return key_id
