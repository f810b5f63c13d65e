"""Callers, by the `Authorization` header."""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from falmock.engine.store import Store
    from falmock.settings import Settings

ANONYMOUS: Final = "anonymous"
BALANCE: Final = 100.0  # US dollars, of every account that is not locked


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
        """The credit in US dollars. It is 0 for a locked account, because at fal that is the usual reason."""
        return 0.0 if self.locked else BALANCE


_known_caller = lru_cache(maxsize=64)(Caller)  # each poll needs one


class Locks:
    """Which accounts are locked: none or all, with exceptions. The store keeps them.

    The `initial` ones are locked at each start.
    """

    def __init__(self, store: Store, initial: Collection[str] = ()) -> None:
        self._store = store
        self._initial = initial
        kept = json.loads(store.fact("locks") or '{"everyone": false, "exceptions": []}')
        self.everyone: bool = kept["everyone"]
        self.exceptions: set[str] = set(kept["exceptions"])  # those accounts are in the other state
        self._except(initial, locked=True)

    def is_locked(self, key_id: str) -> bool:
        return self.everyone != (key_id in self.exceptions)

    def change(self, key_id: str | None, *, locked: bool) -> None:
        """Lock or unlock an account, or all (None), in the caller's transaction."""
        everyone, exceptions = self.everyone, set(self.exceptions)
        self._store.on_rollback(lambda: self._set(everyone, exceptions))
        if key_id is None:
            self._set(locked, set())
        else:
            self._except([key_id], locked=locked)
        kept = {"everyone": self.everyone, "exceptions": sorted(self.exceptions)}
        self._store.remember("locks", json.dumps(kept))

    def reset(self) -> None:
        """Lock the initial accounts and no others, in the caller's transaction."""
        self.change(None, locked=False)
        for key_id in self._initial:
            self.change(key_id, locked=True)

    def _set(self, everyone: bool, exceptions: set[str]) -> None:  # noqa: FBT001 - as stored
        self.everyone, self.exceptions = everyone, exceptions

    def _except(self, key_ids: Collection[str], *, locked: bool) -> None:
        if locked == self.everyone:
            self.exceptions -= set(key_ids)
        else:
            self.exceptions |= set(key_ids)


class Keyring:
    """Identifies callers by keys, or by tokens that were issued for a key (PROTOCOL.md 2 and 7.1).

    Args:
        token_claims: returns the claims of a token, or None for an invalid or expired one.
        malformed: is called with a description of a key that is refused for its form.
    """

    def __init__(
        self,
        settings: Settings,
        token_claims: Callable[[str], Mapping[str, Any] | None] = lambda _: None,
        is_locked: Callable[[str], bool] = lambda _: False,
        malformed: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._token_claims = token_claims
        self._auth = settings.auth
        self._is_locked = is_locked
        self._malformed = malformed
        self._secrets: dict[str, str] | None = None
        if settings.keys is not None:
            pairs = (key.partition(":") for key in settings.keys)
            self._secrets = {key_id: secret for key_id, _, secret in pairs}

    def identify(self, authorization: str | None, alias: str | None = None) -> Caller | Problem:
        """Return the caller, or the problem with the credentials.

        A token is valid only for the applications that it names, so it needs the `alias` of the called one.
        """
        found = self._read(authorization, alias)
        if isinstance(found, Problem):
            if not self._auth:
                return self._caller(ANONYMOUS)
            if found is Problem.UNREADABLE and (wrong := _wrong_form(authorization or "")) is not None:
                self._malformed(wrong)
            return found
        return self._caller(found)

    def may_see(self, caller: Caller, owner: str) -> bool:
        """Return whether a caller may see the requests of the key id `owner`."""
        return not self._auth or caller.key_id == owner

    def _caller(self, key_id: str) -> Caller:
        return _known_caller(key_id, self._is_locked(key_id))

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


def _wrong_form(authorization: str) -> str | None:
    """Describe a key that cannot be read, without any part of it; None for a token."""
    scheme, blank, key = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        return "a key sent as Bearer, which is for tokens" if ":" in key else None
    if scheme.lower() == "key":
        return "a key with an empty id or secret" if ":" in key else "a key without a colon"
    return "a key after another word than Key" if blank else "a key without the word Key before it"
